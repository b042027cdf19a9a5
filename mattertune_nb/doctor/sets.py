"""Rules about validation relative to training: what occurs in both, and what training lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.data.near import near_structures
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_MARGIN = 0.05
_SHARE = 0.05
"""Fraction of validation frames that may lie beyond the range of the training set."""


def against_training(validation: Case, training: Case) -> Iterator[Finding]:
    """Find what validation shares with training, and what training lacks.

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
    own, trained = near_structures(validation.facts.keys, training.facts.keys)
    rows = np.flatnonzero(np.isin(own, trained))
    if len(rows):
        yield Finding(
            "validation-in-training",
            "error",
            f"{len(rows)} of {len(validation.facts)} validation frames are also in the training set: errors "
            "there show how well they were memorised.",
            "Remove them from one of the two, or split a single data set (data.type: auto_split).",
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
            f"{chemical_symbols[z]} occurs in {len(rows)} validation frames but in no training frame: no "
            "reference energy is fitted for it.",
            "Train on frames with it, or remove these.",
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
            "Errors there are extrapolation errors; train on such frames if you expect to encounter them.",
            validation.facts.numbers_of(rows),
            validation.source,
        )
