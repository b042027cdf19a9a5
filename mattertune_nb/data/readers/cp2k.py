"""CP2K: single-point output, read by dpdata, and trajectories of positions with those of forces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.readers.by_dpdata import read_by_dpdata
from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.xyz.file import IndexedXYZ

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames

_STEP = re.compile(rb"\bi\s*=\s*(\d+)\s*,.*?\bE\s*=\s*(\S+)")
_RUN_TYPE = re.compile(r"GLOBAL\| Run type\s+(\S+)")
_SINGLE = ("ENERGY", "ENERGY_FORCE", "WFN")
_CELL = re.compile(r"CELL\| Vector [abc] \[angstrom\]:\s+(\S+)\s+(\S+)\s+(\S+)")
_PARTS = ("-pos-", "-frc-")


class Trajectory:
    """CP2K positions with the forces of the same steps, one frame at a time.

    Parameters
    ----------
    path
        ``PROJECT-pos-1.xyz``; the same folder must contain ``PROJECT-frc-1.xyz`` and the cell:
        ``PROJECT-1.cell``, or a CP2K output if the cell is constant.

    Attributes
    ----------
    n_atoms
        Number of atoms of each frame, (n_frames,), int64.

    Raises
    ------
    DataError
        Forces or cell are missing in the folder, or belong to other steps.
    """

    def __init__(self, path: Path) -> None:
        forces = _partner(path)
        if not forces.is_file():
            msg = (
                f"{path}: positions of CP2K without forces: {forces.name} is not beside it. Print them "
                "(MOTION/PRINT/FORCES), or give another file."
            )
            raise DataError(msg)
        self._positions, self._forces = IndexedXYZ(path), IndexedXYZ(forces)
        self.path, self.n_atoms = path, self._positions.n_atoms
        if not np.array_equal(self.n_atoms, self._forces.n_atoms):
            n, m = len(self._positions), len(self._forces)
            msg = f"{path} has {n} frames and {forces.name} has {m}, or of other sizes. Print both alike."
            raise DataError(msg)
        self._cells = _cells(path)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, i: int) -> Atoms:
        """Return a frame in eV and Å.

        Raises
        ------
        DataError
            Positions and forces belong to different steps, or the step has no cell.
        IndexError
            There is no such frame.
        """
        from ase import Atoms, units
        from ase.calculators.singlepoint import SinglePointCalculator

        step, energy, symbols, positions = _read(self._positions, i)
        of_forces, _, _, forces = _read(self._forces, i)
        where = f"{self.path}, frame {i}"
        if step != of_forces:
            msg = f"{where}: positions are of step {step} and forces of step {of_forces}. Print both alike."
            raise DataError(msg)
        cell = self._cells.get(step, self._cells.get(None))
        if cell is None:
            msg = f"{where}: the file of cells has none of step {step}. Print cells as often as positions."
            raise DataError(msg)
        atoms = Atoms(symbols, positions, cell=cell, pbc=True, info={"step": step})
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy * units.Hartree, forces=forces * units.Hartree / units.Bohr
        )
        return atoms


def _read(file: IndexedXYZ, i: int) -> tuple[int, float, list[str], NDArray[np.float64]]:
    """Return step, energy in Hartree, symbols, and three numbers per atom."""
    _, comment, *lines = file.block(i).splitlines()
    found = _STEP.search(comment)
    try:
        if found is None:
            msg = f"no step and energy in '{comment.decode('utf-8', 'replace')}'"
            raise ValueError(msg)
        words = [line.split() for line in lines if line.strip()]
        numbers = np.array([row[1:4] for row in words]).astype(np.float64)
        symbols = [row[0].decode() for row in words]
        return int(found[1]), float(found[2]), symbols, numbers.reshape(-1, 3)
    except ValueError as exc:
        msg = f"{file.path}, frame {i}: not as CP2K writes it ({cause(exc)})."
        raise DataError(msg) from exc


def _cells(path: Path) -> dict[int | None, NDArray[np.float64]]:
    """Return the cell of each step; a cell common to all steps has the key None."""
    file = path.with_name(path.stem.replace("-pos-", "-") + ".cell")
    if file.is_file():
        try:
            rows = np.loadtxt(file, ndmin=2)
            return {int(row[0]): row[2:11].reshape(3, 3) for row in rows}
        except (ValueError, IndexError) as exc:
            msg = f"{file}: not as CP2K writes cells ({cause(exc)})."
            raise DataError(msg) from exc
    for log in sorted(path.parent.glob("*")):
        if log.suffix in (".log", ".out") and log.is_file():
            vectors = _CELL.findall(log.read_text(encoding="utf-8", errors="replace"))
            if len(vectors) >= 3:
                return {None: np.array(vectors[:3], dtype=np.float64)}
    msg = (
        f"{path}: its cell is in no file beside it. Print it (MOTION/PRINT/CELL, {file.name}), or put the "
        "output of CP2K into the same folder."
    )
    raise DataError(msg)


def _partner(path: Path) -> Path:
    """Return the force file that belongs to a position file."""
    return path.with_name(path.name.replace("-pos-", "-frc-"))


def is_beside_positions(path: Path) -> bool:
    """Return whether a file is a CP2K trajectory that accompanies one of positions."""
    for part in ("-frc-", "-vel-"):
        if part in path.name and path.with_name(path.name.replace(part, "-pos-")).is_file():
            return True
    return False


def _takes_trajectory(path: Path, head: bytes) -> bool:
    if not any(part in path.name for part in _PARTS) or path.suffix.lower() != ".xyz":
        return False
    lines = head.split(b"\n", 2)
    return len(lines) > 2 and _STEP.search(lines[1]) is not None


def _open_trajectory(path: Path) -> Frames:
    if "-frc-" in path.name:
        msg = (
            f"{path}: holds forces of CP2K. Give the file of the positions, which stands beside it."
        )
        raise DataError(msg)
    return Trajectory(path)


def _takes_output(path: Path, head: bytes) -> bool:
    del path
    return b"DBCSR|" in head or b"CP2K|" in head


def _open_output(path: Path) -> Frames:
    text = path.read_text(encoding="utf-8", errors="replace")
    kinds = set(_RUN_TYPE.findall(text)) - set(_SINGLE)
    if kinds:
        msg = (
            f"{path}: the output of a run of type {kinds.pop()}, which holds no positions of its steps. Give "
            "PROJECT-pos-1.xyz with PROJECT-frc-1.xyz beside it."
        )
        raise DataError(msg)
    if "SCF run converged" not in text:
        msg = f"{path}: no SCF run converged in it. Leave it out, or let the calculation converge."
        raise DataError(msg)
    if "SCF run NOT converged" in text:
        msg = f"{path}: an SCF run did not converge. Leave it out, or let the calculation converge."
        raise DataError(msg)
    return read_by_dpdata(path, "cp2k/output", "an output of CP2K")


OUTPUT = Reader("cp2k-output", _takes_output, _open_output)
TRAJECTORY = Reader("cp2k", _takes_trajectory, _open_trajectory, ("*-pos-*.xyz",))
