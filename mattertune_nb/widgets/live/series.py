"""What a run's record says, as curves of bounded length."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import MatterTuneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.training.background import Run

MAX_POINTS = 2000
MAX_PANELS = 16
"""More would not fit a screen; all metrics are in the record."""

# metric, title, unit, factor to it, and the baseline that is drawn beside it
_KNOWN: dict[str, tuple[str, str, float, str]] = {
    "val/energy_per_atom_mae": (
        "energy MAE",
        "meV/atom",
        1000,
        "baseline/referenced_energy_per_atom_mae",
    ),
    "val/forces_mae": ("forces MAE", "meV/Å", 1000, "baseline/forces_mae"),
    "val/stresses_mae": ("stress MAE", "meV/Å³", 1000, "baseline/stresses_mae"),
}
# ours that would say the same twice; a user's own metric of any name is drawn
_NOT_DRAWN = {
    f"{stage}/{name}"
    for stage in ("train", "val", "test")
    for name in (
        "energy_mae",
        *(f"{quantity}_rmse" for quantity in ("energy", "energy_per_atom", "forces", "stresses")),
        *(f"{quantity}_loss" for quantity in ("energy", "forces", "stresses")),
    )
}
_STAGE = re.compile(
    r"^(train|training|val|valid|validation|test)[/_]|/dataloader_idx_\d+$|_(step|epoch)$"
)


class Series:
    """One curve: step, epoch and value, thinned so that minima and maxima stay."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, float]] = []
        self.version = 0

    def __len__(self) -> int:
        return len(self._points)

    def add(self, step: float, epoch: float, value: float) -> None:
        """Add a point; now and then half of all are dropped, which is O(1) a point."""
        self.version += 1
        self._points.append((step, epoch, value))
        if len(self._points) > MAX_POINTS:
            self._points = _thinned(self._points)

    def last(self) -> float:
        """Return the newest value; there is one."""
        return self._points[-1][2]

    def array(self) -> NDArray[np.float64]:
        """Return step, epoch and value, (n, 3)."""
        return np.array(self._points, dtype=np.float64).reshape(-1, 3)


