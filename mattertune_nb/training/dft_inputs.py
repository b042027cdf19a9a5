"""Input files of DFT codes for structures to be labelled, written by ASE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import CalculatorSetupError

from mattertune_nb.config.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ase import Atoms

_VACUUM = 7.5  # Å on each side of a molecule

_CP2K_RUN = """&GLOBAL
  RUN_TYPE ENERGY_FORCE
&END GLOBAL
&FORCE_EVAL
  &PRINT
    &FORCES ON
    &END FORCES
  &END PRINT
&END FORCE_EVAL"""


def write_inputs(
    frames: Sequence[Atoms],
    names: Sequence[str],
    folder: Path,
    code: str,
    settings: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a folder of input files for each structure.

    Where a structure has no cell vector, it is centered in a box with at least 7.5 Å of vacuum on each side
    and twice its size, because all of the codes need one.

    Parameters
    ----------
    frames, names
        The structures and the names of their folders.
    folder
        Folder in which to create them.
    code
        ``"vasp"``: POSCAR, INCAR and KPOINTS; ``"espresso"``: ``espresso.pwi``; ``"cp2k"``: ``cp2k.inp``.
    settings
        Settings of ASE's calculator for VASP and CP2K, e.g. ``{"encut": 520, "kspacing": 0.25}``; for Quantum
        ESPRESSO those of ASE's writer, e.g. ``{"input_data": {"ecutwfc": 60}, "pseudopotentials": {…}}``.
        Energy and forces are requested; anything else not given is the default of the code or ASE. Use the
        settings with which your existing labels were computed.

    Raises
    ------
    ConfigError
        The code is unknown, or ASE does not know a setting.
    DataError
        The files cannot be written.
    """
    check_code(code)
    written = []
    for atoms, name in zip(frames, names, strict=True):
        place = folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            _WRITERS[code](in_a_box(atoms), place, dict(settings or {}))
        except OSError as exc:
            msg = f"{place}: the input files cannot be written ({exc.strerror})."
            raise DataError(msg) from exc
        except (TypeError, ValueError, KeyError, CalculatorSetupError) as exc:
            msg = f"settings for {code}: ASE refuses them ({exc})."
            raise ConfigError(msg) from exc
        written.append(place)
    return written


def check_code(code: str) -> None:
    """Refuse a code for which no inputs are written.

    Raises
    ------
    ConfigError
        Names the codes that are known.
    """
    if code not in _WRITERS:
        msg = f"code '{code}' is unknown.{did_you_mean(code, _WRITERS)} Allowed: {', '.join(_WRITERS)}."
        raise ConfigError(msg)


def in_a_box(atoms: Atoms) -> Atoms:
    """Return a structure with three cell vectors, those that it has and vacuum."""
    if atoms.cell.rank == 3:
        return atoms
    boxed = atoms.copy()
    boxed.set_cell(atoms.cell.complete())  # unit vectors where there are none
    for axis in np.flatnonzero(atoms.cell.lengths() == 0).tolist():
        along = boxed.cell.array[axis]
        extent = float(np.ptp(boxed.positions @ along))
        boxed.cell[axis] = along * max(extent + 2 * _VACUUM, 2 * extent)
        boxed.center(axis=axis)
    return boxed


def _vasp(atoms: Atoms, place: Path, settings: dict[str, Any]) -> None:
    import ase.io
    from ase.calculators.vasp import Vasp

    class Input(Vasp):  # type: ignore[misc]
        """ASE's writer of inputs without potentials, whose licence forbids redistribution."""

        def _build_pp_list(self, *_: Any, **__: Any) -> list[str]:
            return []

    calc = Input(directory=str(place), **{"nsw": 0, "ibrion": -1} | settings)
    plain = vars(Vasp())
    known = {name for kind, of in plain.items() if kind.endswith("_params") for name in of}
    unknown = set(settings) - known
    if unknown:
        msg = f"unknown: {', '.join(sorted(unknown))}"  # which it would ignore
        raise ValueError(msg)
    calc.initialize(atoms)
    ase.io.write(place / "POSCAR", calc.atoms_sorted, format="vasp")
    calc.write_incar(atoms, directory=str(place))
    if not calc.float_params.get("kspacing"):
        calc.write_kpoints(atoms, directory=str(place))


def _espresso(atoms: Atoms, place: Path, settings: dict[str, Any]) -> None:
    import ase.io

    given = {k: v for k, v in settings.items() if k not in ("input_data", "pseudopotentials")}
    control = {"calculation": "scf", "tprnfor": True, "tstress": bool(atoms.pbc.all())}
    pseudos = {symbol: f"{symbol}.UPF" for symbol in sorted(set(atoms.symbols))}
    ase.io.write(
        place / "espresso.pwi",
        atoms,
        format="espresso-in",
        input_data=control | dict(settings.get("input_data", {})),
        pseudopotentials=pseudos | dict(settings.get("pseudopotentials", {})),
        **given,
    )


def _cp2k(atoms: Atoms, place: Path, settings: dict[str, Any]) -> None:
    from ase.calculators.calculator import Calculator
    from ase.calculators.cp2k import CP2K

    class Input(CP2K):  # type: ignore[misc]
        """ASE's writer of inputs without the program, which its calculator would start at once."""

        def __init__(self, **kwargs: Any) -> None:
            self._shell = self._force_env_id = None
            Calculator.__init__(self, label="cp2k", **kwargs)

    calc = Input(**{"inp": _CP2K_RUN} | settings)
    calc.atoms = atoms
    (place / "cp2k.inp").write_text(calc._generate_input(), encoding="utf-8")


_WRITERS: dict[str, Callable[[Atoms, Path, dict[str, Any]], None]] = {
    "vasp": _vasp,
    "espresso": _espresso,
    "cp2k": _cp2k,
}
