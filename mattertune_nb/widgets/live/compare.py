"""Curves of several runs in one figure, and their settings beside their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.training.records.summary import summary_of
from mattertune_nb.training.runs.run import Run
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.differences import names_in_config, parallel_figure
from mattertune_nb.widgets.live.expected import expected_of
from mattertune_nb.widgets.live.sections import CurvesSection
from mattertune_nb.widgets.live.series import CurveData, Panel
from mattertune_nb.widgets.page.controls import HTML
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.picture import Message, Pictured, only_widgets
from mattertune_nb.widgets.page.style import note_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from mattertune_nb.widgets.page.export import Table


class Comparison(Pictured, W.VBox):  # type: ignore[misc]
    """Validation curves of several runs, one colour per run; created by :func:`compare`.

    Attributes
    ----------
    data
        The runs' curves by panel, each curve named after its run.
    parallel
        The settings that differ as parallel coordinates, coloured by the best error, if there are any.
    names
        Says below them what a config calls each of these settings.
    nothing
        Says that there are no curves yet.
    """

    def __init__(
        self,
        runs: Mapping[str, CurveData],
        parallel: Any = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        enable_colab_widgets()
        self.data = _merged(runs)
        self.curves = CurvesSection(self.data)
        self.parallel, self.names, self.nothing = parallel, HTML(), HTML()
        curves = [s for panel in self.data.panels.values() for s in panel.series.values()]
        if not any(map(len, curves)):
            self.nothing.value = note_html(
                "These runs have no validation errors yet. Execute the cell again once they have."
            )
        if parallel is not None and names:
            told = ", ".join(f"{label} is {name}" for label, name in names.items())
            self.names.value = note_html(f"In a config: {told}.")
        super().__init__(
            [
                self.nothing,
                self.curves.widget,
                *only_widgets(parallel),
                self.names,
                Download(self, "comparison"),
            ]
        )

    def shown(self) -> None:
        """Let the figures take the full width of the cell."""
        self.curves.figure.fit_soon()

    def draw(self) -> Figure | None:
        """Return the curves as a matplotlib figure."""
        return draw_curves(self.data, scales=self.curves.figure.scales)

    def numbers(self) -> Table | None:
        """Return the points of the curves."""
        return curve_table(self.data)


def _merged(runs: Mapping[str, CurveData]) -> CurveData:
    """Return panels of validation curves named after runs, with the overall best marked."""
    merged = CurveData()
    for run, data in runs.items():
        merged.step = max(merged.step, data.step)
        merged.epoch = max(merged.epoch, data.epoch)
        for key, panel in data.panels.items():
            curves = [s for name, s in panel.series.items() if name.startswith("val")]
            if not curves:
                continue
            shown = merged.panels.setdefault(key, Panel(panel.title, panel.unit))
            shown.series[run] = curves[0]
            shown.lines = shown.lines or panel.lines
            shown.best_of, shown.mode = panel.best_of, panel.mode
            if panel.unit and panel.best is not None:
                shown.note(panel.best)
    return merged


def compare(*runs: Run | str | Path) -> Comparison | Message:
    """Overlay the validation curves of runs; dashed lines are the untuned models.

    Parameters
    ----------
    *runs
        Runs, or paths of their directories.

    Returns
    -------
    ipywidgets.DOMWidget
        The curves, or a message if no run is given.

    Raises
    ------
    ConfigError
        Something else than a run is given.
    RunError
        A directory contains no run.
    """
    if not runs:
        return Message(
            "No runs to compare. Give two or more, e.g. mt.compare('runs/first', 'runs/second'); "
            "mt.runs() lists them."
        )
    data: dict[str, CurveData] = {}
    summaries = {}
    for item in runs:
        run = _run(item)
        curves = CurveData(*expected_of(run))
        curves.add(run.metrics())
        name = run.name if run.name not in data else str(run.path)
        data[name] = curves
        summaries[name] = summary_of(run.directory)
    return Comparison(data, parallel_figure(summaries), names_in_config(summaries))


def _run(item: Any) -> Run:
    if isinstance(item, Run):
        return item
    if isinstance(item, str | Path):
        return Run.attach(item)
    msg = (
        f"a {type(item).__name__} cannot be compared. Give runs or the paths of their directories, "
        "e.g. mt.compare('runs/first', 'runs/second')."
    )
    raise ConfigError(msg)
