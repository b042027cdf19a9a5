"""Reference energies with which the model reproduces the data's energies of isolated atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.model.loader import GraphDataset

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.potential import Potential


def fix_to_isolated_atoms(trainer: Trainer, module: Potential) -> None:
    """Set the references so that the energy of each isolated atom in the trainer's data equals its label.

    The backbone's own energy of the atom is subtracted, because its zero of energy need not be the atom.

    Raises
    ------
    TrainingError
        The data do not come from our data module or contain no isolated atom, or the backbone has no energy
        for one.
    DataError
        Isolated atoms of one element have different energies.
    """
    data = cast("Any", trainer).datamodule
    if not isinstance(data, MatterTuneDataModule):
        msg = (
            "per_element_references: isolated atoms are known only of a MatterTuneDataModule. Give the data "
            "as one, or the energies as numbers."
        )
        raise TrainingError(msg)
    atoms = data.isolated_atoms()
    if not atoms:
        msg = (
            "per_element_references: the data have no isolated atom with an energy. Add those of all "
            "elements, or leave the field unset and have references fitted."
        )
        raise TrainingError(msg)
    module.normalization.fix_shift(
        {symbol: _missing(module, dataset) for symbol, dataset in atoms.items()}
    )


@torch.no_grad()
def _missing(module: Potential, atom: AtomsDataset) -> float:
    """Return label minus prediction for a data set's first structure, in eV."""
    graphs = GraphDataset(atom, module.backbone, {ENERGY: "error"})
    batch = graphs.batch([0]).to(module.device)
    predicted = float(module.predict_properties(batch, [ENERGY.name])[ENERGY.name][0])
    missing = float(batch.labels[ENERGY.name][0]) - predicted
    if not torch.isfinite(torch.tensor(missing)):
        msg = (
            f"{atom.source(0)}: the backbone's energy of an atom alone is {predicted}, which cannot serve as "
            "a reference. Leave per_element_references unset and have references fitted."
        )
        raise TrainingError(msg)
    return missing
