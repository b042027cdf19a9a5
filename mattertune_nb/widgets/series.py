"""What a run's record says, as curves of bounded length."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MAX_POINTS = 2000

# metric, title, unit, factor to it, and the baseline that is drawn beside it
_KNOWN = {
    "val/energy_per_atom_mae": (
        "energy MAE",
        "meV/atom",
        1000,
        "baseline/referenced_energy_per_atom_mae",
    ),
    "val/forces_mae": ("forces MAE", "meV/Å", 1000, "baseline/forces_mae"),
    "val/stresses_mae": ("stress MAE", "meV/Å³", 1000, "baseline/stresses_mae"),
}
_NOT_DRAWN = ("_rmse", "energy_mae", "energy_loss", "forces_loss", "stresses_loss")


class Series:
    """One curve: step, epoch and value, thinned so that minima and maxima stay."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, float]] = []

    def __len__(self) -> int:
        return len(self._points)

    def add(self, step: float, epoch: float, value: float) -> None:
        """Add a point; now and then half of all are dropped, which is O(1) a point."""
        self._points.append((step, epoch, value))
        if len(self._points) > MAX_POINTS:
            self._points = _thinned(self._points)

    def clear(self) -> None:
        """Forget all points."""
        self._points.clear()

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
    """

    title: str
    unit: str = ""
    series: dict[str, Series] = field(default_factory=dict)
    baseline: float | None = None

    def best(self) -> tuple[float, float, float] | None:
        """Return step, epoch and value of the lowest validation error, if there is one."""
        if not self.unit:
            return None
        arrays = [s.array() for name, s in self.series.items() if name.startswith("val")]
        points = np.concatenate(arrays) if arrays else np.empty((0, 3))
        if not len(points):
            return None
        step, epoch, value = points[np.argmin(points[:, 2])]
        return float(step), float(epoch), float(value)


class CurveData:
    """Sorts a run's records into panels: loss, an error a property, learning rate, and others."""

    def __init__(self) -> None:
        self.version = 0
        self.drawn: tuple[tuple[int, bool], bytes | None] | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.version += 1
        self.panels: dict[str, Panel] = {"loss": Panel("loss")}
        self.epoch = 0
        self.step = 0
        self._clock: deque[tuple[float, float]] = deque(maxlen=200)

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Add records in the order in which they were written."""
        self.version += 1
        for record in records:
            step, epoch = record.get("step", 0), record.get("epoch", 0)
            self.step, self.epoch = max(self.step, step), max(self.epoch, epoch)
            if isinstance(record.get("time"), (int, float)):
                self._clock.append((record["time"], step))
            for name, value in record.items():
                if isinstance(value, (int, float)) and name not in ("time", "epoch", "step"):
                    self._add(name, step, epoch, float(value))

    def _add(self, name: str, step: float, epoch: float, value: float) -> None:
        if name.startswith("baseline/"):
            for metric, (title, unit, factor, baseline) in _KNOWN.items():
                if name == baseline:
                    panel = self.panels.setdefault(metric, Panel(title, unit))
                    panel.baseline = factor * value
            return
        if name in _KNOWN:
            title, unit, factor, _ = _KNOWN[name]
            panel, label = self.panels.setdefault(name, Panel(title, unit)), "validation"
            value *= factor
        elif name.startswith(("train/", "val/", "test/")) and name.endswith(_NOT_DRAWN):
            return
        elif name.startswith("lr-"):
            panel, label = (
                self.panels.setdefault("lr", Panel("learning rate")),
                name.removeprefix("lr-"),
            )
        elif name.endswith("loss") or "loss" in name.rsplit("/", 1)[-1]:
            panel, label = self.panels["loss"], name
        else:
            panel, label = self.panels.setdefault(name, Panel(name)), name
        panel.series.setdefault(label, Series()).add(step, epoch, value)

    def steps_per_second(self) -> float | None:
        """Return the speed over the last records, or ``None`` where it is not known."""
        if len(self._clock) < 2:
            return None
        (start, first), (end, last) = self._clock[0], self._clock[-1]
        return (last - first) / (end - start) if last > first and end > start else None

    def ordered(self) -> list[Panel]:
        """Return the panels as they are shown: loss, errors, learning rate, then others."""
        order = ["loss", *_KNOWN, "lr"]
        known = [self.panels[key] for key in order if key in self.panels]
        return known + [panel for key, panel in self.panels.items() if key not in order]
