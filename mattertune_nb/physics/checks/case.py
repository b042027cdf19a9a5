"""What the checks of a potential are given: calculators before and after, structures, and time."""

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
    """The validation was ended by who asked for it."""


@dataclass
class Case:
    """A potential before and after tuning, and structures of its target.

    Attributes
    ----------
    tuned
        Its ASE calculator.
    untuned
        That of the potential before; ``None`` where it is not known.
    frames
        Structures of the target; where they have labels, on their calculators.
    precise
        The tuned potential in double precision, for finite differences; `tuned` where not given.
    walls
        Returns the walls before (or ``None``) and after; not given: they are not looked at.
    distances
        Of each structure to those that were trained on, NaN where it is not known; ``None``: of none.
    seconds
        Time that all checks together may take.
    temperature
        Of the dynamics, in K.
    seed
        Of everything random.
    cancelled
        Asked now and then; once it says so, :class:`Cancelled` is raised.
    """

    tuned: Calculator
    untuned: Calculator | None
    frames: list[Atoms]
    precise: Calculator | None = None
    walls: Callable[[], tuple[list[Wall] | None, list[Wall]]] | None = None
    distances: list[float] | None = None
    seconds: float = 150.0
    temperature: float = 300.0
    seed: int = 0
    cancelled: Callable[[], bool] = field(default=lambda: False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def calculators(self) -> dict[str, Calculator]:
        """Return the calculators by ``untuned``, where there is one, and ``tuned``."""
        before = {} if self.untuned is None else {"untuned": self.untuned}
        return before | {"tuned": self.tuned}

    def look_up(self) -> None:
        """Raise :class:`Cancelled` where the validation is to end."""
        if self.cancelled():
            raise Cancelled

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what several checks need, made by the first of them.

        Parameters
        ----------
        name
            Of it.
        make
            Makes it.
        """
        if name not in self._kept:
            self._kept[name] = make()
        return cast("T", self._kept[name])

    def start(self) -> Atoms:
        """Return a structure of the target that is near its equilibrium: of some, that with least forces."""

        def least() -> Atoms:
            some = [self.frames[i] for i in evenly_spread(len(self.frames), 8)]
            forces = [np.abs(self.tuned.get_property("forces", bare(a))).mean() for a in some]
            return bare(some[int(np.argmin(forces))])

        return self.once("start", least).copy()

    def rng(self) -> np.random.Generator:
        """Return random numbers, the same each time."""
        return np.random.default_rng(self.seed)


def seconds_of(calculator: Calculator, atoms: Atoms, name: str) -> float:
    """Return how long a calculator takes for a property of a structure that it has not seen."""
    moved = atoms.copy()
    moved.rattle(1e-3)
    begun = time.monotonic()
    calculator.get_property(name, moved)
    return time.monotonic() - begun


class Clock:
    """Time that a part of a check may take.

    Parameters
    ----------
    seconds
        As many.
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
    """Return the least distance of two atoms over the sum of their covalent radii; infinite of one atom."""
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, 3.0)
    return float((d / (radii[i] + radii[j])).min()) if len(d) else float("inf")
