"""Plotly figures that a page can request at any time: after a reload, in Voila, in a second tab."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import plotly.graph_objects as go
import traitlets
from plotly.basedatatypes import Undefined

from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.theme import template

_TRIES = 20


class Figure(go.FigureWidget):  # type: ignore[misc]
    """A figure whose state is always current.

    Plotly's own widget sends traces and layout to a page only when it is created or displayed by itself, so a
    figure inside a box is empty on every page that requests it later. It also stays empty on a page that
    takes more than two seconds to load plotly, because anywidget then drops what is sent, see ``figure.js``.
    """

    _esm: ClassVar[Path] = Path(__file__).with_name("figure.js")
    _plotly = traitlets.Unicode().tag(sync=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # it fills the cell and follows its width; plotly's own stays at 700 px
        self._config = {"responsive": True, "displaylogo": False}

    @traitlets.default("_plotly")  # type: ignore[untyped-decorator]
    def _front_end(self) -> str:
        return _front_end()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what a page needs to show the figure in its current state."""
        keys = {key} if isinstance(key, str) else self.keys if key is None else set(key)
        if "_widget_data" in keys:
            self._trait_values["_widget_data"] = self._copied("_data")
        if "_widget_layout" in keys:
            self._trait_values["_widget_layout"] = self._copied("_layout")
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state

    def told_again(self, changed: set[str]) -> set[str]:
        """Return what to send a page that missed changes: the figure as a whole, as its parts came singly."""
        edited = changed & {"_last_trace_edit_id", "_last_layout_edit_id"}
        return edited and {*edited, "_widget_data", "_widget_layout"}

    @traitlets.observe("_js2py_traceDeltas")  # type: ignore[untyped-decorator]
    def _handler_js2py_traceDeltas(self, change: Any) -> None:  # noqa: N802  plotly's name
        """Ignore what a page reports back: plotly takes it for defaults and drops our values."""
        if change["new"]:
            self._js2py_traceDeltas = None

    def _send_update_msg(
        self,
        restyle_data: Any,
        relayout_data: Any,
        trace_indexes: Any = None,
        source_view_id: Any = None,
    ) -> None:
        """Send a batch of changes without gaps: the page clears in other traces what one trace changes."""
        data = {
            path: [
                self._present(index, path) if value is Undefined else value
                for index, value in zip(trace_indexes, values, strict=True)
            ]
            if isinstance(values, list) and len(values) == len(trace_indexes or ())
            else values
            for path, values in restyle_data.items()
        }
        super()._send_update_msg(data, relayout_data, trace_indexes, source_view_id)

    def _present(self, index: int, path: str) -> Any:
        """Return the value of a trace at a path such as ``marker.color``, or ``None``."""
        value: Any = self._data[index]
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def _copied(self, name: str) -> Any:
        """Return a copy of traces or layout, to which a thread may be adding."""
        for _ in range(_TRIES):
            try:
                return deepcopy(getattr(self, name, [] if name == "_data" else {}))
            except RuntimeError:  # changed while being copied
                continue
        return deepcopy(getattr(self, name))


@cache
def _front_end() -> str:
    """Return plotly's own front end."""
    return str(go.FigureWidget._esm)


def new_plotly_figure(**layout: Any) -> Any:
    """Return a plotly figure in the package's style; a widget only if widgets can be shown.

    Each FigureWidget adds some 5 MB to a notebook that is saved with its widget state, as nbclient does.
    """
    return (Figure if has_front_end() else go.Figure)(layout={"template": template()} | layout)
