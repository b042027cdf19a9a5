"""A folder of runs: listing, renaming, annotating, deleting; nothing outside it is ever touched."""

from __future__ import annotations

import shutil
from pathlib import Path

from mattertune_nb.config.errors import RunError, check_path
from mattertune_nb.training.files import write_text
from mattertune_nb.training.runs.run import Run


class RunsFolder:
    """The runs directly below a folder.

    Parameters
    ----------
    root
        The folder, e.g. ``runs``.
    """

    def __init__(self, root: str | Path = "runs") -> None:
        self.root = Path(root)

    def runs(self) -> list[Run]:
        """Return all runs, the newest first."""
        # one whose name begins with a dot is still being created
        files = (f for f in self.root.glob("*/config.yaml") if not f.parent.name.startswith("."))
        found = [(file.stat().st_mtime, file.parent) for file in files]
        return [Run(path) for _, path in sorted(found, reverse=True)]

    def nothing_here(self) -> str:
        """Return a sentence that says there are no runs, and where they were looked for."""
        if self.root.is_dir():
            return f"There are no runs in {self.root.absolute()} yet."
        return f"There are no runs: '{self.root}' is no folder. {check_path()}"

    def stamp(self) -> object:
        """Return a value that changes when a run starts, continues or ends; cheap."""
        found = self.root.glob("*/status.json")
        return sorted((file.parent.name, file.stat().st_mtime_ns) for file in found)

    def run(self, name: str) -> Run:
        """Return a run by its name.

        Raises
        ------
        RunError
            The folder itself contains no such run.
        """
        path = self.root / name
        if path.name != name or path.is_symlink() or path.parent != self.root:
            msg = f"'{name}' is not the name of a run in {self.root}."
            raise RunError(msg)
        return Run(path)

    def rename(self, name: str, new: str) -> Run:
        """Rename a run.

        Raises
        ------
        RunError
            The run is training, or the new name is in use or is not a valid folder name.
        """
        run, new = self._idle(name), new.strip()
        target = self.root / new
        if not new or new.startswith(".") or target.name != new or "\\" in new:
            msg = f"'{new}' cannot be the name of a folder. Leave out slashes and a leading dot."
            raise RunError(msg)
        if target.exists():
            msg = f"The run name '{new}' is in use in {self.root}. Choose another."
            raise RunError(msg)
        run.path.rename(target)
        return Run(target)

    def delete(self, name: str) -> None:
        """Permanently remove a run with its weights.

        Raises
        ------
        RunError
            The run is training, or could not be removed completely.
        """
        run = self._idle(name)
        try:
            shutil.rmtree(run.path)
        except OSError as exc:
            msg = f"{run.path}: cannot be removed completely ({exc.strerror})."
            raise RunError(msg) from exc

    def note(self, name: str) -> str:
        """Return the user's note about a run."""
        file = self.root / name / "note.txt"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    def set_note(self, name: str, text: str) -> None:
        """Save a note about a run in its directory."""
        write_text(self.run(name).path / "note.txt", text.strip() + "\n")

    def _idle(self, name: str) -> Run:
        run = self.run(name)
        if run.is_active():
            msg = f"{run.path}: the run is training. Stop it first, or wait until it ends."
            raise RunError(msg)
        return run
