"""Labels of a structure: where files keep them, in one form, and errors that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.config.properties import (
    ENERGY,
    FORCES,
    PROPERTIES,
    STRESSES,
    Property,
    as_property,
)
from mattertune_nb.data.plain import calculator_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

Labels = dict[str, "float | NDArray[np.float64]"]
"""``{"energy": eV, "forces": (n, 3) eV/Å, "stresses": (6,) eV/Å³}``; a missing label has no key."""

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))

_NAMED = 20
"""Names of labels that a message lists."""


@dataclass(frozen=True, slots=True)
class LabelKeys:
    """Names under which a file keeps its labels; ``None`` stands for ASE's standard name."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None

    def name(self, label: Property | str) -> str:
        """Return the key of a label, e.g. ``"stress"`` for ``"stresses"``."""
        prop = as_property(label)
        key: str | None = getattr(self, prop.key_field.removesuffix("_key"), None)
        return prop.ase if key is None else key


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
    for label in PROPERTIES if missing is None else missing:
        prop = as_property(label)
        key = keys.name(prop)
        value = stored.get(key)
        if value is None:
            problem = None if missing is None else _absent(atoms, stored, prop, key)
        else:
            value, problem = _parse(atoms, prop, key, value)
        if problem is None:
            if value is not None:
                labels[prop.name] = value
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
    found: dict[str, list[str]] = {label: [] for label in PROPERTIES}
    for key, value in stored_values(atoms).items():
        array, name = _numbers(value), key.lower()
        if array is None:
            continue
        if "energy" in name and "per_atom" not in name and array.size == 1:
            found[ENERGY.name].append(key)
        elif "force" in name and array.shape == (len(atoms), 3):
            found[FORCES.name].append(key)
        elif "stress" in name and array.shape in ((6,), (9,), (3, 3)):
            found[STRESSES.name].append(key)
    for label, names in found.items():
        names.sort(key=lambda k: -SequenceMatcher(None, k.lower(), PROPERTIES[label].ase).ratio())
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
        PROPERTIES[label].key_field: keys[0]
        for label, keys in found.items()
        if keys and PROPERTIES[label].ase not in keys
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
    atoms: Atoms, prop: Property, key: str, value: Any
) -> tuple[float | NDArray[np.float64] | None, str | None]:
    """Return the label in its one form and None, or None and what is wrong with it."""
    array = _numbers(value)
    label = prop.name
    remedy = f"Correct it, {mask_remedy(prop)}, or name another key with {prop.key_field}."
    if array is None:
        return None, f"{label} ('{key}') is not made of numbers. {remedy}"
    shape = array.shape
    match prop.kind:
        case "structure":
            expected, fits = "one number", array.size == 1
        case "voigt":
            expected, fits = "6 (Voigt) or 9 numbers", shape in ((6,), (9,), (3, 3))
        case "vector":
            expected, fits = "3 numbers", shape in ((3,), (1, 3))
        case _:
            wanted = prop.shape(len(atoms))
            expected, fits = str(wanted), shape == wanted
    if not fits:
        return None, f"{label} ('{key}') has shape {shape}, expected {expected}. {remedy}"
    bad = ~np.isfinite(array)
    if bad.any():
        atom = f" at atom {np.argwhere(bad)[0][0]}" if prop.of_atoms else ""
        return None, f"{label} ('{key}') holds {array[bad][0]}{atom}. {remedy}"
    if prop.needs_periodicity and not atoms.pbc.all():
        return None, (
            f"{label} ('{key}') on a structure that is not periodic in all three directions, where "
            f"a {prop.title} has no meaning. Set its pbc, or {mask_remedy(prop)}."
        )
    if prop.kind == "structure":
        return float(array.reshape(())), None
    if prop.kind == "voigt" and array.size == 9:
        matrix = array.reshape(3, 3)
        array = np.array([(matrix[i, j] + matrix[j, i]) / 2 for i, j in _VOIGT])
    return array.ravel() if prop.kind == "vector" else array, None


def mask_remedy(label: Property | str) -> str:
    """Return what to do about frames without a label, for the end of a message."""
    return f'set missing="mask" in {as_property(label).config} to train on what each frame has'


def _absent(atoms: Atoms, stored: dict[str, Any], prop: Property, key: str) -> str:
    """Say that a label is missing, what there is instead, and what to do."""
    numeric = [name for name, value in stored.items() if _numbers(value) is not None]
    others = f" and {len(numeric) - _NAMED} others" if len(numeric) > _NAMED else ""
    found = ", ".join(numeric[:_NAMED]) + others or (
        "no labels; a calculator's results count only for the positions they were computed at"
    )
    likely = [name for name in likely_keys(atoms).get(prop.name, []) if name != key]
    if likely:
        hint = f"Set {prop.key_field}='{likely[0]}', or {mask_remedy(prop)}."
    else:
        hint = f"Name its key with {prop.key_field}, or {mask_remedy(prop)}."
        hint += did_you_mean(key, numeric)
    if prop.name == STRESSES.name and any("virial" in name.lower() for name in numeric):
        hint += " A virial is not a stress: stress = -virial / volume."
    return f"no {prop.name} under '{key}' (found: {found}). {hint}"
