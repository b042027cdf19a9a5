"""Predicted and labelled energies of many frames, to fit references and to compute errors with others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array, vstack

from mattertune_nb.config.properties import ENERGY
from mattertune_nb.model.processes import gathered
from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


def composition_counts(batch: GraphBatch) -> NDArray[np.int64]:
    """Return the number of atoms of each element in each structure of a batch, (B, 119)."""
    flat = batch.batch * N_ELEMENTS + batch.numbers
    counts = torch.bincount(flat, minlength=len(batch) * N_ELEMENTS).view(-1, N_ELEMENTS)
    return np.asarray(counts.cpu().numpy(), dtype=np.int64)


@dataclass(frozen=True)
class EnergyTable:
    """Energies of the labelled frames of all processes; the references may change afterwards.

    Parameters
    ----------
    counts
        Number of atoms of each element, (frames, 119); sparse, as a frame contains only a few elements.
    labels, predictions
        In eV, (frames,).
    references
        References contained in the predictions, (119,).
    """

    counts: csr_array
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    references: NDArray[np.float64]

    def residuals(self, references: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return label minus prediction with the given references, in eV."""
        change = self.counts @ (references - self.references)
        residuals: NDArray[np.float64] = self.labels - self.predictions - change
        return residuals

    def errors(self, references: NDArray[np.float64]) -> dict[str, float]:
        """Return the errors with the given references, named as in validation."""
        residuals = self.residuals(references)
        per_atom = residuals / self.counts.sum(axis=1)
        errors = (
            float(error)
            for off in (residuals, per_atom)
            for error in (np.abs(off).mean(), np.sqrt(np.square(off).mean()))
        )
        return dict(zip(ENERGY.metrics(), errors, strict=True))

    def loss_labels(
        self, references: NDArray[np.float64], *, per_atom: bool
    ) -> NDArray[np.float64]:
        """Return the labels minus the references, as the loss sees them, in eV/atom or in eV."""
        labels: NDArray[np.float64] = self.labels - self.counts @ references
        return labels / self.counts.sum(axis=1) if per_atom else labels


class TableBuilder:
    """Collects the labelled frames of one process.

    Parameters
    ----------
    references
        References contained in the predictions, (119,), in eV.
    """

    def __init__(self, references: Tensor) -> None:
        self._references = references.cpu().numpy().copy()
        self._counts = [csr_array((0, N_ELEMENTS), dtype=np.int64)]
        self._labels: list[NDArray[np.float64]] = []
        self._predicted: list[NDArray[np.float64]] = []

    def add(self, batch: GraphBatch, predictions: Tensor) -> None:
        """Add the frames of a batch that have a label; predictions in eV, (B,)."""
        labels = batch.labels[ENERGY.name]
        present = torch.isfinite(labels).cpu().numpy()
        self._counts.append(csr_array(composition_counts(batch)[present]))
        self._labels.append(labels.cpu().numpy()[present])
        self._predicted.append(predictions.detach().cpu().numpy()[present])

    def build(self, trainer: Trainer) -> EnergyTable | None:
        """Return the frames of all processes, or ``None`` if none has a label."""
        table = EnergyTable(
            vstack(gathered(trainer, vstack(self._counts, format="csr")), format="csr"),
            _gather(trainer, _join(self._labels)),
            _gather(trainer, _join(self._predicted)),
            self._references,
        )
        return table if len(table.labels) else None


def _join(arrays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *arrays])


def _gather(trainer: Trainer, array: NDArray[Any]) -> NDArray[Any]:
    """Join the arrays of all processes along their first axis."""
    return np.concatenate(gathered(trainer, array))