def _thinned(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Keep the first, the last and of each four points the smallest and the largest value."""
    kept = [points[0]]
    for i in range(1, len(points) - 1, 4):
        four = points[i : min(i + 4, len(points) - 1)]
        low, high = min(four, key=lambda p: p[2]), max(four, key=lambda p: p[2])
        kept += [low] if low is high else sorted((low, high))
    kept.append(points[-1])
    return kept


@dataclass
class Panel:
    """One plot of a dashboard.

    Attributes
    ----------
    title, unit
        What it shows; the unit is empty for metrics that are not ours.
    series
        Curves by name.
    baseline
        The untuned model's value, in the panel's unit.
    best
        Step, epoch and value where the weights are best.
    """

    title: str
    unit: str = ""
    series: dict[str, Series] = field(default_factory=dict)
    baseline: float | None = None
    best: tuple[float, float, float] | None = None


class CurveData:
    """Sorts a run's records into panels: loss, an error a property, learning rate, and others.

    Parameters
    ----------
    monitor
        The metric by which the best epoch is chosen; where it is not known, each panel of ours has
        a best epoch of its own.
    mode
        Whether the monitor should fall, ``"min"``, or rise, ``"max"``.
    """

    def __init__(self, monitor: str | None = None, mode: str = "min") -> None:
        self.version = 0
        # told by who knows it; the axis of steps says it
        self.steps_per_epoch: int | None = None
        self.drawn: tuple[tuple[int, bool, str], Figure | None] | None = None
        self.choose_by(monitor, mode)
        self.clear()

    def choose_by(self, monitor: str | None, mode: str) -> None:
        """Choose the best epoch of records to come by another metric."""
        self.monitor = monitor
        self._sign = -1 if mode == "max" else 1

    def clear(self) -> None:
        """Forget everything."""
        self.version += 1
        self.panels: dict[str, Panel] = {"loss": Panel("loss")}
        self.epoch = 0
        self.step = 0
        self._routes: dict[str, tuple[Series, Panel, float]] = {}
        self._best: float | None = None
        self._clock: deque[tuple[float, float]] = deque(maxlen=200)

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Add records in the order in which they were written."""
        self.version += 1
        for record in records:
            if record.get("kind") == "resumed":
                # nothing was done in the meantime, which may have been days
                self._clock.clear()
                continue
            step, epoch = record.get("step", 0), record.get("epoch", 0)
            self.step, self.epoch = max(self.step, step), max(self.epoch, epoch)
            if isinstance(record.get("time"), (int, float)):
                self._clock.append((record["time"], step))
            values = {
                name: float(value)
                for name, value in record.items()
                if isinstance(value, (int, float)) and name not in ("time", "epoch", "step")
            }
            self._note_best(step, epoch, values)
            for name, value in values.items():
                self._add(name, step, epoch, value)

    def _note_best(self, step: float, epoch: float, values: dict[str, float]) -> None:
        """Mark one epoch in all panels: that of the weights which are kept."""
        value = values.get(self.monitor or "")
        if value is None or (self._best is not None and self._sign * (value - self._best) >= 0):
            return
        self._best = value
        for name, one in values.items():
            if name == self.monitor or name in _KNOWN:
                panel, _, factor = self._place(name)
                panel.best = step, epoch, factor * one

    def _add(self, name: str, step: float, epoch: float, value: float) -> None:
        if name.startswith("baseline/"):
            for metric, (title, unit, factor, baseline) in _KNOWN.items():
                if name == baseline:
                    panel = self.panels.setdefault(metric, Panel(title, unit))
                    panel.baseline = factor * value
            return
        if name in _NOT_DRAWN:
            return
        route = self._routes.get(name)
        if route is None:
            panel, label, factor = self._place(name)
            route = panel.series.setdefault(label, Series()), panel, factor
            self._routes[name] = route
        series, panel, factor = route
        series.add(step, epoch, factor * value)
        if self._best is None and name in _KNOWN:
            point = step, epoch, factor * value
            panel.best = min(panel.best or point, point, key=lambda p: p[2])

    def _place(self, name: str) -> tuple[Panel, str, float]:
        """Return the panel of a metric, its name there, and the factor to the panel's unit."""
        if name in _KNOWN:
            title, unit, factor, _ = _KNOWN[name]
            return self.panels.setdefault(name, Panel(title, unit)), "validation", factor
        if name.startswith("lr-"):
            panel = self.panels.setdefault("lr", Panel("learning rate"))
            return panel, name.removeprefix("lr-"), 1.0
        if "loss" in name.rsplit("/", 1)[-1]:
            return self.panels["loss"], name, 1.0
        # training and validation of the same metric stand in one panel
        title = _STAGE.sub("", _STAGE.sub("", name)) or name
        return self.panels.setdefault(title, Panel(title)), name, 1.0

    def steps_per_second(self) -> float | None:
        """Return the speed over the last records, or ``None`` where it is not known."""
        if len(self._clock) < 2:
            return None
        (start, first), (end, last) = self._clock[0], self._clock[-1]
        return (last - first) / (end - start) if last > first and end > start else None

    def ordered(self) -> list[Panel]:
        """Return the panels as they are shown: loss, errors, learning rate, then others."""
        return self._with_values()[:MAX_PANELS] or [self.panels["loss"]]

    def n_left_out(self) -> int:
        """Return how many panels are not shown, as there would be too many."""
        return max(len(self._with_values()) - MAX_PANELS, 0)

    def _with_values(self) -> list[Panel]:
        order = ["loss", *_KNOWN, "lr"]
        known = [self.panels[key] for key in order if key in self.panels]
        others = [panel for key, panel in self.panels.items() if key not in order]
        return [panel for panel in known + others if panel.series or panel.baseline is not None]


def monitor_of(run: Run) -> tuple[str | None, str]:
    """Return by which metric a run's best weights are chosen, and ``"min"`` or ``"max"``."""
    try:
        checkpoint = run.config().trainer.checkpoint
    except MatterTuneError:  # where the config is needed, it is said that it cannot be read
        return None, "min"
    return checkpoint.monitor, checkpoint.mode
