"""Isolated atoms, whose energies are references rather than training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.config.task import ISOLATED_ATOMS
from mattertune_nb.data.soundness import cell_heights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset

_SAME = 1e-3  # eV; energies of an atom that differ by less are equal
_FAR = 8.0  # Å; beyond this, neither an atom nor a backbone feels periodic images


def is_isolated_atom(atoms: Atoms) -> bool:
    """Return whether a structure is an isolated atom: marked as such, as for MACE, or far from its images."""
    if len(atoms) != 1:
        return False
    called = str(atoms.info.get("config_type", "")).lower().replace("_", "")
    if called == "isolatedatom" or not atoms.pbc.any():
        return True
    if atoms.cell.rank < 3:
        return False
    return bool(cell_heights(atoms)[atoms.pbc].min() > _FAR)


def without_isolated_atoms(
    datasets: Mapping[str, AtomsDataset],
) -> tuple[dict[str, AtomsDataset], list[str]]:
    """Return data sets without isolated atoms, and a sentence about those left out.

    Parameters
    ----------
    datasets
        Data sets by name. A set of only isolated atoms is unchanged, as is one that keeps them.

    Raises
    ------
    DataError
        A single atom cannot be read.
    """
    kept, count = dict(datasets), 0
    energies: dict[str, float | None] = {}
    for stage, dataset in datasets.items():
        kept[stage], alone = separated(dataset)
        if alone is not None:
            count += len(alone)
            energies |= energies_of(alone)
    return kept, [isolated_in_words(count, energies)] if count else []


def separated(dataset: AtomsDataset) -> tuple[AtomsDataset, AtomsDataset | None]:
    """Return a data set without its isolated atoms, and these, if they are left out."""
    alone = [] if dataset.keeps_isolated_atoms else _isolated(dataset)
    if not alone or len(alone) == len(dataset):
        return dataset, None
    return dataset.take(np.setdiff1d(np.arange(len(dataset)), alone)), dataset.take(alone)


def energies_of(alone: AtomsDataset) -> dict[str, float | None]:
    """Return the energy of isolated atoms in eV, by symbol; None if it has none that can be read."""
    return {str(alone.frame(i).symbols[0]): _energy(alone, i) for i in range(len(alone))}


def isolated_in_words(count: int, energies: Mapping[str, float | None]) -> str:
    """Return a sentence about isolated atoms left out, with the energy of each element in eV, and advice."""
    told = ", ".join(
        symbol if energy is None else f"{symbol} {energy:.6g} eV"
        for symbol, energy in energies.items()
    )
    what = "1 isolated atom" if count == 1 else f"{count} isolated atoms"
    return (
        f"{what} ({told}) left out of the frames: such energies are references. per_element_references: "
        f"{ISOLATED_ATOMS} takes them as the reference energies, isolated_atoms: frames keeps them as frames."
    )


def isolated_atoms(datasets: Mapping[str, AtomsDataset]) -> dict[str, AtomsDataset]:
    """Return, for each element with an isolated atom that has an energy, a data set of that atom.

    Raises
    ------
    DataError
        Isolated atoms of one element have different energies, or one cannot be read.
    """
    found: dict[str, AtomsDataset] = {}
    energies: dict[str, float] = {}
    for dataset in datasets.values():
        for i in _isolated(dataset):
            energy = dataset.labels(i, {ENERGY: "mask"}).get(ENERGY.name)
            if energy is None:
                continue
            symbol = str(dataset.frame(i).symbols[0])
            before = energies.setdefault(symbol, float(energy))
            if abs(float(energy) - before) > _SAME:
                msg = (
                    f"{dataset.source(i)}: an isolated atom of {symbol} has {float(energy):.6g} eV, and "
                    f"another {before:.6g} eV. Keep the one whose energy is the reference."
                )
                raise DataError(msg)
            found.setdefault(symbol, dataset.take([i]))
    return found


def _isolated(dataset: AtomsDataset) -> list[int]:
    single = np.flatnonzero(dataset.n_atoms() == 1)
    return [int(i) for i in single if is_isolated_atom(dataset.frame(int(i)))]


def _energy(dataset: AtomsDataset, i: int) -> float | None:
    try:
        energy = dataset.labels(i, {ENERGY: "mask"}).get(ENERGY.name)
    except DataError:  # an unknown unit, which is reported when the label is read
        return None
    return None if energy is None else float(energy)
