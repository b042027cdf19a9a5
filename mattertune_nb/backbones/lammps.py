"""How to use a model in LAMMPS: lines of an input script, and preparations."""

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

    def lines(self, elements: dict[str, int]) -> str:
        """Return the lines of an input script.

        Parameters
        ----------
        elements
            Atomic numbers by symbol, in the order of the atom types.
        """
        types = map(str, elements.values()) if self.by_number else elements
        coefficients = " ".join([*([self.file] if self.file else []), *types])
        before = (
            f"# first, on the machine that LAMMPS runs on: {self.first}\n" if self.first else ""
        )
        settings = ("units metal", "atom_style atomic", *self.before_atoms)
        return (
            f"{before}# before the atoms are read or created\n"
            f"{_aligned(*settings)}\n"
            "# after that; pair_coeff ends with the atom types 1, 2, …, in their order\n"
            f"{_aligned(f'pair_style {self.style}', f'pair_coeff * * {coefficients}')}"
        )


def _aligned(*commands: str) -> str:
    """Return lines whose arguments start in one column."""
    words = (command.split(" ", 1) for command in commands)
    return "".join(f"{name:<13} {arguments}\n" for name, arguments in words)
