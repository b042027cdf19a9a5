"""Errors of the stages of a model as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mattertune_nb.config.properties import PROPERTIES, UNREFIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROWS = {prop.main_metric: f"{prop.title} ({prop.shown_unit})" for prop in PROPERTIES.values()}


def error_table(stages: Mapping[str, Mapping[str, float]], title: str = "") -> Table:
    """Return a table of mean absolute errors in meV units, one column per stage of a model.

    A dash marks errors that a stage does not have; rows without any are left out.
    """
    table = Table(title=Text(title) if title else None)
    table.add_column("mean absolute error")
    for stage in stages:
        table.add_column(stage, justify="right")

    def cells(key: str, written: str, factor: float = 1.0) -> list[str]:
        return [format(factor * e[key], written) if key in e else "–" for e in stages.values()]

    there = list(dict.fromkeys(key for errors in stages.values() for key in errors))
    for key, label in _ROWS.items():
        if key in there:
            table.add_row(label, *cells(key, ",.1f", 1000.0))
    # of named validation sets
    for key in there:
        name, _, metric = key.rpartition("/")
        if name and metric in _ROWS:
            table.add_row(f"{name}: {_ROWS[metric]}", *cells(key, ",.1f", 1000.0))
    told = {name for prop in PROPERTIES.values() for name in prop.metrics()}
    for key in there:
        metric = key.rpartition("/")[2]
        is_own = metric not in told and not metric.startswith(UNREFIT)
        if key.endswith("_mae") and is_own:
            # a custom property, in the unit of its labels
            table.add_row(key.removesuffix("_mae").replace("_", " "), *cells(key, ",.4g"))
    return table
