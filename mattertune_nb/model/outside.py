"""Structures for which the reference energies are undetermined."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.potential import Potential


def outside_references(model: Potential, atoms: Sequence[Atoms] | AtomsDataset) -> str:
    """Say whether the reference energies, fitted or given, are undetermined for a composition.

    If the training set has a single ratio of H to O, for example, the energy of a structure with another
    ratio is known only up to a constant.
    """
    n = len(atoms)
    counts = np.stack([np.bincount(atoms[i].numbers, minlength=N_ELEMENTS) for i in range(n)])
    outside = np.flatnonzero(model.normalization.extrapolates(counts))
    if not len(outside):
        return ""
    return outside_in_words(len(outside), n, atoms[int(outside[0])])


def warn_outside_references(model: Potential, atoms: Sequence[Atoms] | AtomsDataset) -> None:
    """Warn if :func:`outside_references` has something to say."""
    message = outside_references(model, atoms)
    if message:
        warnings.warn(message, UserWarning, stacklevel=3)


def outside_in_words(n_outside: int, n_structures: int, first: Atoms) -> str:
    """Describe how many structures, and which first, :func:`outside_references` is true for."""
    formula = first.get_chemical_formula()
    return (
        f"The reference energies are undetermined for the composition of {n_outside} of {n_structures} "
        f"structures (first: {formula}): compare energies only with others of the same composition. "
        "Forces and stress are not affected."
    )
