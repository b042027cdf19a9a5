"""A tab of the dashboard with a text above a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.widgets.page.picture import Drawing

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mattertune_nb.training.runs.run import Run


class PicturedView:
    """Text and picture, recreated when the run has written the files they come from.

    Parameters
    ----------
    run
        The run whose records are read.

    Attributes
    ----------
    nothing_yet
        Shown before there is a picture.
    """

    nothing_yet: ClassVar[str]

    def __init__(self, run: Run) -> None:
        self._run = run
        self._caption = W.HTML()
        self._image = Drawing()
        self.widget = W.VBox([self._caption, self._image])
        self.clear()

    @property
    def text(self) -> str:
        """The text above the picture."""
        return str(self._caption.value)

    @property
    def picture(self) -> bytes:
        """The picture as PNG; empty before there is one."""
        return bytes(self._image.value)

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds something."""
        self._seen: tuple[float, ...] = ()
        self._show(self.nothing_yet, None)

    def refresh(self) -> None:
        """Redraw the picture if the files were written since."""
        files = self.files()
        if not all(file.is_file() for file in files):
            return
        written = tuple(file.stat().st_mtime for file in files)
        if written != self._seen:
            self._show(*self.made())
            self._seen = written

    def files(self) -> tuple[Path, ...]:
        """Return the records that :meth:`made` reads."""
        raise NotImplementedError

    def made(self) -> tuple[str, Figure | None]:
        """Return the text as HTML, and the picture, if any, for the current records."""
        raise NotImplementedError

    def _show(self, text: str, figure: Figure | None) -> None:
        self._caption.value = text
        self._image.draw(figure)
