"""Errors of the stages of a model as a table in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mattertune_nb.config.properties import PROPERTIES, UNREFIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROWS = {prop.main_metric: f"{prop.title} ({prop.shown_unit})" for prop in PROPERTIES.values()}


def error_table(stages: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Return a table of mean absolute errors in meV units, a column for each stage of a model.

    A dash stands where a stage has no such error; what no stage has is left out.
    """
    table = Table(title=Text(title))
    table.add_column("mean absolute error")
    for stage in stages:
        table.add_column(stage, justify="right")
    for key, label in _ROWS.items():
        if any(key in errors for errors in stages.values()):
            cells = (f"{1000 * e[key]:,.1f}" if key in e else "–" for e in stages.values())
            table.add_row(label, *cells)
    # of validation sets with a name of their own
    for key in dict.fromkeys(k for errors in stages.values() for k in errors if "/" in k):
        name, _, metric = key.rpartition("/")
        if metric in _ROWS:
            cells = (f"{1000 * e[key]:,.1f}" if key in e else "–" for e in stages.values())
            table.add_row(f"{name}: {_ROWS[metric]}", *cells)
    told = {name for prop in PROPERTIES.values() for name in prop.metrics()}
    for key in dict.fromkeys(k for errors in stages.values() for k in errors if k.endswith("_mae")):
        metric = key.rpartition("/")[2]
        if metric not in told and not metric.startswith(UNREFIT):
            # a property of the user's own, in the unit of its labels
            cells = (f"{e[key]:,.4g}" if key in e else "–" for e in stages.values())
            table.add_row(key.removesuffix("_mae").replace("_", " "), *cells)
    return table
