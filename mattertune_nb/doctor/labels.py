"""Rules about labels on their own: placeholders, magnitudes, sums, one label on two structures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.units import GPa

from mattertune_nb.doctor.facts import Contacts, groups
from mattertune_nb.doctor.finding import Finding, energies_per_atom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_DIFFERENT = 3
_REPEATED = 0.02
"""Fraction of frames with the same energy."""

_SAME_SIZE = 1e-4
"""Relative difference below which the forces of two frames count as equally large."""

_SAME_DISTANCES = 1e-7
"""The same for the sum over all neighbours of a power of their distance."""

_COMPARED = 200  # frames with the same energy
_TOLD = 3  # energies named in a message

_NET_FORCE = 0.02  # eV/Å per atom; DFT without drift correction leaves 0.007
_MOVING = 0.05  # eV/Å; smaller forces may be rounded to zero
_LARGE_FORCE = 100.0  # eV/Å, of a whole set
_LARGE_STRESS = 3.0  # eV/Å³, 480 GPa


def unread_labels(case: Case) -> Iterator[Finding]:
    """Find labels that cannot be read, e.g. in an unknown unit."""
    rows = sorted(case.facts.unread)
    if rows:
        yield Finding(
            "unreadable-label",
            "error",
            f"the labels of {len(rows)} of {len(case.facts)} frames cannot be read: "
            f"{case.facts.unread[rows[0]]}",
            "",
            case.facts.numbers_of(rows),
            case.source,
        )


def missing_labels(case: Case) -> Iterator[Finding]:
    """Find frames without an energy or forces that others have."""
    facts = case.facts
    unread = facts.is_broken | np.isin(np.arange(len(facts)), list(facts.unread))
    for label, has in (
        ("energy", np.isfinite(facts.energy)),
        ("forces", np.isfinite(facts.net_force)),
    ):
        rows = np.flatnonzero(~has & ~unread)
        if has.any() and len(rows) and label not in case.asked:
            yield Finding(
                "missing-label",
                "warning",
                f"{len(rows)} of {len(facts)} frames lack {label}, which the others have.",
                "Remove them, or train on the labels each frame has (missing: mask of the property).",
                facts.numbers_of(rows),
                case.source,
            )
    has_none = np.isnan(facts.energy).all() and np.isnan(facts.net_force).all()
    if has_none and not unread.any() and not case.asked:
        yield Finding(
            "missing-label",
            "warning",
            "no frame has an energy or forces, so there is nothing to train on.",
            "Include the results of the calculations, or name the labels (energy_key, forces_key).",
            source=case.source,
        )


def placeholder_energies(case: Case) -> Iterator[Finding]:
    """Find energies that are zero, or equal for different structures."""
    facts = case.facts
    has = np.flatnonzero(np.isfinite(facts.energy))
    if len(np.unique(facts.keys.structure[has])) < _DIFFERENT:
        return
    values, of_frame, counts = np.unique(facts.energy[has], return_inverse=True, return_counts=True)
    alike = [has[of_frame == k] for k in range(len(values))]
    is_many = [
        rows
        for rows, value, count in zip(alike, values, counts, strict=True)
        if value != 0.0 and count > _REPEATED * len(has) and _n_different(facts, rows) >= _DIFFERENT
    ]
    zero = has[facts.energy[has] == 0.0]
    if len(zero) == 1 or _n_different(facts, zero) > 1:
        what = "has the energy 0 eV" if len(zero) == 1 else "have the energy 0 eV"
        yield _placeholder(facts, zero, len(has), what, case.source)
    if is_many:
        rows = np.sort(np.concatenate(is_many))
        told = [f"{facts.energy[group[0]]:.8g} eV in {len(group)}" for group in is_many[:_TOLD]]
        more = ", …" if len(is_many) > _TOLD else ""
        what = f"have the energy of others ({', '.join(told)}{more})"
        yield _placeholder(facts, rows, len(has), what, case.source)


def _placeholder(facts: Facts, rows: NDArray[np.intp], n: int, what: str, source: str) -> Finding:
    differ = "" if len(rows) == 1 else " although their structures differ"
    return Finding(
        "placeholder-energy",
        "error",
        f"{len(rows)} of {n} frames {what}{differ}.",
        "Give the computed energies, or remove these frames.",
        facts.numbers_of(rows),
        source,
    )


def _n_different(facts: Facts, rows: NDArray[np.intp]) -> int:
    """Return how many of the frames in `rows` differ by more than a symmetry, which keeps all distances."""
    n = len(np.unique(facts.keys.structure[rows]))
    if n < 2:
        return n
    crowding = np.sort(
        [Contacts(facts.dataset.frame(row)).crowding() for row in rows[:_COMPARED].tolist()]
    )
    return min(n, 1 + int((np.diff(crowding) > _SAME_DISTANCES * crowding[-1]).sum()))


def placeholder_forces(case: Case) -> Iterator[Finding]:
    """Find forces that are all zero, or along an axis, although the atoms' environments are not symmetric."""
    facts = case.facts
    is_zero, is_still = facts.force_max == 0, facts.unmoved.any(axis=1)
    along = "".join(np.array(list("xyz"))[facts.unmoved[is_still & ~is_zero].any(axis=0)])
    for what, concerned in (
        ("all forces are exactly zero", is_zero & is_still),
        (f"all forces along {along} are exactly zero", is_still & (facts.force_max > _MOVING)),
    ):
        rows = np.flatnonzero(concerned)
        if len(rows):
            yield Finding(
                "placeholder-forces",
                "error",
                f"{what} in {len(rows)} of {len(facts)} frames, although no symmetry requires this.",
                'Give the computed forces, or leave the label out and set missing: "mask".',
                facts.numbers_of(rows),
                case.source,
            )


