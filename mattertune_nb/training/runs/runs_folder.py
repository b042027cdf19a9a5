"""A folder of runs: found, renamed, annotated, deleted; nothing outside it is ever touched."""

from __future__ import annotations

import shutil
from pathlib import Path

from mattertune_nb.config.errors import RunError
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
        # one that begins with a dot is being made
        files = (f for f in self.root.glob("*/config.yaml") if not f.parent.name.startswith("."))
        found = [(file.stat().st_mtime, file.parent) for file in files]
        return [Run(path) for _, path in sorted(found, reverse=True)]

    def stamp(self) -> object:
        """Return what is another once a run was begun, went on or ended; of little cost."""
        found = self.root.glob("*/status.json")
        return sorted((file.parent.name, file.stat().st_mtime_ns) for file in found)

    def run(self, name: str) -> Run:
        """Return a run by its name.

        Raises
        ------
        RunError
            Where the folder itself holds no such run.
        """
        path = self.root / name
        if path.name != name or path.is_symlink() or path.parent != self.root:
            msg = f"'{name}' is not the name of a run in {self.root}."
            raise RunError(msg)
        return Run(path)

    def rename(self, name: str, new: str) -> Run:
        """Give a run another name.

        Raises
        ------
        RunError
            Where the run is training, or the new name is in use or no name of a folder.
        """
        run, new = self._idle(name), new.strip()
        target = self.root / new
        if not new or new.startswith(".") or target.name != new or "\\" in new:
            msg = f"'{new}' cannot be the name of a folder. Leave out slashes and a dot in front."
            raise RunError(msg)
        if target.exists():
            msg = f"The run name '{new}' is in use in {self.root}. Choose another."
            raise RunError(msg)
        run.path.rename(target)
        return Run(target)

    def delete(self, name: str) -> None:
        """Remove a run with its weights, for good.

        Raises
        ------
        RunError
            Where the run is training, or could not be removed whole.
        """
        run = self._idle(name)
        try:
            shutil.rmtree(run.path)
        except OSError as exc:
            msg = f"{run.path}: cannot be removed completely ({exc.strerror})."
            raise RunError(msg) from exc

    def note(self, name: str) -> str:
        """Return what a person noted about a run."""
        file = self.root / name / "note.txt"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    def set_note(self, name: str, text: str) -> None:
        """Note something about a run, in its directory."""
        write_text(self.run(name).path / "note.txt", text.strip() + "\n")

    def _idle(self, name: str) -> Run:
        run = self.run(name)
        if run.is_active():
            msg = f"{run.path}: the run is training. Stop it first, or wait until it ends."
            raise RunError(msg)
        return run
