"""A field for a file: typed, chosen from the server's folders, or uploaded."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import escaped
from mattertune_nb.widgets.forms.fields import Simple
from mattertune_nb.widgets.page.controls import HTML, Button, Checkbox, HBox, VBox, shared
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.widgets.forms.about import About

LARGEST_UPLOAD = 10_000_000
"""Bytes; Jupyter's servers drop connections that send more at once."""

# the kernel never hears of a dropped upload, so the limit is stated beforehand, on the button too
_BOUND = (
    f"Copy a file of up to {LARGEST_UPLOAD // 10**6} MB from this computer. Jupyter silently drops "
    f"larger files: put those into JupyterLab’s file browser, and choose them with Browse."
)

UPLOADS = "uploads"
"""Folder beside the notebook for uploaded files."""


class FileEditor(Simple):
    """A path with a file chooser and an upload button.

    Parameters
    ----------
    about, changed
        As for :class:`~mattertune_nb.widgets.forms.fields.Simple`; ``files`` in the field's extra holds the
        file-name patterns that the chooser shows.
    """

    def __init__(self, about: About, changed: Callable[[], None]) -> None:
        super().__init__(about, changed)
        self._patterns: tuple[str, ...] = tuple(about.extra.get("files", ("*",)))
        self.chooser: Chooser | None = None
        narrow = shared(W.Layout, width="auto", flex="0 0 auto")
        self.browse = Button(description="Browse", icon="folder-open", layout=narrow)
        self.upload = W.FileUpload(
            description="Upload",
            tooltip=_BOUND,
            layout=narrow,
            style=shared(W.ButtonStyle),
        )
        self._note = HTML(css="mt-row")
        self.browse.on_click(lambda _: self._toggle())
        self.upload.observe(self._on_upload, "value")
        self.widget.add_class("mt-file")
        self.widget.children = [*self.widget.children, self.browse, self.upload, self._note]

    def _toggle(self) -> None:
        if self.chooser is None:
            self.chooser = Chooser(self._patterns, self._choose)
            self.widget.children = [*self.widget.children, self.chooser.widget]
        if self.chooser.is_open:
            self.chooser.hide()
        else:
            self.chooser.show(Path(self.control.value))

    def _choose(self, path: Path) -> None:
        self.control.value = str(path)

    def _on_upload(self, change: Any) -> None:
        for file in change["new"]:
            try:
                path = keep_upload(file["name"], bytes(file["content"]), Path(UPLOADS))
            except (OSError, ValueError) as exc:
                why = getattr(exc, "strerror", None) or exc
                self._note.value = error_html(f"{file['name']} was not saved: {why}")
                continue
            self._note.value = note_html(f"Uploaded to {path}.")
            self._choose(path)
        # the button counts the files it holds, and their bytes need not stay in memory
        self.upload.set_trait("value", ())


class Chooser:
    """The folders of the server, one list at a time.

    Parameters
    ----------
    patterns
        Patterns of the file names shown, unless all are requested.
    chosen
        Called with the file.
    """

    def __init__(self, patterns: Sequence[str], chosen: Callable[[Path], None]) -> None:
        self._patterns, self._chosen = patterns, chosen
        self.folder = Path()
        self._where = HTML()
        self.list = W.Select(
            rows=8,
            description="Folders and files",
            layout=shared(W.Layout, width="100%"),
            style={"description_width": "0px"},
        )
        self.list.add_class("mt-hidden-label")
        self.open_button = Button(description="Open", icon="check", disabled=True)
        self.up_button = Button(description="Folder above", icon="level-up")
        self.all_files = Checkbox(
            False, description="all files", indent=False, layout=shared(W.Layout, width="auto")
        )
        self.list.observe(self._on_select, "value")
        self.open_button.on_click(lambda _: self._open())
        self.up_button.on_click(lambda _: self._enter(self.folder.parent))
        self.all_files.observe(lambda _: self._enter(self.folder), "value")
        buttons = HBox([self.open_button, self.up_button, self.all_files])
        self.widget = VBox([self._where, self.list, buttons], css="mt-chooser mt-closed")

    @property
    def is_open(self) -> bool:
        """Whether it is visible."""
        return "mt-closed" not in self.widget._dom_classes

    def show(self, path: Path) -> None:
        """Open the folder of a file, or the notebook's folder if there is none."""
        try:
            near = path.expanduser().absolute()
        except RuntimeError:  # there is no home folder
            near = Path.cwd() / path.name
        self.widget.remove_class("mt-closed")
        is_given = path.name and near.parent.is_dir()
        self._enter(near.parent if is_given else Path.cwd())
        if any(value == near for _, value in self.list.options):
            self.list.value = near

    def hide(self) -> None:
        """Close the list."""
        self.widget.add_class("mt-closed")

    def _enter(self, folder: Path) -> None:
        try:
            folders, files = entries(folder, () if self.all_files.value else self._patterns)
        except OSError as exc:
            self._where.value = error_html(f"{folder} cannot be opened ({exc.strerror}).")
            return
        self.folder = folder
        self._where.value = f'<span class="mt-note">{escaped(str(folder))}</span>'
        options = [(f"{path.name}/", path) for path in folders]
        options += [(f"{path.name}   ({_size(path)})", path) for path in files]
        self.list.options = options
        self.list.value = None
        if not options:
            self._where.value += note_html("No folders or structure files here.")

    def _on_select(self, change: Any) -> None:
        path = change["new"]
        self.open_button.disabled = path is None
        is_folder = path is not None and path.is_dir()
        self.open_button.description = "Open folder" if is_folder else "Use this file"

    def _open(self) -> None:
        path = self.list.value
        if path is None:
            return
        if path.is_dir():
            self._enter(path)
        else:
            self.hide()
            self._chosen(_short(path))


def entries(folder: Path, patterns: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Return the folders and files in a folder in alphabetical order, without hidden ones.

    Parameters
    ----------
    folder
        Where to look.
    patterns
        File-name patterns, case-insensitive; none: all files.
    """
    found = sorted(folder.iterdir(), key=lambda path: path.name.lower())
    seen = [path for path in found if not path.name.startswith(".")]
    files = [
        path
        for path in seen
        if path.is_file()
        and (not patterns or any(fnmatch(path.name.lower(), p.lower()) for p in patterns))
    ]
    return [path for path in seen if path.is_dir()], files


def keep_upload(name: str, content: bytes, folder: Path) -> Path:
    """Write an uploaded file and return its path; existing files are never overwritten.

    Raises
    ------
    ValueError
        The file is larger than :data:`LARGEST_UPLOAD`, or has no name.
    OSError
        The folder cannot be written.
    """
    if len(content) > LARGEST_UPLOAD:
        msg = (
            f"it is larger than {LARGEST_UPLOAD // 10**6} MB. Copy it to a folder of the server, e.g. "
            "with the file browser on the left, and choose it with Browse."
        )
        raise ValueError(msg)
    # a browser may send a path from its own system
    plain = name.replace("\\", "/").rpartition("/")[2].strip().lstrip(".")
    if not plain:
        msg = "it has no name."
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    stem, dot, ending = plain.partition(".")
    number = 1
    path = folder / plain
    while path.exists():
        if path.is_file() and path.read_bytes() == content:
            return path
        number += 1
        path = folder / f"{stem}-{number}{dot}{ending}"
    path.write_bytes(content)
    return path


def _short(path: Path) -> Path:
    """Return a path as one would type it: relative to the notebook if it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
