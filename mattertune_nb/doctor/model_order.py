"""Forces of other atoms, other frames or other axes, detected with the untuned backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.unbroken import with_minus
from mattertune_nb.doctor.compared import correlation_of, unit, without_compressed
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.compared import ForcesCompared
    from mattertune_nb.doctor.facts import Facts

_ALIKE, _UNLIKE = 0.9, 0.5
"""Correlations of forces that belong together, and of those that do not."""

_TURNED = 0.75
"""The same for many frames together, which no rotation fits by chance."""

_FEWEST_ATOMS = 5
"""Forces on fewer atoms can be rotated into many others."""

_CLEARLY = 3.0
"""Factor by which chance correlations are farther from one."""

_FEWEST_SHUFFLED, _SHARE_SHUFFLED = 3, 0.05
"""Minimum number of frames in which an order fits; among hundreds of sound ones one or two do."""

_GUIDED, _FAR_BELOW, _NEARLY, _AS_LARGE = 0.75, 0.5, 0.3, 1.6
"""Median correlation of a composition that the model knows; how far below it forces are those of no atom of
theirs, and how near to it the others are; factor by which forces are as large as usual."""

_FEWEST_ALIKE = 4
_FEWEST_FRAMES = 8
"""Fewer frames do not determine the order of their forces."""


def misplaced_forces(case: Case) -> Iterator[Finding]:
    """Find forces that are shifted by an atom, in another order of atoms, or from another frame."""
    # forces with the other sign throughout may look like those of any frame
    if case.forces is None or np.median(case.forces.likeness) < -_TURNED:
        return
    n_frames, found = len(case.forces), _misplaced(case.forces, case.facts)
    if len(found["shuffled"]) >= max(_FEWEST_SHUFFLED, _SHARE_SHUFFLED * n_frames):
        found["reordered"] = sorted([*found["reordered"], *found["shuffled"]])
    told: set[int] = set()
    # the more ways there are to correct a frame, the more of them fit by chance
    for kind, share, what in (
        ("shifted", 0.25, "are those of the atom before or after each"),
        (
            "reordered",
            0.25,
            "are in a different order from the atoms: one of the two was sorted, reversed or shuffled",
        ),
        ("foreign", 0.6, "are those of another frame"),
    ):
        rows = found[kind]
        if rows and case.forces.is_guide_for(len(rows), share):
            told.update(rows)
            yield Finding(
                f"{kind}-forces",
                "error",
                f"the forces of {len(rows)} of {n_frames} frames looked at {what}: read that way, they "
                f"correlate more than {_ALIKE:g} with the untuned model, as they stand less than "
                f"{_UNLIKE:g}.",
                "Read forces and positions again from the calculation, in the same order of atoms.",
                case.facts.numbers_of(rows),
                case.source,
            )

    scattered = [row for row in _scattered(case.forces, case.facts) if row not in told]
    if len(scattered) >= max(_FEWEST_SHUFFLED, _SHARE_SHUFFLED * n_frames):
        yield Finding(
            "reordered-forces",
            "error",
            f"the forces of {len(scattered)} of {n_frames} frames looked at are as large as usual for their "
            "composition, but not those of their atoms: their correlation with the untuned model is lower by "
            f"{_FAR_BELOW:g} or more. They are in another order, or of another structure.",
            "Read forces and positions again from the calculation, in the same order of atoms.",
            case.facts.numbers_of(scattered),
            case.source,
        )


def _scattered(forces: ForcesCompared, facts: Facts) -> list[int]:
    """Return frames with forces unlike the prediction, where most of their composition are like it."""
    pairs = zip(forces.labels, forces.guesses, strict=True)
    times = np.array(
        [float(np.linalg.norm(a)) / max(float(np.linalg.norm(b)), 1e-9) for a, b in pairs]
    )
    found: list[int] = []
    for group in groups(facts.keys.composition[forces.rows]):
        alike = group[forces.telling[group]]
        likeness = forces.likeness[alike]
        usual = float(np.median(likeness)) if len(alike) else 0.0
        good, low = likeness > usual - _NEARLY, likeness < usual - _FAR_BELOW
        if usual < _GUIDED or good.sum() < max(_FEWEST_ALIKE, 2 * low.sum()):
            continue
        if (good | low).mean() < _ALIKE:
            continue
        size = times[alike] / np.median(times[alike][good])
        is_odd = low & (size > 1 / _AS_LARGE) & (size < _AS_LARGE)
        rows = np.array(forces.rows)[alike]
        found += without_compressed(facts, rows[is_odd], rows).tolist()
    return sorted(found)


def _misplaced(forces: ForcesCompared, facts: Facts) -> dict[str, list[int]]:
    """Return frames whose forces fit once they are shifted, reordered, shuffled or moved between frames."""
    found: dict[str, list[int]] = {"shifted": [], "reordered": [], "shuffled": [], "foreign": []}
    labels, guesses = forces.labels, forces.guesses
    numbers = [facts.dataset.frame(row).numbers for row in forces.rows]
    common = _common_orders(numbers, labels, guesses)
    expected = [unit(part) for part in guesses]
    for k in np.flatnonzero((forces.likeness <= _UNLIKE) & forces.telling).tolist():
        turns = [np.roll(labels[k], turn, axis=0) for turn in (1, -1)]
        orders = [*_usual_orders(numbers[k]), *common.get(k, [])]
        by_shift = _likeness(turns, expected[k])
        by_order = _likeness([labels[k][order] for order in orders], expected[k])
        if max(by_shift, by_order) > _ALIKE:
            found["shifted" if by_shift >= by_order else "reordered"].append(forces.rows[k])
        elif _is_shuffled(labels[k], guesses[k]):
            found["shuffled"].append(forces.rows[k])
        else:
            # whose own forces are missing too: they were given to others
            others = (
                m
                for m in np.flatnonzero(forces.likeness <= _UNLIKE)
                if m != k and len(labels[m]) == len(labels[k])
            )
            if any(float(unit(labels[k]) @ expected[m]) > _ALIKE for m in others):
                found["foreign"].append(forces.rows[k])
    return found


def turned_forces(case: Case) -> Iterator[Finding]:
    """Find forces whose axes are not those of the positions: exchanged, or rotated with another cell."""
    if case.forces is None:
        return
    rows, labels, guesses = case.forces.rows, case.forces.labels, case.forces.guesses
    turned = [
        row
        for row, label, guess, tells in zip(rows, labels, guesses, case.forces.telling, strict=True)
        if tells and len(label) >= _FEWEST_ATOMS and _is_turned(label, guess)
    ]
    if not case.forces.is_guide_for(len(turned)):
        turned = []
    # all frames may be rotated by the same, while each is too far from its prediction to tell
    if not turned and _is_turned(np.concatenate(labels), np.concatenate(guesses), _TURNED):
        turned = rows
    if turned:
        yield Finding(
            "turned-forces",
            "error",
            f"the forces of {len(turned)} of {len(rows)} frames looked at have other axes than the "
            "positions: turned they agree with the untuned model, as they stand they correlate less than "
            f"{_UNLIKE:g}.",
            "Read cell, positions and forces of one calculation together; converting a cell to "
            "another form rotates positions but leaves forces unchanged.",
            case.facts.numbers_of(turned) if len(turned) < len(rows) else (),
            case.source,
        )


def _is_turned(
    label: NDArray[np.float64], guess: NDArray[np.float64], least: float = _ALIKE
) -> bool:
    """Return whether forces, (n, 3), match the prediction only once they are rotated."""
    size = float(np.linalg.norm(label) * np.linalg.norm(guess))
    # a change of sign alone is not a rotation
    if not size or abs(float((label * guess).sum())) / size > _UNLIKE:
        return False
    # the overlap after the best common rotation, by Kabsch, or a mirror: axes may be exchanged
    best = float(np.linalg.svd(label.T @ guess, compute_uv=False).sum())
    return best / size > least


def flipped_element(case: Case) -> Iterator[Finding]:
    """Find forces on one element with the opposite sign to those on the others."""
    if case.forces is None:
        return
    rows, dataset = case.forces.rows, case.facts.dataset
    numbers = np.concatenate([dataset.frame(row).numbers for row in rows])
    label, guess = np.concatenate(case.forces.labels), np.concatenate(case.forces.guesses)
    found = {
        z: correlation_of(label[numbers == z], guess[numbers == z])
        for z in np.unique(numbers).tolist()
        if (numbers == z).sum() >= _FEWEST_ATOMS
    }
    flipped = {z: value for z, value in found.items() if value < -_TURNED}
    if flipped and len(flipped) < len(found) and max(found.values()) > _TURNED:
        told = ", ".join(f"{chemical_symbols[z]} {value:.2f}" for z, value in found.items())
        names = " and ".join(chemical_symbols[z] for z in flipped)
        yield Finding(
            "forces-sign",
            "error",
            f"the forces on {names} have the other sign: by element they correlate with the untuned model as "
            f"{with_minus(told)}.",
            "Read the forces again from the calculation: those of other elements have the right sign.",
            source=case.source,
        )


def _usual_orders(numbers: NDArray[np.int_]) -> Iterator[NDArray[np.intp]]:
    """Yield the position of each atom's force if forces were reversed, or sorted by element."""
    yield np.arange(len(numbers))[::-1]
    for keys in (numbers, np.array(chemical_symbols)[numbers]):
        yield np.argsort(np.argsort(keys, kind="stable"))


