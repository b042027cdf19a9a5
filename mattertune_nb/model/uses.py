"""Ways to use a model: with ASE, LAMMPS, TorchSim, and for batches of structures."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.model.potential import Potential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mattertune_nb.calculator import MatterTuneCalculator
    from mattertune_nb.predictor import PropertyPredictor
    from mattertune_nb.torchsim import TorchSimModel


class Usable(Potential):
    """The ways to predict with a model; each is imported on first use."""

    def member(self, k: int) -> Self:
        """Return a model with only one copy of the last block, for programs that do not support ensembles.

        Parameters
        ----------
        k
            Index of the copy, counted from 0.

        Raises
        ------
        ConfigError
            There is no such copy.
        """
        members = self.backbone.members
        if members is None:
            msg = f"member {k}: the model has no copies of its last block. Leave member out."
            raise ConfigError(msg)
        if not 0 <= k < members.n:
            msg = (
                f"member {k}: there are {members.n} copies of the last block, 0 to {members.n - 1}."
            )
            raise ConfigError(msg)
        alone = copy.deepcopy(self)
        members.keep(alone.backbone, k)
        alone.backbone.members = None
        alone._config = alone.hparams.model_copy(update={"last_block_copies": 1})
        alone.properties = {name: p for name, p in self.properties.items() if not p.spread_of}
        return alone

    def ase_calculator(self, **kwargs: Any) -> MatterTuneCalculator:
        """Return a :class:`mattertune_nb.MatterTuneCalculator` with this model; `kwargs` are passed to it."""
        from mattertune_nb.calculator import MatterTuneCalculator

        return MatterTuneCalculator(self, **kwargs)

    def property_predictor(self, **kwargs: Any) -> PropertyPredictor:
        """Return a :class:`mattertune_nb.PropertyPredictor` with this model; `kwargs` are passed to it."""
        from mattertune_nb.predictor import PropertyPredictor

        return PropertyPredictor(self, **kwargs)

    def torchsim_model(self, **kwargs: Any) -> TorchSimModel:
        """Return a :class:`mattertune_nb.torchsim.TorchSimModel` with this model, for batched dynamics.

        Parameters
        ----------
        **kwargs
            Its other arguments.

        Raises
        ------
        MissingExtraError
            TorchSim is not installed.
        """
        from mattertune_nb.torchsim import TorchSimModel

        return TorchSimModel(self, **kwargs)

    def drive_lammps(self, lmp: Any, elements: Sequence[str]) -> None:
        """Apply the energy and forces of this model to the atoms of a LAMMPS system, with any backbone.

        It adds ``fix external`` with energy (eV), forces (eV/Å) and, if all directions are periodic, the
        virial, and the ``pair_style zero`` that LAMMPS requires; a pair style set afterwards is added to the
        model. Any error in a step, or an interrupt, ends the run and is raised by the command that began it.
        LAMMPS runs in one process:

        >>> lmp = start_lammps()  # from mattertune_nb.lammps, or your own lammps.lammps()
        >>> lmp.file("system.in")  # units metal, the atoms
        >>> model.drive_lammps(lmp, ["Li", "P", "S"])
        >>> lmp.command("fix 1 all nvt temp 300 300 0.1")
        >>> lmp.command("run 1000")

        Parameters
        ----------
        lmp
            A ``lammps.lammps`` in units ``metal``, on one process, whose simulation box exists.
        elements
            The chemical symbol of each atom type, in the order of the types.

        Raises
        ------
        ConfigError
            LAMMPS has other units, no box, or several processes, or an atom type has no element.
        """
        from mattertune_nb.lammps import drive_lammps

        drive_lammps(self, lmp, elements)
