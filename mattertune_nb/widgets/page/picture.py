"""Still pictures beside live widgets, so that a saved notebook shows them without a kernel."""

from __future__ import annotations

import base64
from collections import deque
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import printable
from mattertune_nb.widgets.page.export import render, save
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.lifetime import ClosedOnRerun, remember
from mattertune_nb.widgets.page.still import LIVE, still
from mattertune_nb.widgets.page.style import error_html
from mattertune_nb.widgets.page.theme import INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mattertune_nb.widgets.page.export import Table

_PIXELS, _DENSITY = 120, 180
"""Pixels per inch of a figure on the page, and how many are drawn for high-resolution screens."""

_MAX_SHOWN = 4
"""Number of cells whose picture is kept up to date, if several show the same view."""


def on_any_theme(figure: Figure) -> bytes:
    """Return a figure as PNG without background, in an ink that is readable on white and on dark grey.

    Parameters
    ----------
    figure
        The figure; modified in place.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_color(INK)
    for axes in figure.axes:
        axes.tick_params(color=INK, labelcolor=INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
    return render(figure, dpi=_DENSITY, transparent=True)


class Drawing(W.Image):  # type: ignore[misc]
    """A matplotlib figure on the page: sharp, in the theme's colours, and no wider than the cell."""

    def __init__(self) -> None:
        super().__init__(format="png")
        self.draw(None)

    def draw(self, figure: Figure | None) -> None:
        """Show a figure, or take no space if there is none.

        Parameters
        ----------
        figure
            The figure; modified in place.
        """
        if figure is not None:
            self.layout.width = f"min(100%, {_PIXELS * figure.get_figwidth():.0f}px)"
        self.value = b"" if figure is None else on_any_theme(figure)
        self.layout.display = "none" if figure is None else None


_STILL = '<img class="mattertune-still" width="0" height="0" alt="{alt}" src="data:image/png;base64,{image}">'


class Pictured(ClosedOnRerun):
    """Mix-in for a widget that has a picture: both go into one MIME bundle.

    JupyterLab shows the widget if a kernel is running; without one, and on GitHub or nbviewer, the picture
    remains. A subclass implements :meth:`draw` and :meth:`numbers`, which also allow it to be written to a
    file.
    """

    _display_ids: deque[str]
    _rendered: tuple[Figure, bytes] | None = None

    def draw(self) -> Figure | None:
        """Return the current state as a matplotlib figure, or ``None`` if there is nothing yet."""
        raise NotImplementedError

    def numbers(self) -> Table | None:
        """Return the numbers shown, in columns, or ``None`` if there is nothing yet."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write the view to a file and return its path.

        Parameters
        ----------
        path
            Its extension sets the format: ``.png`` or ``.svg`` for the picture, ``.csv`` for the numbers.

        Raises
        ------
        ConfigError
            The extension is another one.
        DataError
            The view shows nothing yet, or the file cannot be written.
        """
        return save(self, path)

    def picture(self) -> bytes | None:
        """Return the current state as PNG, some tens of kilobytes, or ``None`` as :meth:`draw`."""
        figure = self.draw()
        if figure is None:
            return None
        if self._rendered is None or self._rendered[0] is not figure:
            self._rendered = figure, render(figure)
        return self._rendered[1]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        image = self.picture()
        encoded = None if image is None else base64.b64encode(image).decode()
        if not has_front_end():
            bundle = {"text/plain": type(self).__name__}
            header = self.plain_header()
            if header:
                image_tag = encoded and f'<img src="data:image/png;base64,{encoded}"/>'
                bundle["text/html"] = header + (image_tag or "")
        else:
            bundle = dict(super()._repr_mimebundle_(**kwargs))  # type: ignore[misc]
            # read if a front end shows no widgets and there is no picture yet
            bundle["text/plain"] = f"{type(self).__name__}: run this cell to see it live."
        if encoded is not None:
            bundle["image/png"] = encoded
        return bundle

    def plain_header(self) -> str:
        """Return HTML shown above the picture if there are no widgets."""
        return ""

    def _still_bundle(self, bundle: dict[str, Any]) -> dict[str, str]:
        image = bundle.get("image/png")
        return still(_STILL.format(alt=type(self).__name__, image=image) if image else "")

    def _ipython_display_(self, **kwargs: Any) -> None:
        from IPython.display import display

        if not hasattr(self, "_display_ids"):
            self._display_ids = deque(maxlen=_MAX_SHOWN)
        bundle = self._repr_mimebundle_()
        if has_front_end():
            self.add_class(LIVE)  # type: ignore[attr-defined]
        handle = display(bundle, raw=True, display_id=True)
        if handle is not None:
            self._display_ids.append(handle.display_id)
            if has_front_end():
                still = f"{handle.display_id}-still"
                display(self._still_bundle(bundle), raw=True, display_id=still)
        remember(self)
        self.shown()

    def shown(self) -> None:
        """Handle that the page now shows the widget; does nothing by default."""

    def renew_picture(self) -> None:
        """Replace the picture in the notebook's output by one of the current state."""
        from IPython.display import update_display

        shown = list(getattr(self, "_display_ids", ()))
        if shown:
            bundle = self._repr_mimebundle_()
            for display_id in shown:
                update_display(bundle, raw=True, display_id=display_id)
                if has_front_end():
                    still = self._still_bundle(bundle)
                    update_display(still, raw=True, display_id=f"{display_id}-still")
            self.shown()


class Message(W.HTML):  # type: ignore[misc]
    """Text in place of a view that cannot be shown, with or without a front end.

    Parameters
    ----------
    text
        What is wrong and what to do.
    """

    def __init__(self, text: str) -> None:
        super().__init__(error_html(text, css="mt-alert"))
        self.text = printable(text)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        if has_front_end():
            return dict(super()._repr_mimebundle_(**kwargs)) | {"text/plain": self.text}
        return {"text/plain": self.text, "text/html": self.value}


def only_widgets(*parts: Any) -> list[W.Widget]:
    """Return what can be placed in a box; a figure that is not a widget is left out."""
    return [part for part in parts if isinstance(part, W.Widget)]
