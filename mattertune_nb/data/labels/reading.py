"""Reads the labels of a structure in a uniform format, with errors that say what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.config.properties import (
    PROPERTIES,
    Property,
    as_property,
)
from mattertune_nb.config.units import LabelUnitsConfig
from mattertune_nb.data.labels.names import FOLLOWS, PER_ATOM, read_name
from mattertune_nb.data.labels.search import LabelSearch
from mattertune_nb.data.labels.units import UnitError, converted, stated_length
from mattertune_nb.data.labels.values import (
    in_voigt_order,
    numbers_of,
    quantity_of,
    shown_value,
    stored_values,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

Labels = dict[str, "float | NDArray[np.float64]"]
"""``{"energy": eV, "forces": (n, 3) eV/Å, "stresses": (6,) eV/Å³}``; missing labels have no key."""

_SYMMETRIC = 1e-6
"""Stress entries that differ by less than this, relative to the largest, are rounded, not asymmetric."""

_SHAPES_OF_STRESS = ((6,), (9,), (3, 3), (1, 3, 3))

_NAMED = 20
"""Maximum number of label names listed in a message."""


@dataclass(frozen=True, slots=True)
class LabelKeys:
    """Names under which a file stores its labels, and their units.

    Attributes
    ----------
    energy, forces, stress
        A name; or several separated by ``|``, of which the first that a frame has applies; ``None`` stands
        for ASE's standard name.
    units
        Units of the labels.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    units: LabelUnitsConfig = field(default_factory=LabelUnitsConfig)

    def given(self, label: Property | str) -> str | None:
        """Return the name given for a label, or None."""
        key: str | None = getattr(self, as_property(label).key_field.removesuffix("_key"), None)
        return key

    def name(self, label: Property | str) -> str:
        """Return the key of a label, e.g. ``"stress"`` for ``"stresses"``."""
        return self.given(label) or as_property(label).ase

    def names(self, label: Property | str) -> tuple[str, ...]:
        """Return the keys under which to look for a label, in order."""
        return tuple(part.strip() for part in self.name(label).split("|"))


@dataclass
class Remarks:
    """Conversions made while reading labels, to be reported to the user.

    Attributes
    ----------
    converted
        For each label, from which unit it was converted, and how.
    asymmetric
        Number of frames whose stress was averaged with its transpose.
    apart
        Largest difference between two symmetric entries, in eV/Å³.
    """

    converted: dict[str, str] = field(default_factory=dict)
    asymmetric: int = 0
    apart: float = 0.0

    def told(self) -> list[str]:
        """Return a sentence for each remark."""
        notes = [f"{label}: {how}" for label, how in self.converted.items()]
        if self.asymmetric:
            notes.append(
                f"the stress of {self.asymmetric} frames is asymmetric by up to {self.apart:.3g} eV/Å³; "
                "the two halves are averaged"
            )
        return notes


class AbsentLabelError(DataError):
    """A structure has no such label.

    Parameters
    ----------
    message
        The message.
    label
        Name of the property.
    """

    def __init__(self, message: str, label: str) -> None:
        super().__init__(message)
        self.label = label


