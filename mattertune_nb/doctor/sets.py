"""Rules about validation beside training: what stands in both, and what training lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_MARGIN = 0.05
_SHARE = 0.05
"""Of validation frames that may lie beyond the training set's range."""


def against_training(validation: Case, training: Case) -> Iterator[Finding]:
    """Find what validation has in common with training, and what of it training lacks.

    Parameters
    ----------
    validation, training
        The two sets.
    """
    yield from _overlap(validation, training)
    yield from _elements(validation, training)
    own, other = validation.facts, training.facts
    volumes = own.volume / own.n_atoms, other.volume / other.n_atoms
    yield from _range(validation, "volume per atom (Å³)", *volumes, below=True)
    forces = own.force_max, other.force_max
    yield from _range(validation, "largest force (eV/Å)", *forces, below=False)


def _overlap(validation: Case, training: Case) -> Iterator[Finding]:
    rows = np.flatnonzero(np.isin(validation.facts.keys.structure, training.facts.keys.structure))
    if len(rows):
        yield Finding(
            "validation-in-training",
            "error",
            f"{len(rows)} of {len(validation.facts)} validation frames are also trained on: errors there say "
            "how well they were learnt by heart.",
            "Take them out of one of the two, or let one data set be divided (data.type: auto_split).",
            validation.facts.numbers_of(rows),
            validation.source,
        )


def _elements(validation: Case, training: Case) -> Iterator[Finding]:
    trained = training.facts.counts.any(axis=0)
    for z in np.flatnonzero(validation.facts.counts.any(axis=0) & ~trained).tolist():
        rows = np.flatnonzero(validation.facts.counts[:, z])
        yield Finding(
            "element-not-trained",
            "warning",
            f"{chemical_symbols[z]} is in {len(rows)} validation frames and in no training frame: no "
            "reference energy is fitted for it.",
            "Train on frames with it, or take these out.",
            validation.facts.numbers_of(rows),
            validation.source,
        )


def _range(
    validation: Case,
    what: str,
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    below: bool,
) -> Iterator[Finding]:
    if not np.isfinite(own).any() or not np.isfinite(other).any():
        return
    low, high = float(np.nanmin(other)), float(np.nanmax(other))
    margin = _MARGIN * (high - low) + 1e-3 * abs(high)
    beyond = own > high + margin
    if below:
        beyond |= own < low - margin
    rows = np.flatnonzero(beyond)
    if len(rows) > _SHARE * len(own):
        yield Finding(
            "range-not-trained",
            "warning",
            f"{len(rows)} of {len(own)} validation frames lie beyond the training set in {what}: it has "
            f"{low:.3g} to {high:.3g}, validation {np.nanmin(own):.3g} to {np.nanmax(own):.3g}.",
            "Errors there are those of extrapolation; train on such frames if you will meet them.",
            validation.facts.numbers_of(rows),
            validation.source,
        )
