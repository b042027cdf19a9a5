"""Reasons why a structure cannot be computed, in general or by one backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

_FLAT = 1e-6  # Å³, Å² or Å; no real cell is that small
_TOUCHING = 1e-4  # Å


def geometry_problem(atoms: Atoms) -> str | None:
    """Return why no neighbour list can be built for a structure, or None."""
    if len(atoms) == 0:
        return "has no atoms. Remove the frame."
    from ase.data import chemical_symbols

    beyond = (atoms.numbers < 0) | (atoms.numbers >= len(chemical_symbols))
    if beyond.any():
        i = int(np.argmax(beyond))
        return (
            f"atom {i} has the atomic number {atoms.numbers[i]}, which is not an element. Correct or remove "
            "the frame."
        )
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        return (
            f"the position of atom {np.argmin(finite)} is not finite. Correct or remove the frame."
        )
    if not np.isfinite(atoms.cell.array).all():
        return "the cell is not finite. Correct or remove the frame."
    vectors = atoms.cell.array[atoms.pbc]
    if len(vectors) and np.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0)) < _FLAT:
        return (
            f"the cell has no volume although it is periodic (pbc={atoms.pbc.tolist()}). "
            "Give the lattice vectors, or set pbc to False."
        )
    return None


def problem_of(atoms: Atoms, known: set[int]) -> str | None:
    """Return why a structure cannot be used by a backbone that knows some elements, or None."""
    problem = geometry_problem(atoms)
    if problem:
        return problem
    unknown = set(atoms.numbers.tolist()) - known
    if unknown:
        i = int(np.flatnonzero(np.isin(atoms.numbers, list(unknown)))[0])
        return (
            f"the backbone does not know element '{atoms.symbols[i]}' (atom {i}); it knows "
            f"{_listed(known)}. Remove such frames, or choose another backbone."
        )
    pair = same_place(atoms)
    if pair:
        return f"atoms {pair[0]} and {pair[1]} are in the same place. Correct or remove the frame."
    return None


def _listed(known: set[int]) -> str:
    from ase.data import chemical_symbols

    if len(known) > 12:
        return f"{len(known)} others"
    return ", ".join(chemical_symbols[z] for z in sorted(known))


def same_place(atoms: Atoms) -> tuple[int, int] | None:
    """Return two atoms at the same position, including periodic images, or None.

    Positions are sorted along one direction, so that only neighbours along it are compared.
    """
    from ase.cell import Cell

    positions = atoms.positions
    if atoms.pbc.any():
        cell = Cell(atoms.cell.array * atoms.pbc[:, None]).complete()
        scaled = cell.scaled_positions(positions)
        # the cut avoids corners and centres, where atoms sit and rounding would separate them
        scaled[:, atoms.pbc] = (scaled[:, atoms.pbc] + 0.0137) % 1.0
        positions = scaled @ cell.array
    order = np.argsort(positions @ np.array([0.61, 0.53, 0.59]))
    steps = np.abs(np.diff(positions[order], axis=0)).max(axis=1, initial=0.0)
    close = np.flatnonzero(steps < _TOUCHING)
    if not len(close):
        return None
    i, j = sorted(order[close[0] : close[0] + 2].tolist())
    return i, j


def cell_heights(atoms: Atoms) -> NDArray[np.float64]:
    """Return the distances between opposite faces of a cell, (3,) in Å."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0))
