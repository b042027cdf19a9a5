"""Labels of a structure: where files keep them, in one form, and errors that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.data.plain import calculator_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

LABELS = ("energy", "forces", "stresses")
"""Names of labels, in the order in which they are reported."""

Labels = dict[str, "float | NDArray[np.float64]"]
"""``{"energy": eV, "forces": (n, 3) eV/Å, "stresses": (6,) eV/Å³}``; a missing label has no key."""

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_STANDARD = {"energy": "energy", "forces": "forces", "stresses": "stress"}
_FIELDS = {"energy": "energy_key", "forces": "forces_key", "stresses": "stress_key"}


@dataclass(frozen=True, slots=True)
class LabelKeys:
    """Names under which a file keeps its labels; ``None`` stands for ASE's standard name."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None

    def name(self, label: str) -> str:
        """Return the key of a label, e.g. ``"stress"`` for ``"stresses"``."""
        key = {"energy": self.energy, "forces": self.forces, "stresses": self.stress}[label]
        return _STANDARD[label] if key is None else key


def read_labels(
    atoms: Atoms,
    keys: LabelKeys | None = None,
    missing: Mapping[Any, Literal["error", "mask"]] | None = None,
    *,
    source: str = "structure",
) -> Labels:
    """Read the labels of one structure in float64.

    A label is looked for in ``atoms.info`` and ``atoms.arrays`` and among the results of
    ``atoms.calc``, where ASE's readers put it. Results count only for the geometry they were
    computed at: frames that share one live calculator would otherwise all get the labels of the last.

    Parameters
    ----------
    atoms
        The structure.
    keys
        Where the labels are; by default under ASE's standard names.
    missing
        The labels to read, and for each whether a frame without it, or with one that cannot be used
        (wrong shape, NaN, a stress without a cell periodic in three directions), is an error or is
        left out. ``None`` reads what there is; a label that cannot be used is then an error.
    source
        Name of the structure in errors, e.g. ``"a.xyz, frame 12"``.

    Returns
    -------
    Labels
        ``energy`` in eV, ``forces`` (n, 3) in eV/Å, ``stresses`` (6,) in eV/Å³, with ASE's sign and
        order xx, yy, zz, yz, xz, xy.

    Raises
    ------
    DataError
        Names frame, field and remedy.
    """
    keys = keys or LabelKeys()
    stored = stored_values(atoms)
    labels: Labels = {}
    for label in LABELS if missing is None else missing:
        key = keys.name(label)
        value = stored.get(key)
        if value is None:
            problem = None if missing is None else _absent(atoms, stored, label, key)
        else:
            value, problem = _parse(atoms, label, key, value)
        if problem is None:
            if value is not None:
                labels[label] = value
        elif missing is None or missing[label] == "error":
            msg = f"{source}: {problem}"
            raise DataError(msg)
    return labels


def stored_values(atoms: Atoms) -> dict[str, Any]:
    """Return all that a structure carries beside its geometry, by key; info comes first."""
    results = calculator_results(atoms)
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    return {k: v for k, v in {**results, **arrays, **atoms.info}.items() if v is not None}


def likely_keys(atoms: Atoms) -> dict[str, list[str]]:
    """Return for each label the keys that may hold it, the likeliest first.

    Judged by name and shape: a scalar with *energy* in its name, an (n, 3) array with *force*, 6
    or 9 numbers with *stress*. A virial or a gradient is none, as its sign or its unit differs.
    """
    found: dict[str, list[str]] = {label: [] for label in LABELS}
    for key, value in stored_values(atoms).items():
        array, name = _numbers(value), key.lower()
        if array is None:
            continue
        if "energy" in name and "per_atom" not in name and array.size == 1:
            found["energy"].append(key)
        elif "force" in name and array.shape == (len(atoms), 3):
            found["forces"].append(key)
        elif "stress" in name and array.shape in ((6,), (9,), (3, 3)):
            found["stresses"].append(key)
    for label, names in found.items():
        names.sort(key=lambda k: -SequenceMatcher(None, k.lower(), _STANDARD[label]).ratio())
    return found


def keys_to_set(found: Mapping[str, list[str]]) -> dict[str, str]:
    """Return the settings of a data set that name its labels, where they have no standard name.

    Parameters
    ----------
    found
        What :func:`likely_keys` returned.

    Returns
    -------
    dict
        E.g. ``{"energy_key": "REF_energy"}``.
    """
    return {
        _FIELDS[label]: keys[0]
        for label, keys in found.items()
        if keys and _STANDARD[label] not in keys
    }


def _numbers(value: Any) -> NDArray[np.float64] | None:
    """Return a value in float64, or None where it is not made of numbers."""
    if isinstance(value, (bool, str)):
        return None
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "iuf" else None
    except (TypeError, ValueError):
        return None


def _parse(
    atoms: Atoms, label: str, key: str, value: Any
) -> tuple[float | NDArray[np.float64] | None, str | None]:
    """Return the label in its one form and None, or None and what is wrong with it."""
    array = _numbers(value)
    remedy = f"Correct it, {mask_remedy(label)}, or name another key with {_FIELDS[label]}."
    if array is None:
        return None, f"{label} ('{key}') is not made of numbers. {remedy}"
    shape = array.shape
    if label == "energy":
        expected, fits = "one number", array.size == 1
    elif label == "forces":
        expected, fits = f"({len(atoms)}, 3)", shape == (len(atoms), 3)
    else:
        expected, fits = "6 (Voigt) or 9 numbers", shape in ((6,), (9,), (3, 3))
    if not fits:
        return None, f"{label} ('{key}') has shape {shape}, expected {expected}. {remedy}"
    bad = ~np.isfinite(array)
    if bad.any():
        atom = f" at atom {np.argwhere(bad)[0][0]}" if label == "forces" else ""
        return None, f"{label} ('{key}') holds {array[bad][0]}{atom}. {remedy}"
    if label == "energy":
        return float(array.reshape(())), None
    if label == "forces":
        return array, None
    if not atoms.pbc.all():
        return None, (
            f"{label} ('{key}') on a structure that is not periodic in all three directions, where "
            f"a stress has no meaning. Set its pbc, or {mask_remedy(label)}."
        )
    if array.size == 9:
        matrix = array.reshape(3, 3)
        array = np.array([(matrix[i, j] + matrix[j, i]) / 2 for i, j in _VOIGT])
    return array, None


def mask_remedy(label: str) -> str:
    """Return what to do about frames without a label, for the end of a message."""
    name = {"energy": "Energy", "forces": "Forces", "stresses": "Stresses"}[label]
    return f'set missing="mask" in {name}PropertyConfig to train on what each frame has'


def _absent(atoms: Atoms, stored: dict[str, Any], label: str, key: str) -> str:
    """Say that a label is missing, what there is instead, and what to do."""
    numeric = [name for name, value in stored.items() if _numbers(value) is not None]
    found = ", ".join(numeric) or (
        "no labels; a calculator's results count only for the positions they were computed at"
    )
    likely = [name for name in likely_keys(atoms)[label] if name != key]
    if likely:
        hint = f"Set {_FIELDS[label]}='{likely[0]}', or {mask_remedy(label)}."
    else:
        hint = f"Name its key with {_FIELDS[label]}, or {mask_remedy(label)}."
        hint += did_you_mean(key, numeric)
    if label == "stresses" and any("virial" in name.lower() for name in numeric):
        hint += " A virial is not a stress: stress = -virial / volume."
    return f"no {label} under '{key}' (found: {found}). {hint}"
