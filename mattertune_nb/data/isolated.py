"""Isolated atoms, whose energies are references and no frames to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset


def is_isolated_atom(atoms: Atoms) -> bool:
    """Return whether a structure is one atom by itself: without periodicity, or called so, as for MACE."""
    if len(atoms) != 1:
        return False
    called = str(atoms.info.get("config_type", "")).lower().replace("_", "")
    return called == "isolatedatom" or not atoms.pbc.any()


def without_isolated_atoms(
    datasets: Mapping[str, AtomsDataset],
) -> tuple[dict[str, AtomsDataset], list[str]]:
    """Return data sets without isolated atoms, and a sentence that says which were left out.

    Parameters
    ----------
    datasets
        Each by its name. One of nothing else is left as it is, and one that keeps them.

    Raises
    ------
    DataError
        A single atom cannot be read.
    """
    kept, energies, count = {}, {}, 0
    for stage, dataset in datasets.items():
        if dataset.keeps_isolated_atoms:
            kept[stage] = dataset
            continue
        single = np.flatnonzero(dataset.n_atoms() == 1)
        isolated = [int(i) for i in single if is_isolated_atom(dataset.frame(int(i)))]
        kept[stage] = dataset
        if not isolated or len(isolated) == len(dataset):
            continue
        count += len(isolated)
        kept[stage] = dataset.take(np.setdiff1d(np.arange(len(dataset)), isolated))
        for i in isolated:
            energies[dataset.frame(i).symbols[0]] = _energy(dataset, i)
    if not count:
        return kept, []
    told = ", ".join(
        symbol if energy is None else f"{symbol} {energy:.6g} eV"
        for symbol, energy in energies.items()
    )
    text = (
        f"{count} frames are isolated atoms ({told}): their energies are references and no frames, so that "
        "they are left out; isolated_atoms: frames keeps them."
    )
    return kept, [text]


def _energy(dataset: AtomsDataset, i: int) -> float | None:
    try:
        energy = dataset.labels(i, {"energy": "mask"}).get("energy")
    except DataError:  # a unit that is not known, which is said where the label is read
        return None
    return None if energy is None else float(energy)
