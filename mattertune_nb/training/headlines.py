"""The errors that a run reports, under the names and in the units that people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mattertune_nb.training.stages import REREFERENCED, UNTUNED

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTOR = 1000
"""From eV in a record to meV where a person reads."""


@dataclass(frozen=True)
class Headline:
    """One error on the validation set.

    Attributes
    ----------
    title, unit
        What a person reads, e.g. ``forces MAE`` in ``meV/Å``.
    untuned
        Names of what is known before the first step, by the metric under which it is recorded.
    """

    title: str
    unit: str
    untuned: Mapping[str, str]


def _headline(quantity: str, title: str, unit: str, kind: str) -> Headline:
    untuned = {f"baseline/{quantity}_{kind}": UNTUNED}
    if quantity.startswith("energy"):
        untuned[f"baseline/referenced_{quantity}_{kind}"] = REREFERENCED
    return Headline(f"{title} {kind.upper()}", unit, untuned)


QUANTITIES = {
    "energy_per_atom": ("energy", "meV/atom"),
    "energy": ("total energy", "meV"),
    "forces": ("forces", "meV/Å"),
    "stresses": ("stress", "meV/Å³"),
}
"""What a person calls each quantity of a record, and its unit."""

_BY_PROPERTY = {
    "energy": QUANTITIES["energy_per_atom"],
    "forces": QUANTITIES["forces"],
    "stresses": QUANTITIES["stresses"],
}
TITLES = {name: title for name, (title, _) in _BY_PROPERTY.items()}
UNITS = {name: unit for name, (_, unit) in _BY_PROPERTY.items()}
"""The same by property, of which energies are read per atom."""

HEADLINES: dict[str, Headline] = {
    f"val/{quantity}_{kind}": _headline(quantity, title, unit, kind)
    for kind in ("mae", "rmse")
    for quantity, (title, unit) in QUANTITIES.items()
}
"""All errors by the metric under which they are recorded, in eV."""

MAIN = {
    "energy": "val/energy_per_atom_mae",
    "forces": "val/forces_mae",
    "stresses": "val/stresses_mae",
}
"""The error of each property that is shown first."""


LOSSES = {"train/total_loss": "training loss", "val/total_loss": "validation loss"}
"""The losses of a run, by the metric under which they are recorded."""


def title_of(metric: str) -> str:
    """Return what a recorded metric is called, e.g. ``forces MAE``; a user's own has its own name."""
    headline = HEADLINES.get(metric)
    return LOSSES.get(metric, metric) if headline is None else headline.title


def in_words(metric: str, value: float) -> str:
    """Return a recorded metric as a person reads it, e.g. ``forces MAE 44.2 meV/Å``."""
    headline = HEADLINES.get(metric)
    if headline is None:
        return f"{title_of(metric)} {value:.4g}"
    return f"{headline.title} {FACTOR * value:.4g} {headline.unit}"


def validation_in_words(epoch: int, steps: int, values: Mapping[str, float]) -> str:
    """Return the line that the log has of a validation.

    Parameters
    ----------
    epoch
        Counted from 0, as in records.
    steps
        Optimizer steps done.
    values
        Metrics as recorded, of which the main ones are told.
    """
    told = [name for name in ("val/total_loss", *MAIN.values()) if name in values]
    errors = ", ".join(in_words(name, values[name]) for name in told)
    return f"epoch {epoch + 1}, step {steps}: {errors}"
