"""Sections of a live view, one per tab; a new one is a new file and a line in :data:`SECTIONS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.widgets.live.curve_controls import CurveControls
from mattertune_nb.widgets.live.curves import CurvesFigure
from mattertune_nb.widgets.live.distance_view import DistanceView
from mattertune_nb.widgets.live.elsewhere_view import ElsewhereView
from mattertune_nb.widgets.live.findings_view import FindingsView
from mattertune_nb.widgets.live.log_view import LogView
from mattertune_nb.widgets.live.scorecard_view import ScorecardView
from mattertune_nb.widgets.live.validation_view import ValidationView
from mattertune_nb.widgets.live.walls_view import WallsView
from mattertune_nb.widgets.page.connection import CONNECTION_STYLE, Connection
from mattertune_nb.widgets.page.picture import only_widgets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.live.series import CurveData


class Section(Protocol):
    """The contents of a tab.

    Attributes
    ----------
    title
        Title of the tab.
    widget
        The widget shown.
    """

    title: str
    widget: W.Widget

    def refresh(self) -> None:
        """Show what is new in the run's directory; cheap if nothing is."""

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds something: the run is starting over."""


SECTIONS: list[Callable[[Run], Section]] = [
    ValidationView,
    FindingsView,
    DistanceView,
    ElsewhereView,
    WallsView,
    ScorecardView,
    LogView,
]
"""Sections that dashboards show besides the curves; any package may append its own."""


class CurvesSection:
    """The curves of a record, with their controls.

    Parameters
    ----------
    data
        The curves; call :meth:`refresh` after changing them.
    """

    title = "Curves"

    def __init__(self, data: CurveData) -> None:
        self.figure = CurvesFigure(data)
        self.controls = CurveControls(self.figure.draw)
        parts = only_widgets(self.controls.widget, self.figure.widget)
        # a screen too narrow for curves beside their legends gets a scroll bar
        parts[1:] = [W.VBox(parts[1:], layout=W.Layout(min_width="470px", overflow="visible"))]
        self.widget = W.VBox(parts, layout=W.Layout(overflow="auto"))

    def refresh(self) -> None:
        """Send what has changed to the page."""
        self.figure.update()

    def clear(self) -> None:
        """Empty the curves."""
        self.figure.clear()


# all tabs are as high as the highest, so that opening one moves nothing; none is ever without a size, which
# plotly would adopt
_STYLE = """<style>
.mt-sections > .widget-tab-contents { display: grid; padding: 6px 0 0; border: none;
  border-top: 1px solid var(--jp-border-color2, #bbb); }
.jupyter-widgets.widget-tab.mt-sections > .lm-TabBar .lm-TabBar-tab {
  min-width: max-content; padding: 0 8px; }
.mt-sections > .widget-tab-contents > * { grid-area: 1 / 1; min-width: 0; overflow: auto; }
.mt-sections > .widget-tab-contents > .lm-mod-hidden { display: flex !important; visibility: hidden; }
.mt-sections > .widget-tab-contents > .mt-as-high { height: 0; min-height: 100%; }
.mt-sections > .widget-tab-contents > .mt-as-high:not(.widget-html) > * { flex-shrink: 0; }
.mt-sections .widget-html-content { line-height: 1.4; }
</style>"""


class Sections:
    """Tabs of equal height.

    Parameters
    ----------
    sections
        From left to right; the first is open.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = list(sections)
        self._tabs = W.Tab(
            [section.widget for section in sections],
            titles=[section.title for section in sections],
            selected_index=0,
        )
        self._tabs.add_class("mt-sections")
        for section in self.sections[1:]:
            section.widget.add_class("mt-as-high")
        self.widget = W.VBox([W.HTML(_STYLE + CONNECTION_STYLE), Connection(), self._tabs])

    def refresh(self) -> None:
        """Let each section show what is new."""
        for section in self.sections:
            section.refresh()

    def clear(self) -> None:
        """Clear all sections."""
        for section in self.sections:
            section.clear()

    def open(self, title: str) -> None:
        """Open the section with a title."""
        titles = [section.title for section in self.sections]
        self._tabs.selected_index = titles.index(title)