def _common_orders(
    numbers: list[NDArray[np.int_]],
    labels: list[NDArray[np.float64]],
    guesses: list[NDArray[np.float64]],
) -> dict[int, list[NDArray[np.intp]]]:
    """Return, for each frame that has it, the one order in which forces of all such frames fit.

    These frames have the same atoms in the same order. The order is learnt on one half and tested on the
    other: for only a few frames the best order fits by chance.
    """
    groups: dict[bytes, list[int]] = {}
    for k, own in enumerate(numbers):
        groups.setdefault(own.tobytes(), []).append(k)
    found: dict[int, list[NDArray[np.intp]]] = {}
    for group in groups.values():
        label, guess = np.stack([labels[k] for k in group]), np.stack([guesses[k] for k in group])
        if len(group) < _FEWEST_FRAMES or correlation_of(label, guess) > _UNLIKE:
            continue
        from scipy.optimize import linear_sum_assignment

        overlap = np.einsum("fax,fbx->ab", guess[::2], label[::2])
        _, order = linear_sum_assignment(overlap, maximize=True)
        if correlation_of(label[1::2, order], guess[1::2]) > _TURNED:
            found |= {k: [order] for k in group}
    return found


def _is_shuffled(label: NDArray[np.float64], guess: NDArray[np.float64]) -> bool:
    """Return whether forces, (n, 3), fit in some order of the atoms, and much better than rotated ones."""
    from scipy.optimize import linear_sum_assignment

    fits = []
    for turn in range(3):
        forces = np.roll(label, turn, axis=1)
        _, order = linear_sum_assignment(guess @ forces.T, maximize=True)
        fits.append(_likeness([forces[order]], unit(guess)))
    return fits[0] > _ALIKE and 1 - max(fits[1:]) > _CLEARLY * (1 - fits[0])


def _likeness(candidates: Iterable[NDArray[np.float64]], expected: NDArray[np.float64]) -> float:
    """Return the correlation of the forces that are most like the prediction."""
    return max(float(unit(forces) @ expected) for forces in candidates)


RULES = (misplaced_forces, turned_forces, flipped_element)
