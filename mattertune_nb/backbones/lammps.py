"""How to use a model in LAMMPS: an input script, and preparations."""

from __future__ import annotations

from dataclasses import dataclass

ELSEWHERE = (
    "run it in LAMMPS by drive_lammps(), or from Python by ase_calculator() or torchsim_model()."
)
"""What to do with a model that has no pair style."""

ONLY_FROM_PYTHON = (
    "its makers have none, but a fork of LAMMPS (advancesoftcorp/lammps, package ML-GNNP) calls it from "
    "Python. Without that fork, " + ELSEWHERE
)
"""The same for a model that a fork of LAMMPS supports."""


@dataclass(frozen=True)
class PairStyle:
    """What an exported model requires in a LAMMPS input script.

    Attributes
    ----------
    style
        Arguments of ``pair_style``.
    file
        File that ``pair_coeff`` names in addition to the atom types; ``None`` if `style` names it.
    first
        A command that converts the exported file, if it has to be prepared on the machine that runs
        LAMMPS.
    by_number
        Whether atom types are given by atomic number rather than by symbol.
    before_atoms
        Commands that the pair style depends on, and that LAMMPS accepts only before there are atoms.
    """

    style: str
    file: str | None
    first: str = ""
    by_number: bool = False
    before_atoms: tuple[str, ...] = ()

    def lines(self, elements: dict[str, int], data: str | None = None) -> str:
        """Return an input script: a hundred steps of dynamics, or without `data` what such a script needs.

        Parameters
        ----------
        elements
            Atomic numbers by symbol, in the order of the atom types.
        data
            Name of a data file with atoms of these types.
        """
        types = map(str, elements.values()) if self.by_number else elements
        coefficients = " ".join([*([self.file] if self.file else []), *types])
        before = (
            f"# first, on the machine that LAMMPS runs on: {self.first}\n" if self.first else ""
        )
        settings = ("units metal", "atom_style atomic", *self.before_atoms)
        atoms = "" if data is None else f"{_aligned(f'read_data {data}')}\n"
        # half as long with hydrogen, which vibrates fast
        step = 0.0005 if "H" in elements else 0.001
        run = (
            f"timestep {step:g}",
            "velocity all create 300.0 1",
            "fix 1 all nve",
            "thermo 10",
            "run 100",
        )
        dynamics = "" if data is None else f"\n# dynamics, ps and K\n{_aligned(*run)}"
        return (
            f"{before}# before the atoms are read or created\n"
            f"{_aligned(*settings)}\n{atoms}"
            "# after that; pair_coeff ends with the atom types 1, 2, …, in their order\n"
            f"{_aligned(f'pair_style {self.style}', f'pair_coeff * * {coefficients}')}{dynamics}"
        )


def _aligned(*commands: str) -> str:
    """Return lines whose arguments start in one column."""
    words = (command.split(" ", 1) for command in commands)
    return "".join(f"{name:<13} {arguments}\n" for name, arguments in words)
