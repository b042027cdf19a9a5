"""Structures with labels from the formats dpdata reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.labels.values import in_voigt_order
from mattertune_nb.data.readers.reader import require_package

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms


def read_by_dpdata(path: Path, fmt: str, what: str, *, is_labelled: bool = True) -> list[Atoms]:
    """Return all frames of a file or folder in one of dpdata's formats.

    Parameters
    ----------
    path
        The file or folder.
    fmt
        dpdata's name of its format.
    what
        The format in words, e.g. ``"a folder of DeePMD"``.
    is_labelled
        Whether it has energies.

    Raises
    ------
    DataError
        It cannot be read, or contains no structure.
    MissingExtraError
        dpdata is not installed.
    """
    require_package(path, what, "dpdata", "dpdata")
    import dpdata

    kind = dpdata.LabeledSystem if is_labelled else dpdata.System
    try:
        frames = _frames(kind(str(path), fmt=fmt))
    except Exception as exc:  # dpdata can raise any error
        msg = f"{path}: cannot be read as {what} ({cause(exc)})."
        raise DataError(msg) from exc
    if not frames:
        msg = f"{path}: holds no structure. Check that the folder is complete."
        raise DataError(msg)
    return frames


def _frames(system: Any) -> list[Atoms]:
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    data = system.data
    names = np.array(data["atom_names"])[np.asarray(data["atom_types"])].tolist()
    frames = []
    for i in range(len(data["coords"])):
        atoms = Atoms(
            names, data["coords"][i], cell=data["cells"][i], pbc=not data.get("nopbc", False)
        )
        results: dict[str, Any] = {}
        if "energies" in data:
            results["energy"] = float(data["energies"][i])
        if "forces" in data:
            results["forces"] = np.asarray(data["forces"][i], dtype=float)
        if "virials" in data and atoms.pbc.all():
            # DeePMD's virial in eV is minus the volume times the stress with ASE's sign
            virial = np.asarray(data["virials"][i], dtype=float).reshape(3, 3)
            results["stress"] = in_voigt_order(-virial / atoms.get_volume())
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames
