"""Forces of other atoms and of other frames, told by the untuned backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_ALIKE, _UNLIKE = 0.9, 0.5
"""Correlations of forces that belong together, and that do not."""


def misplaced_forces(case: Case) -> Iterator[Finding]:
    """Find forces that are shifted by an atom, or that belong to another frame."""
    if case.forces is None:
        return
    rows, labels, guesses = case.forces.rows, case.forces.labels, case.forces.guesses
    directions = [_unit(part) for part in labels]
    expected = [_unit(part) for part in guesses]
    by_shape: dict[int, list[int]] = {}
    for k, part in enumerate(labels):
        by_shape.setdefault(len(part), []).append(k)
    shifted, foreign = [], []
    for k, own in enumerate(directions):
        if float(own @ expected[k]) > _UNLIKE or len(labels[k]) < 2:
            continue
        turns = [_unit(np.roll(labels[k], turn, axis=0)) for turn in (1, -1)]
        others = [m for m in by_shape[len(labels[k])] if m != k]
        if max(float(turn @ expected[k]) for turn in turns) > _ALIKE:
            shifted.append(rows[k])
        elif any(_belongs(own, directions[m], expected[m]) for m in others):
            foreign.append(rows[k])
    for found, id_, what in (
        (shifted, "shifted-forces", "are those of the atom before or after each"),
        (foreign, "foreign-forces", "are those of another frame"),
    ):
        if found:
            yield Finding(
                id_,
                "error",
                f"the forces of {len(found)} of {len(rows)} frames looked at {what}: so read they correlate "
                f"more than {_ALIKE:g} with the untuned model, as they stand less than {_UNLIKE:g}.",
                "Read forces and positions again from the calculation, in the same order of atoms.",
                case.facts.numbers_of(found),
                case.source,
            )


def _belongs(
    forces: NDArray[np.float64], there: NDArray[np.float64], expected: NDArray[np.float64]
) -> bool:
    """Return whether forces are what is expected of another frame, and more so than those that are there."""
    likeness = float(forces @ expected)
    return likeness > _ALIKE and likeness > float(there @ expected)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return forces as one vector of length one; zero stays zero."""
    flat = np.ravel(values)
    length = float(np.linalg.norm(flat))
    return flat / length if length else flat


RULES = (misplaced_forces,)
