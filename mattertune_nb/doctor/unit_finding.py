"""The finding of a whole set of labels in another unit or with the opposite sign, and its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from mattertune_nb.config.properties import FORCES, PROPERTIES
from mattertune_nb.config.units import EnergyUnit, ForceUnit, StressUnit
from mattertune_nb.data.labels.units import forces_as
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.units import nearest_unit, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

CORRELATION = 0.9
"""Below this a slope has no meaning."""

FAR = 8.0
"""A slope by which a model itself is never off."""

OFF = 1.6
"""A label this many times too large or too small is in another unit; sound files have 0.89 to 1.36."""

NO_UNIT = 2.2
"""A model itself may be as far off, if the labels match no known unit."""


def unit_finding(
    what: str,
    known: Mapping[str, float],
    slope: float,
    correlation: float,
    case: Case,
    setting: str,
) -> Iterator[Finding]:
    """Yield the finding of a whole set of labels in another unit or with the opposite sign."""
    unit = nearest_unit(abs(slope), known) if not 1 / OFF < abs(slope) < OFF else None
    plural = {"energy": "energies", "stress": "stresses"}.get(what, what)
    finding_id = f"{what}-unit" if slope > 0 else f"{what}-sign"
    measured = (
        f"they are {times(slope)} what the untuned model says, at a correlation of "
        f"{abs(correlation):.2f}."
    )
    if unit is None and not 1 / OFF < abs(slope) < OFF:
        # a model may be as far off where it knows little: softer, stiffer, or another phase
        if 1 / NO_UNIT < slope < NO_UNIT:
            return
        yield Finding(
            finding_id,
            "warning",
            f"the {plural} are in no unit that is known here, or the untuned model is no guide to them: "
            f"{measured}",
            "Check their unit and sign; change nothing if they are right.",
            source=case.source,
        )
        return
    signed = "have the other sign" if slope < 0 else ""
    says = " and ".join(filter(None, (signed, f"are in {unit}" if unit else "")))
    default = next(prop.unit for prop in PROPERTIES.values() if prop.title == what)
    settings = _settings(what, setting, unit, slope, case)
    declared = ", ".join(f"{name}: {value}" for name, value in settings.items())
    change = f"convert them to {default}" if slope > 0 else "reverse their sign in the file"
    yield Finding(
        finding_id,
        "error",
        f"the {plural} {says}: {measured}",
        f"Declare this in the data set ({declared}), or {change}."
        if settings
        else f"{change[0].upper()}{change[1:]}.",
        source=case.source,
        settings=settings,
    )


def _settings(
    what: str, setting: str, unit: str | None, slope: float, case: Case
) -> dict[str, Any]:
    """Return the settings of a data set that read such labels correctly, if any."""
    kinds = {"energy": EnergyUnit, "forces": ForceUnit, "stress": StressUnit}
    if (what == "energy" and slope < 0) or (unit is not None and unit not in get_args(kinds[what])):
        return {}
    in_unit = {} if unit is None else {setting: unit}
    if slope > 0:
        return in_unit
    keys = case.facts.dataset.keys_of(0)
    if what == "stress":
        return {"units.sign": "ase" if keys.units.sign == "vasp" else "vasp"} | in_unit
    other = {"gradient": "forces", "forces": "gradient"}
    return {"units.forces_as": other[forces_as(keys.name(FORCES), keys.units)]} | in_unit


def is_of_unit(slope: float, known: Mapping[str, float]) -> bool:
    """Return whether a frame's labels are those of the others times a distant unit factor, or times −1."""
    if 1 / OFF < abs(slope) < OFF:
        return slope < 0
    return not 1 / FAR < abs(slope) < FAR and nearest_unit(abs(slope), known) is not None


def some_finding(
    what: str, slopes: NDArray[np.float64], n_frames: int, rows: list[int], case: Case
) -> Finding:
    """Return the finding of labels of which some have another unit, or the other sign, than most."""
    typical = float(np.median(slopes))
    other = "the other sign" if typical < 0 else "another unit"
    verb = "are" if what == "forces" else "is"
    return Finding(
        f"{what}-unit",
        "error",
        f"the {what} of {len(rows)} of {n_frames} frames looked at {verb} {times(typical)} what the untuned "
        f"model says, with a correlation above {CORRELATION:g} in each: they have {other}.",
        "Convert them, or remove these frames.",
        case.facts.numbers_of(rows),
        case.source,
    )
