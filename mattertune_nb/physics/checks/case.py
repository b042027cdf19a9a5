"""The input of the checks: calculators before and after tuning, structures, and time."""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003  dataclasses keep it
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from mattertune_nb.data.evenly import evenly_spread

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from mattertune_nb.physics.holes import Wall

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818  it is no error
    """The caller cancelled the validation."""


@dataclass
class Case:
    """A potential before and after tuning, and structures of its target.

    Attributes
    ----------
    tuned
        Its ASE calculator.
    untuned
        That of the potential before tuning; ``None`` if unknown.
    frames
        Structures of the target, with labels, if any, on their calculators.
    precise
        The potentials in double precision, for finite differences, by the names of :meth:`calculators`; by
        default those are taken.
    walls
        Returns the pair energies before (or ``None``) and after tuning; by default they are not checked.
    distances
        Distance of each structure from training, NaN if unknown; ``None``: all unknown.
    seconds
        Time that all checks together may take.
    temperature
        Temperature of the dynamics, in K.
    seed
        Seed of all random numbers.
    cancelled
        Called now and then; when it returns true, :class:`Cancelled` is raised.
    """

    tuned: Calculator
    untuned: Calculator | None
    frames: list[Atoms]
    precise: dict[str, Calculator] = field(default_factory=dict)
    walls: Callable[[], tuple[list[Wall] | None, list[Wall]]] | None = None
    distances: list[float] | None = None
    seconds: float = 150.0
    temperature: float = 300.0
    seed: int = 0
    cancelled: Callable[[], bool] = field(default=lambda: False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def calculators(self) -> dict[str, Calculator]:
        """Return the calculators as ``untuned``, if available, and ``tuned``."""
        before = {} if self.untuned is None else {"untuned": self.untuned}
        return before | {"tuned": self.tuned}

    def look_up(self) -> None:
        """Raise :class:`Cancelled` if the validation should end."""
        if self.cancelled():
            raise Cancelled

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return a result that several checks need, computed by the first of them.

        Parameters
        ----------
        name
            Name of the result.
        make
            Computes it.
        """
        if name not in self._kept:
            self._kept[name] = make()
        return cast("T", self._kept[name])

    def start(self) -> Atoms:
        """Return a target structure near its equilibrium: of several, the one with the smallest forces."""

        def least() -> Atoms:
            some = [self.frames[i] for i in evenly_spread(len(self.frames), 8)]
            forces = [np.abs(self.tuned.get_property("forces", bare(a))).mean() for a in some]
            return bare(some[int(np.argmin(forces))])

        return self.once("start", least).copy()

    def rng(self) -> np.random.Generator:
        """Return a random generator that is the same each time."""
        return np.random.default_rng(self.seed)


def seconds_of(calculator: Calculator, atoms: Atoms, name: str) -> float:
    """Return the time a calculator takes for a property of a structure that it has not seen."""
    moved = atoms.copy()
    moved.rattle(1e-3)
    begun = time.monotonic()
    calculator.get_property(name, moved)
    return time.monotonic() - begun


class Clock:
    """Time limit of a part of a check.

    Parameters
    ----------
    seconds
        The limit.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def is_over(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() > self._end


def bare(atoms: Atoms) -> Atoms:
    """Return a structure without labels, constraints and velocities."""
    from ase import Atoms

    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def closest(atoms: Atoms) -> float:
    """Return the smallest distance of two atoms over the sum of covalent radii; infinite for one atom."""
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, 3.0)
    return float((d / (radii[i] + radii[j])).min()) if len(d) else float("inf")