def read_labels(
    atoms: Atoms,
    keys: LabelKeys | None = None,
    missing: Mapping[Any, Literal["error", "mask"]] | None = None,
    *,
    source: str = "structure",
    remarks: Remarks | None = None,
    stored: Mapping[str, Any] | None = None,
) -> Labels:
    """Read the labels of one structure in float64.

    A label is looked for in ``atoms.info``, in ``atoms.arrays`` and among the results of ``atoms.calc``,
    where ASE's readers put it. Results count only for the geometry at which they were computed: frames
    sharing one live calculator would otherwise all get the labels of the last.

    Parameters
    ----------
    atoms
        The structure.
    keys
        Names of the labels; by default ASE's standard names.
    missing
        The labels to read, and for each whether a frame in which it is missing or unusable (wrong shape, NaN,
        a stress without a cell periodic in three directions) is an error or the label is left out. ``None``
        reads whatever is present; an unusable label is then an error.
    source
        Name of the structure in errors, e.g. ``"a.xyz, frame 12"``.
    remarks
        Collects the conversions made.
    stored
        Result of :func:`~mattertune_nb.data.labels.values.stored_values`, if known.

    Returns
    -------
    Labels
        ``energy`` in eV, ``forces`` (n, 3) in eV/Å, ``stresses`` (6,) in eV/Å³, with ASE's sign and
        order xx, yy, zz, yz, xz, xy.

    Raises
    ------
    DataError
        Names the frame, the field and the remedy.
    """
    keys, remarks = keys or LabelKeys(), remarks or Remarks()
    stored = stored_values(atoms) if stored is None else stored
    if keys.units.length is None:
        _refuse_lengths(stored, source)
    labels: Labels = {}
    for label in PROPERTIES if missing is None else missing:
        prop = as_property(label)
        names = keys.names(prop)
        key = next((name for name in names if stored.get(name) is not None), names[0])
        value = stored.get(key)
        is_absent = value is None
        if is_absent:
            problem = None if missing is None else _absent(atoms, stored, prop, key)
        else:
            try:
                value, problem = _parse(atoms, prop, key, stored, keys.units, remarks)
            except UnitError as exc:  # without a unit no frame is usable, so masking does not help
                msg = f"{source}: {prop.name} ('{key}'): {exc}"
                raise DataError(msg) from None
        if problem is None:
            if value is not None:
                labels[prop.name] = value
        elif missing is None or missing[label] == "error":
            msg = f"{source}: {problem}"
            raise AbsentLabelError(msg, prop.name) if is_absent else DataError(msg)
    return labels


def likely_keys(atoms: Atoms) -> dict[str, list[str]]:
    """Return, for each label, the keys of one structure that may contain it, the likeliest first.

    Judged by name and shape, see :mod:`mattertune_nb.data.labels.names`. Virials and gradients do not count,
    because their sign or unit differs.
    """
    search = LabelSearch()
    search.add(atoms)
    return {label: search.likely(label) for label in PROPERTIES}


def _parse(
    atoms: Atoms,
    prop: Property,
    key: str,
    stored: Mapping[str, Any],
    units: LabelUnitsConfig,
    remarks: Remarks,
) -> tuple[float | NDArray[np.float64] | None, str | None]:
    """Return the label in its standard form and None, or None and what is wrong with it."""
    array, written = quantity_of(stored[key])
    label = prop.name
    remedy = f"Correct it, {mask_remedy(prop)}, or name another in {prop.named_by}."
    if array is None:
        shown = shown_value(stored[key])
        return None, f"{label} ('{key}') is not made of numbers: {shown}. {remedy}"
    is_of_atoms = read_name(key).kind == "of atoms" and array.shape == (len(atoms),)
    if prop.kind == "structure" and is_of_atoms:
        array = array.sum()
        remarks.converted[label] = f"it is the sum of '{key}' over the atoms"
    expected = _misshapen(array, prop, len(atoms))
    if expected is not None:
        value = f": {shown_value(stored[key])}" if array.size < 10 else ""
        return None, (
            f"{label} ('{key}') has shape {array.shape}, expected {expected}{value}. {remedy}"
        )
    bad = ~np.isfinite(array)
    if bad.any():
        atom = f" at atom {np.argwhere(bad)[0][0]}" if prop.of_atoms else ""
        return None, f"{label} ('{key}') holds {array[bad][0]}{atom}. {remedy}"
    if prop.needs_periodicity and not atoms.pbc.all():
        return None, (
            f"{label} ('{key}') on a structure that is not periodic in all three directions, where "
            f"a {prop.title} has no meaning. Set its pbc, or {mask_remedy(prop)}."
        )
    match prop.kind:
        case "structure":
            array = array.reshape(())
        case "vector":
            array = array.ravel()
        case "voigt":
            array = _voigt(array, remarks)
    if prop.name in PROPERTIES:
        array, how = converted(array, prop, key, stored, units, written, atoms)
        if how is not None:
            remarks.converted[label] = how
    return (float(array) if prop.kind == "structure" else array), None


