"""Whether some frames have other structures than the rest, on which a model may be off by more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.doctor.facts import Facts

_TOLD, _KINDS_APART, _VACUUM, _ALONE = 0.78, 4.0, 8.0, 2.0
"""Fraction of frames whose nearest structure is in the same group, which identifies two kinds of structures
(0.83 to 1, compared with up to 0.75 for two settings); weight of the composition; Å; covalent radii."""


def are_other_structures(
    facts: Facts,
    rows: NDArray[np.int64],
    of_part: NDArray[np.bool_],
    guess: NDArray[np.float64] | None = None,
) -> bool:
    """Return whether frames of a part have different structures from the rest: nearest to their own.

    For slabs, molecules or an element an untuned model may be off as much as for other DFT settings.

    Parameters
    ----------
    facts
        All frames.
    rows
        Positions of those that are compared, (n,).
    of_part
        Which of these are in the part, (n,).
    guess
        A predicted value of each in which structures differ as well, e.g. the energy per
        atom, (n,); by default none.
    """
    counts = facts.counts[rows]
    shares = counts[:, counts.any(axis=0)] / counts.sum(axis=1)[:, None]
    gaps = np.minimum(np.nan_to_num(facts.gaps[rows]).max(axis=1), _VACUUM)
    numbers = np.column_stack([
        np.log(facts.n_atoms[rows]), facts.periodic[rows].sum(axis=1), np.nan_to_num(facts.filling[rows]),
        gaps, np.minimum(facts.closest[rows], _ALONE), np.zeros(len(rows)) if guess is None else guess,
    ])  # fmt: skip
    spread = numbers.std(axis=0)
    points = np.column_stack(
        [
            numbers / np.where(spread > 0, spread, 1.0),
            _KINDS_APART * shares,
            _KINDS_APART * charges(facts, rows),
        ]
    )
    _, nearest = KDTree(points).query(points, k=2)
    itself = nearest[:, 0] == np.arange(len(rows))
    is_told = of_part[np.where(itself, nearest[:, 1], nearest[:, 0])] == of_part
    return bool((is_told[of_part].mean() + is_told[~of_part].mean()) / 2 > _TOLD)


def charges(facts: Facts, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the total charges that are written with frames, 0 where there is none, (n,)."""
    given = [facts.dataset.frame(row).info.get("charge") for row in rows.tolist()]
    known = [charge if isinstance(charge, (int, float, np.number)) else 0 for charge in given]
    return np.array(known, dtype=np.float64)
