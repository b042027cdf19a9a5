"""Two elements exchanged throughout the data, detected by exchanging them back in predictions."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.doctor.case import Case, Exchanged
from mattertune_nb.doctor.compared import slope_of, unit
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from mattertune_nb.model.module import FinetuneModuleBase

_SAMPLE, _FEWEST = 6, 3
_MOST_ELEMENTS = 4
_ALIKE, _CLEARLY, _OFF = 0.75, 3.0, 1.6
"""Minimum correlation of matching forces, ratio of the distances from one before and after, maximum slope."""

_WELL = 0.95
"""Correlation of forces that no exchange would improve by that much."""


def exchanged_elements(model: FinetuneModuleBase, case: Case) -> Exchanged | None:
    """Predict a few frames with every pair of elements exchanged, if forces disagree with the prediction.

    Returns
    -------
    Exchanged or None
        The pair for which the forces agree; ``None`` if they agree as they stand, or with no pair.
    """
    forces, facts = case.forces, case.facts
    if forces is None or forces.usual > _WELL:
        return None
    by_size = sorted(np.flatnonzero(forces.telling), key=lambda k: len(forces.labels[k]))
    present = facts.counts[forces.rows].sum(axis=0)
    common = np.argsort(-present)[: min(_MOST_ELEMENTS, int((present > 0).sum()))].tolist()
    found: list[Exchanged] = []
    for one, other in combinations(common, 2):
        both = [k for k in by_size if facts.counts[forces.rows[k]][[one, other]].all()][:_SAMPLE]
        if len(both) < _FEWEST:
            continue
        frames = [_exchanging(facts.dataset.frame(forces.rows[k]), one, other) for k in both]
        results = model.property_predictor().stream(as_dataset(frames), [FORCES.name])
        guesses = [np.asarray(result[FORCES.name]) for _, result in results]
        pairs = list(zip([forces.labels[k] for k in both], guesses, strict=True))
        likeness = float(np.median([unit(label) @ unit(guess) for label, guess in pairs]))
        # forces in a wrong structure are large, and act on a few atoms
        slope = float(np.median([slope_of(label, guess) for label, guess in pairs]))
        if likeness > _ALIKE and 1 / _OFF < slope < _OFF:
            before = float(np.median(forces.likeness[both]))
            names = (chemical_symbols[one], chemical_symbols[other])
            found.append(Exchanged(names, (before, likeness), len(frames)))
    return max(found, key=lambda exchanged: exchanged.likeness[1], default=None)


def _exchanging(atoms: Atoms, one: int, other: int) -> Atoms:
    """Return a structure with two elements exchanged."""
    swapped = atoms.copy()
    swapped.numbers[atoms.numbers == one] = other
    swapped.numbers[atoms.numbers == other] = one
    return swapped


def exchanged(case: Case) -> Iterator[Finding]:
    """Find two elements that are exchanged."""
    found = case.exchanged
    if found is not None and 1 - found.likeness[0] > _CLEARLY * (1 - found.likeness[1]):
        one, other = found.elements
        yield Finding(
            "exchanged-elements",
            "error",
            f"{one} and {other} are exchanged: with the two swapped in {found.n_frames} frames, the forces "
            f"have a correlation of {found.likeness[1]:.2f} with the untuned model instead of "
            f"{found.likeness[0]:.2f}.",
            f"Swap {one} and {other}; a list of types was probably read in another order.",
            source=case.source,
        )


RULES = (exchanged,)
