"""The record of a run as curves of bounded length."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mattertune_nb.config.properties import PROPERTIES, UNREFIT
from mattertune_nb.training.outcome.headlines import FOREIGN, HEADLINES, MAIN, headlines_of
from mattertune_nb.training.outcome.stages import REREFERENCED, UNTUNED
from mattertune_nb.training.records.metrics import CHANGED, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.properties import Property

MAX_POINTS = 2000
MAX_PANELS = 16
"""Maximum number of panels that fit a screen; the record contains all metrics."""

OFF_SCALE = 10
"""A line this many times above its panel's highest point is given as text: it would flatten all curves."""

# our own metrics that would duplicate others; a user's metrics are drawn under any name
_NOT_DRAWN = {
    *(set(HEADLINES) - set(MAIN.values())),
    *(f"{stage}/{UNREFIT}_{kind}" for stage in ("val", "test") for kind in ("mae", "rmse")),
    *(f"{stage}/{quantity}_loss" for stage in ("train", "val", "test") for quantity in PROPERTIES),
}
_NAMED_SET = re.compile(r"^val/([^/]+)/([^/]+)$")
_STAGE_AND_SET = re.compile(r"^(val|test)/[^/]+/(?=[^/]+$)")
_STAGE = re.compile(
    r"^(train|training|val|valid|validation|test)[/_]|/dataloader_idx_\d+$|_(step|epoch)$"
)


class Point(NamedTuple):
    """A value of a metric and when it was recorded; steps and epochs are counted from 0, as in records."""

    step: float
    epoch: float
    value: float
    seconds: float = 0.0


