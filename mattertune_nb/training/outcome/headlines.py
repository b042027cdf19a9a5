"""The errors that a run reports, with the names and units that people read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, UNREFIT
from mattertune_nb.training.outcome.stages import REREFERENCED, UNTUNED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mattertune_nb.config.properties import Property, Quantity


@dataclass(frozen=True)
class Headline:
    """One error on the validation set.

    Attributes
    ----------
    title, unit
        As people read them, e.g. ``forces MAE`` in ``meV/Å``.
    factor
        Factor from the record to that unit.
    untuned
        Names of values known before the first step, by the metric under which they are recorded.
    curve
        Name of the curve.
    """

    title: str
    unit: str
    factor: float
    untuned: Mapping[str, str]
    curve: str = "validation"


def _headline(prop: Property, quantity: Quantity, kind: str) -> Headline:
    untuned = {f"baseline/{quantity.name}_{kind}": UNTUNED}
    if prop.has_references:
        untuned[f"baseline/referenced_{quantity.name}_{kind}"] = REREFERENCED
    return Headline(f"{quantity.title} {kind.upper()}", quantity.unit, prop.factor, untuned)


def headlines_of(properties: Iterable[Property]) -> dict[str, Headline]:
    """Return all errors of some `properties` by the metric under which they are recorded."""
    properties = list(properties)
    return {
        f"val/{quantity.name}_{kind}": _headline(prop, quantity, kind)
        for kind in ("mae", "rmse")
        for prop in properties
        for quantity in prop.quantities
    }


HEADLINES = headlines_of(PROPERTIES.values())
"""All errors by the metric under which they are recorded, in eV."""

MAIN = {name: f"val/{prop.main_metric}" for name, prop in PROPERTIES.items()}
"""The error of each property that is shown first."""


FOREIGN = {
    f"foreign/{prop.main_metric}": Headline(
        f"{prop.title} elsewhere",
        prop.shown_unit,
        prop.factor,
        {f"baseline/foreign/{prop.main_metric}": UNTUNED},
        "in training",
    )
    for prop in (FORCES, ENERGY)
}
"""Errors on structures away from the target; changes for those without labels."""

LOSSES = {"train/total_loss": "training loss", "val/total_loss": "validation loss"}
"""The losses of a run, by the metric under which they are recorded."""


_OWN = re.compile(rf"^val/(?!{UNREFIT})([A-Za-z]\w*)_mae$")
"""The main error of a custom property."""


def title_of(metric: str) -> str:
    """Return the name of a recorded metric for people, e.g. ``forces MAE``; a custom one keeps its own."""
    headline, own = (HEADLINES | FOREIGN).get(metric), _OWN.match(metric)
    if headline is not None:
        return headline.title
    return f"{own[1].replace('_', ' ')} MAE" if own else LOSSES.get(metric, metric)


def in_words(metric: str, value: float) -> str:
    """Return a recorded metric for people, e.g. ``forces MAE 44.2 meV/Å``."""
    headline = HEADLINES.get(metric)
    if headline is None:
        return f"{title_of(metric)} {value:.4g}"
    return f"{headline.title} {headline.factor * value:.4g} {headline.unit}"


def validation_in_words(epoch: int, steps: int, values: Mapping[str, float]) -> str:
    """Return the log line of a validation.

    Parameters
    ----------
    epoch
        Counted from 0, as in records.
    steps
        Optimizer steps done.
    values
        Metrics as recorded, of which the main ones are reported.
    """
    told = [name for name in ("val/total_loss", *MAIN.values()) if name in values]
    told += [name for name in values if name not in HEADLINES and _OWN.match(name)]
    errors = ", ".join(in_words(name, values[name]) for name in told)
    return f"epoch {epoch + 1}, step {steps}: {errors}"
