"""How a model gets into LAMMPS: lines of an input, and what has to be done before."""

from __future__ import annotations

from dataclasses import dataclass

ELSEWHERE = "run it by drive_lammps(), from Python, ase_calculator() or torchsim_model()."
"""What to do with a model that has no pair style."""

ONLY_FROM_PYTHON = (
    "its makers have none; ML-GNNP of the fork advancesoftcorp/lammps calls it from Python. Or "
    + ELSEWHERE
)
"""The same where a fork of LAMMPS can."""


@dataclass(frozen=True)
class PairStyle:
    """What an exported model asks of an input of LAMMPS.

    Attributes
    ----------
    style
        What follows ``pair_style``.
    file
        What ``pair_coeff`` names beside the atom types; ``None`` where `style` names it.
    first
        A command that makes the file of the one that was written, where it has to be made for the machine
        that LAMMPS runs on.
    by_number
        Whether atom types are told by atomic numbers and not by symbols.
    """

    style: str
    file: str | None
    first: str = ""
    by_number: bool = False

    def lines(self, elements: dict[str, int]) -> str:
        """Return the lines of an input.

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
        return (
            f"{before}# the end of pair_coeff is the atom types 1, 2, …, in their order\n"
            "units         metal\n"
            "atom_style    atomic\n"
            f"pair_style    {self.style}\n"
            f"pair_coeff    * * {coefficients}\n"
        )
