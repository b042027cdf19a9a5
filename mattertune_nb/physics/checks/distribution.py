"""Compares radial distribution functions of a thermostatted run with those of the data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list

from mattertune_nb.physics.checks.dynamics import heated
from mattertune_nb.physics.curves import Curves
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_RADIUS, _BIN = 6.0, 0.1  # Å
_MOST, _LEAST = 40, 3
"""Maximum number of frames examined on each side, and minimum number for a conclusion."""

_SETTLED = 15
"""Minimum number of structures for the run to have forgotten its start."""

_ALIKE, _UNLIKE = 0.15, 0.4
"""Differences up to which the check passes, and above which it fails."""

_CHANCE = 1.5
"""A difference up to this factor times that between two halves of the data is chance."""


@dataclass(frozen=True)
class Distribution:
    """Radial distribution functions of a few structures.

    Attributes
    ----------
    by_pair
        For each pair of elements, e.g. ``H-O``, (n,): for periodic structures the density of neighbours
        relative to an ideal gas, for others the fraction of distances per Å.
    counts
        Number of distances in each.
    total
        (n,) over all pairs.
    """

    by_pair: dict[str, NDArray[np.float64]]
    counts: dict[str, float]
    total: NDArray[np.float64]


def radii() -> NDArray[np.float64]:
    """Return the centres of the bins in Å, (n,)."""
    return np.asarray(_BIN * (np.arange(round(_RADIUS / _BIN)) + 0.5), dtype=np.float64)


def distribution(frames: Sequence[Atoms]) -> Distribution:
    """Count distances up to 6 Å in structures that are either all periodic in three directions or none is.

    Parameters
    ----------
    frames
        One or more structures.
    """
    n, is_gas = len(radii()), bool(frames[0].pbc.all())
    edges = _BIN * np.arange(n + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    found: dict[str, NDArray[np.float64]] = {}
    ideal: dict[str, NDArray[np.float64]] = {}
    for atoms in frames:
        i, j, d = neighbor_list("ijd", atoms, _RADIUS)
        numbers = atoms.numbers
        for a, b in combinations_with_replacement(sorted(set(numbers.tolist())), 2):
            name = f"{chemical_symbols[a]}-{chemical_symbols[b]}"
            of_pair = d[(numbers[i] == a) & (numbers[j] == b)]
            counts, _ = np.histogram(of_pair, bins=edges)
            found[name] = found.get(name, np.zeros(n)) + counts
            if is_gas:
                density = (numbers == a).sum() * (numbers == b).sum() / atoms.get_volume()
                ideal[name] = ideal.get(name, np.zeros(n)) + density * shells
    counts_of = {name: float(c.sum()) for name, c in found.items()}
    twice = {name: 1.0 if len(set(name.split("-"))) == 1 else 2.0 for name in found}
    summed = sum((twice[name] * c for name, c in found.items()), np.zeros(n))
    if is_gas:
        by_pair = {name: c / ideal[name] for name, c in found.items()}
        total = summed / sum((twice[name] * c for name, c in ideal.items()), np.zeros(n))
    else:
        by_pair = {name: c / (max(c.sum(), 1) * _BIN) for name, c in found.items()}
        total = summed / (max(summed.sum(), 1) * _BIN)
    return Distribution(by_pair, counts_of, np.asarray(total))


def difference(one: Distribution, other: Distribution) -> tuple[float, str]:
    """Return the difference between two distributions, 0 to 1, and the pair of elements that differs most.

    It is the area between two curves divided by the area below both, averaged over pairs of elements weighted
    by the number of distances in `other`.
    """
    parts = {}
    for name, theirs in other.by_pair.items():
        ours = one.by_pair.get(name, np.zeros_like(theirs))
        below = float((ours + theirs).sum())
        if below and other.counts[name]:
            parts[name] = float(np.abs(ours - theirs).sum()) / below
    if not parts:
        return 0.0, ""
    weights = [other.counts[name] for name in parts]
    return float(np.average(list(parts.values()), weights=weights)), max(
        parts, key=lambda n: parts[n]
    )


def _alike(frames: Sequence[Atoms], start: Atoms) -> list[Atoms]:
    """Return frames of the composition and the periodic directions that the dynamics began with."""
    formula = start.symbols.formula.reduce()[0]
    return [
        atoms
        for atoms in frames
        if atoms.symbols.formula.reduce()[0] == formula and (atoms.pbc == start.pbc).all()
    ]


def rdf(case: Case) -> Line:
    """Compare the radial distribution function of the thermostatted run with that of the data."""
    start = case.start()
    alike = _alike(case.frames, start)[:_MOST]
    if len(start) < 2 or (start.pbc.any() and not start.pbc.all()):
        return Line("rdf", "skipped", reason="a single atom, or periodic in only some directions")
    if len(alike) < _LEAST:
        said = f"{len(alike)} of the frames have the composition of the run; {_LEAST} are needed"
        return Line("rdf", "skipped", reason=said)
    frames = heated(case).frames
    frames = frames[len(frames) // 4 :]
    if len(frames) < _SETTLED:
        said = f"the run with a thermostat was too short: {len(frames)} structures, {_SETTLED} are needed"
        return Line("rdf", "skipped", reason=said)
    tuned = distribution(frames[:: max(len(frames) // _MOST, 1)])
    data = distribution(alike)
    chance, _ = difference(distribution(alike[::2]), distribution(alike[1::2]))
    compared = f"{len(frames)} structures at {case.temperature:.0f} K from {len(alike)} of the data"
    return _compared(tuned, data, chance, compared, bool(start.pbc.all()))


def _compared(
    tuned: Distribution, data: Distribution, chance: float, compared: str, is_periodic: bool
) -> Line:
    """Return the line of two distributions, of which halves of the data differ by chance."""
    value, worst = difference(tuned, data)
    limits = max(_ALIKE, _CHANCE * chance), max(_UNLIKE, 2 * _CHANCE * chance)
    status: Status = "pass" if value <= limits[0] else "warn" if value <= limits[1] else "fail"
    return Line(
        "rdf",
        status,
        tuned=f"{100 * value:.0f} % apart",
        labels=f"{100 * chance:.0f} % between halves",
        reason=(
            f"of {compared}, up to {100 * limits[0]:.0f} % passes; most between {worst}; data of another "
            "temperature differ, too"
        ),
        numbers={
            "difference": value,
            "difference_of_halves": chance,
            "r_A": radii().tolist(),
            "tuned": {name: g.tolist() for name, g in tuned.by_pair.items()},
            "labels": {name: g.tolist() for name, g in data.by_pair.items()},
        },
        curves=Curves(
            "distance (Å)",
            "g(r)" if is_periodic else "share of distances (1/Å)",
            radii().tolist(),
            {"labels": data.total.tolist(), "tuned": tuned.total.tolist()},
        ),
    )