class Series:
    """One curve of :class:`Point`, thinned so that minima and maxima are preserved."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self.version = 0

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)

    def add(self, step: float, epoch: float, value: float, seconds: float = 0.0) -> None:
        """Add a point; now and then half of them are dropped, at O(1) per point."""
        self.version += 1
        self._points.append(Point(step, epoch, value, seconds))
        if len(self._points) > MAX_POINTS:
            self._points = _thinned(self._points)

    def last(self) -> float:
        """Return the latest value; there must be one."""
        return self._points[-1].value

    def array(self) -> NDArray[np.float64]:
        """Return step, epoch, value and seconds, (n, 4)."""
        return np.array(self._points, dtype=np.float64).reshape(-1, 4)


def _thinned(points: list[Point]) -> list[Point]:
    """Keep the first and last point, and the minimum and maximum of every four points."""
    kept = [points[0]]
    for i in range(1, len(points) - 1, 4):
        four = points[i : min(i + 4, len(points) - 1)]
        low, high = min(four, key=lambda p: p.value), max(four, key=lambda p: p.value)
        kept += [low] if low is high else sorted((low, high))
    kept.append(points[-1])
    return kept


@dataclass
class Panel:
    """One panel of a dashboard.

    Attributes
    ----------
    title, unit
        The quantity shown; the unit is empty if there is none or it is unknown.
    series
        Curves by name.
    lines
        Values known before the first step, by name, such as the untuned model's error.
    best
        The best point of the metric `best_of`, if it is in this panel.
    mode
        Whether that metric should fall, ``"min"``, or rise, ``"max"``.
    """

    title: str
    unit: str = ""
    series: dict[str, Series] = field(default_factory=dict)
    lines: dict[str, float] = field(default_factory=dict)
    best: Point | None = None
    best_of: str = ""
    mode: str = "min"

    def note(self, point: Point) -> None:
        """Make a point the best if it is better than all earlier ones."""
        if self.best is None or rank(point.value, self.mode) > rank(self.best.value, self.mode):
            self.best = point

    def off_scale(self) -> dict[str, float]:
        """Return the lines that are so far above everything else that they are given as text."""
        highest = [series.array()[:, 2].max() for series in self.series.values() if len(series)]
        limit = OFF_SCALE * max(highest or [min(self.lines.values(), default=0.0)])
        return {name: value for name, value in self.lines.items() if value > limit}

    def in_sight(self) -> dict[str, float]:
        """Return the lines that are drawn."""
        told = self.off_scale()
        return {name: value for name, value in self.lines.items() if name not in told}


class CurveData:
    """Sorts a run's records into panels: loss, one error per property, learning rate, and others.

    Parameters
    ----------
    monitor
        The metric that selects the weights to keep, if known.
    mode
        Whether the monitor should fall, ``"min"``, or rise, ``"max"``.
    reserved
        Expected metrics, whose panels are present from the start.
    own
        Custom properties.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: str = "min",
        reserved: Iterable[str] = (),
        own: Iterable[Property] = (),
    ) -> None:
        # a thread adds points while the controls redraw
        self.lock = threading.RLock()
        self.version = 0
        self.damaged = 0
        """Records that could not be read."""
        # set by the caller if known, otherwise worked out from the record
        self.steps_per_epoch: int | None = None
        self.drawn: tuple[object, Figure | None] | None = None
        self.expect(monitor, mode, reserved, own)
        self.clear()

    def expect(
        self,
        monitor: str | None,
        mode: str,
        reserved: Iterable[str] = (),
        own: Iterable[Property] = (),
    ) -> None:
        """Announce what the coming records will contain, see :class:`CurveData`."""
        named = list(own)
        self._headlines = HEADLINES | headlines_of(named) | FOREIGN
        self._main = {*MAIN.values(), *FOREIGN, *(f"val/{prop.main_metric}" for prop in named)}
        losses = {f"{stage}/{p.name}_loss" for stage in ("train", "val", "test") for p in named}
        self._hidden = _NOT_DRAWN | losses | (set(self._headlines) - self._main)
        self._baselines = {
            recorded: (metric, name)
            for metric, headline in self._headlines.items()
            for recorded, name in headline.untuned.items()
        }
        self.monitor, self.mode = monitor, mode
        self._reserved = tuple(reserved)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.version += 1
            self.panels: dict[str, Panel] = {"loss": Panel("loss")}
            self.epoch = self.step = 0
            self.seconds = 0.0
            self.kept: Point | None = None
            self._routes: dict[str, tuple[Series, Panel, float] | None] = {}
            self._clock: deque[tuple[float, float]] = deque(maxlen=200)
            self._time: float | None = None
            self._seen_per_epoch = 0.0
            for metric in self._reserved:
                self._place(metric)

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Add records in the order in which they were written."""
        with self.lock:
            self.version += 1
            for record in records:
                self._take(record)

    def _take(self, record: dict[str, Any]) -> None:
        if record.get("kind") == "resumed":
            # nothing was done in the meantime, which may have been days
            self._clock.clear()
            self._time = None
        elif record.get("kind") == CHANGED:
            if "best_step" in record:
                self._choose_anew(record["best_step"])
        else:
            self._add_metrics(record)

    def _add_metrics(self, record: dict[str, Any]) -> None:
        step, epoch = record.get("step", 0), record.get("epoch", 0)
        self.step, self.epoch = max(self.step, step), max(self.epoch, epoch)
        # the last step of an epoch gives its length
        self._seen_per_epoch = max(self._seen_per_epoch, (step + 1) / (epoch + 1))
        time = record.get("time")
        if isinstance(time, (int, float)):
            self.seconds += 0 if self._time is None else max(time - self._time, 0)
            self._time = time
            self._clock.append((time, step))
        for name, value in record.items():
            if isinstance(value, (int, float)) and name not in ("time", "epoch", "step"):
                self._add(name, step, epoch, float(value))

    def _choose_anew(self, step: float | None) -> None:
        """Make the point of one validation the best so far, if there is one: the criterion has changed."""
        if self.monitor is None:
            return
        panel = self._place(self.monitor)[0]
        points = [p for series in panel.series.values() for p in series if p.step == step]
        panel.best = self.kept = points[0] if points else None

    def _add(self, name: str, step: float, epoch: float, value: float) -> None:
        if name.startswith("baseline/"):
            self._add_line(name, value)
            return
        if name not in self._routes:
            self._routes[name] = self._route(name)
        if (route := self._routes[name]) is None:
            return
        series, panel, factor = route
        series.add(step, epoch, factor * value, self.seconds)
        if name == panel.best_of:
            panel.note(Point(step, epoch, factor * value, self.seconds))
            if name == self.monitor:
                self.kept = panel.best

    def _route(self, name: str) -> tuple[Series, Panel, float] | None:
        """Return the panel and unit for the points of a metric, or ``None`` if it is not drawn."""
        if _STAGE_AND_SET.sub(r"\1/", name) in self._hidden and name != self.monitor:
            return None
        panel, label, factor = self._place(name)
        return panel.series.setdefault(label, Series()), panel, factor

    def _add_line(self, name: str, value: float) -> None:
        metric, line = self._baselines.get(name, ("", ""))
        if metric not in self._main and metric != self.monitor:
            return
        panel, _, factor = self._place(metric)
        panel.lines[line] = factor * value
        if panel.lines.get(UNTUNED) == panel.lines.get(REREFERENCED):
            # the backbone's zero of energy is that of the data
            del panel.lines[REREFERENCED]

    def _place(self, name: str) -> tuple[Panel, str, float]:
        """Return the panel of a metric, its name there, and the factor to the panel's unit."""
        named = _NAMED_SET.match(name)
        metric = f"val/{named[2]}" if named else ""
        if named and metric in self._headlines:
            headline = self._headlines[metric]
            panel = self.panels.setdefault(
                metric, Panel(headline.title, headline.unit, best_of=metric)
            )
            place = panel, named[1], headline.factor
        elif name in self._headlines:
            headline = self._headlines[name]
            # forgetting is least before the first step: no star unless this metric selects the weights
            starred = "" if name in FOREIGN else name
            panel = self.panels.setdefault(
                name, Panel(headline.title, headline.unit, best_of=starred)
            )
            place = panel, headline.curve, headline.factor
        elif name.startswith("lr-") or name == "lr":
            panel = self.panels.setdefault("lr", Panel("learning rate"))
            place = panel, name.removeprefix("lr-"), 1.0
        elif "loss" in name.rsplit("/", 1)[-1]:
            place = self.panels["loss"], name, 1.0
        else:
            # training and validation of the same metric share a panel
            title = _STAGE.sub("", _STAGE.sub("", name)) or name
            place = self.panels.setdefault(title, Panel(title)), name, 1.0
        if name == self.monitor:
            place[0].best_of, place[0].mode = name, self.mode
        return place

    def epoch_length(self) -> float | None:
        """Return the number of optimizer steps per epoch, or ``None`` if not known yet."""
        if self.steps_per_epoch:
            return float(self.steps_per_epoch)
        return self._seen_per_epoch if self.epoch else None

    def steps_per_second(self) -> float | None:
        """Return the speed over the latest records, or ``None`` if unknown."""
        if len(self._clock) < 2:
            return None
        (start, first), (end, last) = self._clock[0], self._clock[-1]
        return (last - first) / (end - start) if last > first and end > start else None

    def ordered(self) -> list[Panel]:
        """Return the panels in display order: loss, errors, learning rate, then others."""
        return self._shown()[:MAX_PANELS] or [self.panels["loss"]]

    def n_left_out(self) -> int:
        """Return the number of panels that are not shown because there are too many."""
        return max(len(self._shown()) - MAX_PANELS, 0)

    def _shown(self) -> list[Panel]:
        order = ["loss", *self._headlines, "lr"]
        known = [self.panels[key] for key in order if key in self.panels]
        others = [panel for key, panel in self.panels.items() if key not in order]
        # errors elsewhere are measured before the first step or not at all
        has_begun = bool(self.panels["loss"].series)
        reserved = [
            self._place(metric)[0]
            for metric in self._reserved
            if metric not in FOREIGN or not has_begun
        ]
        return [
            panel
            for panel in known + others
            if panel.series or panel.lines or any(panel is one for one in reserved)
        ]
