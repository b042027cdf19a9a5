"""Several runs beside each other: a table, and their curves in one figure."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.training.background import Run
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.sections import CurvesSection
from mattertune_nb.widgets.live.series import CurveData, Panel, expected_of
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.picture import Pictured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from mattertune_nb.widgets.page.export import Table

_HEADLINES = {
    "val/energy_per_atom_mae": "energy (meV/atom)",
    "val/forces_mae": "forces (meV/Å)",
    "val/stresses_mae": "stress (meV/Å³)",
}
_NOT_COMPARED = ("run.name", "run.root")


class RunsTable:
    """Runs with their state, best validation errors and the settings in which they differ.

    Attributes
    ----------
    rows
        One mapping a run, from column to text.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.rows = [_row(run) for run in runs]
        for row, differences in zip(self.rows, config_differences(runs), strict=True):
            row["settings"] = ", ".join(f"{k}={v}" for k, v in differences.items()) or "–"

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return "\n".join("  ".join(row.values()) for row in self.rows) or "no runs"

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<i>No runs here yet.</i>"
        head = "".join(f"<th style='text-align:left'>{html.escape(c)}</th>" for c in self.rows[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(v)}</td>" for v in row.values())
            + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def runs(root: str | Path = "runs") -> RunsTable:
    """Return a table of all runs below `root`, the newest first."""
    found = [path.parent for path in Path(root).glob("*/config.yaml")]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return RunsTable([Run(path) for path in found])


def _row(run: Run) -> dict[str, str]:
    status = run.status()
    row = {"run": run.name, "state": status.state, "epoch": str(status.epoch)}
    try:
        best = run.directory.best_metrics()
    except MatterTuneError:  # its config cannot be read any more; said in the column of settings
        best = {}
    for metric, column in _HEADLINES.items():
        row[column] = f"{1000 * best[metric]:.1f}" if metric in best else "–"
    return row


def config_differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return for each run the settings, by dotted path, that are not the same in all of them."""
    flat: list[dict[str, Any]] = []
    for run in runs:
        try:
            flat.append(_flatten(run.config().to_dict()))
        except MatterTuneError as exc:
            flat.append({"config": str(exc)})
    names = dict.fromkeys(name for settings in flat for name in settings)
    differing = [
        name
        for name in names
        if name not in _NOT_COMPARED and len({repr(s.get(name)) for s in flat}) > 1
    ]
    return [{name: s[name] for name in differing if name in s} for s in flat]


def _flatten(data: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(data, dict) and data:
        items = data.items()
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        items = ((str(i), v) for i, v in enumerate(data))  # type: ignore[assignment]
    else:
        return {prefix: data}
    flat: dict[str, Any] = {}
    for name, value in items:
        flat |= _flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return flat


class Comparison(Pictured, W.VBox):  # type: ignore[misc]
    """Validation curves of several runs, one colour a run; :func:`compare` makes it.

    Attributes
    ----------
    data
        The runs' curves by panel, each curve named after its run.
    """

    def __init__(self, runs: Mapping[str, CurveData]) -> None:
        enable_colab_widgets()
        self.data = _merged(runs)
        self.curves = CurvesSection(self.data)
        super().__init__([self.curves.widget])

    def shown(self) -> None:
        """Let the figure take the width of the cell."""
        self.curves.figure.fit_soon()

    def draw(self) -> Figure | None:
        """Return the curves as a matplotlib figure."""
        return draw_curves(self.data, scales=self.curves.figure.scales)

    def numbers(self) -> Table | None:
        """Return the points of the curves."""
        return curve_table(self.data)


def _merged(runs: Mapping[str, CurveData]) -> CurveData:
    """Return panels of validation curves named after runs, with the best of all marked."""
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
            shown.best_of, shown.rises = panel.best_of, panel.rises
            if panel.unit and panel.best is not None:
                shown.note(panel.best)
    return merged


def compare(*runs: Run | str | Path) -> Comparison:
    """Overlay the validation curves of runs; dashed lines are the untuned model.

    Parameters
    ----------
    *runs
        Runs, or paths of their directories.
    """
    data: dict[str, CurveData] = {}
    for item in runs:
        run = item if isinstance(item, Run) else Run.attach(item)
        curves = CurveData(*expected_of(run))
        curves.add(run.metrics())
        name = run.name if run.name not in data else str(run.path)
        data[name] = curves
    return Comparison(data)