def placeholder_stresses(case: Case) -> Iterator[Finding]:
    """Find stresses that are zero, or equal for different structures."""
    facts = case.facts
    has = np.flatnonzero(np.isfinite(facts.stress).all(axis=1))
    if not len(has):
        return
    values, of_frame = np.unique(facts.stress[has], axis=0, return_inverse=True)
    for k in range(len(values)):
        rows = has[of_frame.ravel() == k]
        n = len(np.unique(facts.keys.structure[rows]))
        is_zero = not values[k].any()
        if (is_zero and (n >= 2 or len(has) == 1)) or (
            n >= _DIFFERENT and len(rows) > _REPEATED * len(has)
        ):
            what = "zero" if is_zero else "the same"
            yield Finding(
                "placeholder-stress",
                "error",
                f"the stress of {len(rows)} of {len(has)} frames is {what} in all six components.",
                'Give the computed stresses, or leave the label out and set missing: "mask".',
                facts.numbers_of(rows),
                case.source,
            )


def repeated_forces(case: Case) -> Iterator[Finding]:
    """Find frames of different structures with exactly the same forces."""
    facts = case.facts
    has = np.flatnonzero((facts.force_key > 0) & (facts.force_max > 0))
    alike = (has[group] for group in groups(facts.force_key[has]))
    rows = [group for group in alike if len(group) > 1 and not _is_one_structure(facts, group)]
    if rows:
        found = np.sort(np.concatenate(rows))
        yield Finding(
            "foreign-forces",
            "error",
            f"{len(found)} of {len(facts)} frames share their forces, to the last digit, with a frame of "
            "another structure.",
            "Forces of one structure were written to another: read them again from the calculation.",
            facts.numbers_of(found),
            case.source,
        )


def _is_one_structure(facts: Facts, rows: NDArray[np.intp]) -> bool:
    """Return whether frames are the same structure, apart from shifts and rotations: same contacts."""
    contacts = np.column_stack([facts.counts[rows], np.nan_to_num(facts.volume[rows])])
    is_same = np.allclose(contacts, contacts[0], rtol=_SAME_SIZE)
    return is_same and np.allclose(facts.closest[rows], facts.closest[rows[0]], rtol=_SAME_SIZE)


def net_force(case: Case) -> Iterator[Finding]:
    """Find forces that do not add up to zero."""
    facts = case.facts
    rows = np.flatnonzero((facts.net_force > _NET_FORCE) & (facts.n_atoms > 1))
    if len(rows):
        worst = float(facts.net_force[rows].max())
        yield Finding(
            "net-force",
            "warning",
            f"the forces of {len(rows)} of {len(facts)} frames do not add up to zero: up to {worst:.3g} eV/Å "
            "per atom remain, which no potential can learn.",
            "Check whether forces on fixed atoms were set to zero, or whether they include an external "
            "field or drift.",
            facts.numbers_of(rows),
            case.source,
        )


def impossible_magnitudes(case: Case) -> Iterator[Finding]:
    """Find sets whose forces or stresses are larger than any calculation gives."""
    facts = case.facts
    rms = facts.force_rms[np.isfinite(facts.force_rms)]
    if len(rms) and np.median(rms) > _LARGE_FORCE:
        yield Finding(
            "forces-unit",
            "error",
            f"forces of {np.median(rms):.3g} eV/Å on average do not occur in any structure.",
            "Declare the unit of the forces, e.g. units.forces: meV/Å.",
            source=case.source,
        )
    rows = np.flatnonzero(np.abs(facts.stress).max(axis=1) > _LARGE_STRESS)
    if len(rows):
        most = float(np.abs(facts.stress[rows]).max())
        yield Finding(
            "stress-unit",
            "error",
            f"a stress of {most:.3g} eV/Å³ ({most / GPa:,.0f} GPa) in {len(rows)} frames is that of no "
            "structure.",
            "Declare its unit: kbar (VASP) or GPa; or remove these frames.",
            facts.numbers_of(rows),
            case.source,
        )


def totals_per_atom(case: Case) -> Iterator[Finding]:
    """Find sets whose energies do not grow with the number of atoms."""
    if case.has_energies_per_atom:
        total, per_atom = case.left_of_energies
        yield energies_per_atom(
            "the energies do not grow with the number of atoms: fitting one energy per element leaves "
            f"{total:.3g} eV of them unexplained as totals, and {per_atom:.3g} eV as energies per atom.",
            case.source,
        )


RULES = (
    unread_labels,
    missing_labels,
    placeholder_energies,
    placeholder_forces,
    placeholder_stresses,
    repeated_forces,
    net_force,
    impossible_magnitudes,
    totals_per_atom,
)
