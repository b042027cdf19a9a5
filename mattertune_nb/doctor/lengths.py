"""Lengths in Bohr where Å are expected: of the positions, the cell, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units

from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.doctor.facts import Contacts, empty_layers
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_SAMPLE, _FEWEST = 24, 3
_NEAREST, _FARTHEST = 0.7, 1.3
"""Distance between the two nearest atoms relative to the sum of their covalent radii, in sound structures."""

_GAP, _VACUUM = 3.5, 8.0  # Å, above which a layer is empty, and is meant to be
_MOST, _FEW = 0.8, 0.2
_NOBLE = (2, 10, 18, 36, 54)

_READ_AS = {
    "positions and cell": (units.Bohr, units.Bohr),
    "cells": (1.0, units.Bohr),
    "positions": (units.Bohr, 1.0),
}
"""Factors of the positions and of the cell."""


def length_units(case: Case) -> Iterator[Finding]:
    """Find sets whose structures make sense only if their positions or cells are read in Bohr."""
    facts = case.facts
    usable = np.flatnonzero((facts.n_atoms > 2) & ~facts.is_broken)
    usable = usable[facts.counts[usable][:, _NOBLE].sum(axis=1) == 0]
    rows = usable[evenly_spread(len(usable), _SAMPLE)]
    # the structures as they stand were already examined; if they are sound no frame is read again
    nearest = facts.closest[rows]
    is_dense = ~facts.periodic[rows].all(axis=1) | _is_filled(facts.gaps[rows])
    as_is = (
        float(np.mean((nearest > _NEAREST) & (nearest < _FARTHEST) & is_dense))
        if len(rows)
        else 0.0
    )
    if len(rows) < _FEWEST or as_is > _FEW:
        return
    frames = [facts.dataset.frame(i) for i in rows.tolist()]
    shares = {what: _share(frames, *factors) for what, factors in _READ_AS.items()}
    what = max(shares, key=lambda what: shares[what])
    if shares[what] > _MOST:
        yield Finding(
            "length-unit",
            "error",
            f"the {what} are in Bohr: read that way, {100 * shares[what]:.0f} % of {len(frames)} frames have "
            f"their nearest atoms {_NEAREST:g} to {_FARTHEST:g} times the sum of covalent radii apart and no "
            f"empty layer of {_GAP:g} Å in a cell, as they stand {100 * as_is:.0f} %.",
            f"Multiply the {what} by 0.529177 Å.",
            source=case.source,
        )


def _is_filled(gaps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the empty layers along the axes, (..., 3), are those of a crystal, a slab or a wire."""
    is_full = gaps < _GAP
    return np.asarray((is_full | (gaps >= _VACUUM)).all(axis=-1) & is_full.any(axis=-1))


def _share(frames: list[Atoms], of_positions: float, of_cell: float) -> float:
    """Return the fraction of structures that are sound with scaled positions and cells."""
    return float(np.mean([_is_sound(atoms, of_positions, of_cell) for atoms in frames]))


def _is_sound(atoms: Atoms, of_positions: float, of_cell: float) -> bool:
    scaled = atoms.copy()
    scaled.set_cell(of_cell * atoms.cell.array)
    scaled.positions *= of_positions
    if not _NEAREST < Contacts(scaled).closest()[0] < _FARTHEST:
        return False
    if not scaled.pbc.all() or scaled.cell.rank < 3:
        return of_cell == of_positions
    gaps, _ = empty_layers(scaled)
    if not _is_filled(gaps):
        return False
    return of_cell in (of_positions, 1.0) or _fits_smaller_cell(atoms, scaled, gaps)


def _fits_smaller_cell(atoms: Atoms, scaled: Atoms, gaps: NDArray[np.float64]) -> bool:
    """Return whether atoms are those of a smaller cell; a molecule in the middle of a box fits one, too."""
    is_full = gaps < _GAP
    if not empty_layers(atoms)[1][is_full].all():
        return False
    if is_full.all():
        return True
    # images complete the atoms of a layer, and have no place beside those of a flat molecule
    alone = scaled.copy()
    alone.pbc = False
    within = Contacts(alone)
    uneven, uneven_alone = (
        sum(float(np.ptp(bonds[atoms.numbers == z])) for z in np.unique(atoms.numbers))
        for bonds in (Contacts(scaled).bonds(), within.bonds())
    )
    return uneven < uneven_alone or within.n_crossing >= len(atoms)


RULES = (length_units,)
