"""Curves as numbers, a row per step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mattertune_nb.widgets.live.series import CurveData
    from mattertune_nb.widgets.page.export import Table


def curve_table(data: CurveData) -> Table | None:
    """Return the points of all curves in the units shown; ``None`` if there are none yet.

    For a long curve these are the points drawn, which preserve its minima and maxima; the record contains all
    of them.
    """
    columns: dict[str, dict[tuple[float, float], float]] = {}
    with data.lock:
        for panel in data.ordered():
            unit = f" ({panel.unit})" if panel.unit else ""
            for name, series in panel.series.items():
                points = series.array().tolist()
                title = f"{panel.title}, {name}{unit}"
                columns[title] = {(s, e): value for s, e, value, _ in points}
    places = sorted({place for points in columns.values() for place in points})
    if not places:
        return None
    # a record counts from 0, people from 1
    table: dict[str, list[Any]] = {
        "step": [int(step) + 1 for step, _ in places],
        "epoch": [epoch + 1 for _, epoch in places],
    }
    for title, points in columns.items():
        table[title] = [points.get(place, "") for place in places]
    return table
