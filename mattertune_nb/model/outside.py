"""Structures of which the reference energies know nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from mattertune_nb.model.module import FinetuneModuleBase


def outside_references(model: FinetuneModuleBase, atoms: Sequence[Atoms]) -> str:
    """Say where the reference energies, fitted or given, say nothing about a composition.

    With one ratio of H to O in the training set, for example, the energy of a structure with
    another ratio is known only up to a constant.
    """
    counts = np.stack([np.bincount(a.numbers, minlength=N_ELEMENTS) for a in atoms])
    outside = np.flatnonzero(model.normalization.extrapolates(counts))
    if not len(outside):
        return ""
    return outside_in_words(len(outside), len(atoms), atoms[int(outside[0])])


def outside_in_words(n_outside: int, n_structures: int, first: Atoms) -> str:
    """Say of how many structures, and of which first, :func:`outside_references` is true."""
    formula = first.get_chemical_formula()
    return (
        f"The reference energies say nothing about the composition of {n_outside} of {n_structures} "
        f"structures (first: {formula}): compare energies only with others of the same composition. "
        "Forces and stress are not affected."
    )
