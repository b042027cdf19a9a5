"""Input files of DFT codes for structures to be labelled, written by ASE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import CalculatorSetupError

from mattertune_nb.config.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ase import Atoms

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
    if code not in _WRITERS:
        msg = f"code '{code}' is unknown. Allowed: {', '.join(_WRITERS)}."
        raise ConfigError(msg)
    written = []
    for atoms, name in zip(frames, names, strict=True):
        place = folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            _WRITERS[code](atoms, place, dict(settings or {}))
        except OSError as exc:
            msg = f"{place}: the input files cannot be written ({exc.strerror})."
            raise DataError(msg) from exc
        except (TypeError, ValueError, KeyError, CalculatorSetupError) as exc:
            msg = f"settings for {code}: ASE refuses them ({exc})."
            raise ConfigError(msg) from exc
        written.append(place)
    return written


def _vasp(atoms: Atoms, place: Path, settings: dict[str, Any]) -> None:
    import ase.io
    from ase.calculators.vasp import Vasp

    if atoms.cell.rank < 3:
        msg = "VASP needs a cell"
        raise ValueError(msg)

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