def _misshapen(array: NDArray[np.float64], prop: Property, n_atoms: int) -> str | None:
    """Return the expected shape of a label if it has another; None if it fits."""
    match prop.kind:
        case "structure":
            expected, fits = "one number", array.size == 1
        case "voigt":
            expected, fits = "6 (Voigt) or 9 numbers", array.shape in _SHAPES_OF_STRESS
        case "vector":
            expected, fits = "3 numbers", array.shape in ((3,), (1, 3))
        case _:
            wanted = prop.shape(n_atoms)
            expected, fits = str(wanted), array.shape == wanted
    return None if fits else expected


def _voigt(array: NDArray[np.float64], remarks: Remarks) -> NDArray[np.float64]:
    """Return six numbers, and remark if the halves of nine differ by more than rounding."""
    voigt = in_voigt_order(array)
    if array.size == 9:
        matrix = array.reshape(3, 3)
        apart = float(np.abs(matrix - matrix.T).max())
        if apart > _SYMMETRIC * max(np.abs(voigt).max(), 1e-3):
            remarks.asymmetric += 1
            remarks.apart = max(remarks.apart, apart)
    return voigt


def mask_remedy(label: Property | str) -> str:
    """Return what to do about frames without a label, for the end of a message."""
    return (
        "choose 'Frames without this label: are used for what they have' "
        f'(missing="mask" in {as_property(label).config})'
    )


def _refuse_lengths(stored: Mapping[str, Any], source: str) -> None:
    """Refuse positions stated to be in a unit other than Å, because they are read before any label."""
    try:
        unit = stated_length(stored)
    except UnitError as exc:
        msg = f"{source}: {exc}"
        raise DataError(msg) from exc
    if unit not in (None, "Å"):
        msg = (
            f"{source}: its lengths are stated to be in {unit}. Set units.length of the data set to "
            f"'{unit}', or to 'Å' if they are in Å."
        )
        raise DataError(msg)


def _absent(atoms: Atoms, stored: Mapping[str, Any], prop: Property, key: str) -> str:
    """Report a missing label, what there is instead, and what to do."""
    numeric = [name for name, value in stored.items() if numbers_of(value) is not None]
    others = f" and {len(numeric) - _NAMED} others" if len(numeric) > _NAMED else ""
    found = ", ".join(numeric[:_NAMED]) + others or "no labels"
    if not numeric and atoms.calc is not None:
        found += "; a calculator's results count only for the positions at which they were computed"
    likely = [name for name in likely_keys(atoms).get(prop.name, []) if name != key]
    if likely:
        hint = f"Set {prop.key_field}='{likely[0]}', or {mask_remedy(prop)}."
    else:
        hint = f"Name it in {prop.named_by}, or {mask_remedy(prop)}."
        hint += did_you_mean(key, [name for name in numeric if _may_be(prop, name)])
        hint += "".join(_other(prop, name) for name in numeric[:_NAMED])
    return f"no {prop.name} under '{key}' (found: {found}). {hint}"


def _may_be(prop: Property, name: str) -> bool:
    reading = read_name(name)
    is_plain = reading.excluded is None and reading.kind not in FOLLOWS
    return is_plain and reading.label in (None, prop.name)


def _other(prop: Property, name: str) -> str:
    """Return a remark about a value that resembles a label but must be selected by name."""
    reading = read_name(name)
    if reading.label != prop.name:
        return ""
    if reading.kind in FOLLOWS:
        return f" {prop.key_field}='{name}' takes {FOLLOWS[reading.kind]}."
    if reading.excluded == PER_ATOM:
        return f" {prop.key_field}='{name}' takes it times the number of atoms."
    return f" '{name}' is {reading.excluded}." if reading.excluded else ""
