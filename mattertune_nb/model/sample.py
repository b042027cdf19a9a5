"""A bounded sample of a validation, for plots that are drawn while training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.config.task import PropertyName

MAX_POINTS = 1000
N_WORST = 6


class ErrorSample:
    """Pairs of label and prediction, and the structures that are predicted worst.

    Memory and cost do not grow with the set beyond a batch: of each property at most
    :data:`MAX_POINTS` components stay, each as likely as any other.

    Attributes
    ----------
    loader
        Which of several validation loaders the batches come from.
    """

    def __init__(self, properties: list[PropertyName]) -> None:
        self._properties = properties
        self.reset()

    def reset(self) -> None:
        """Forget all that was added."""
        self.loader = 0
        # a generator of its own: plots must not change the order of training
        self._rng = np.random.default_rng(0)
        self._points = {name: np.empty((0, 3)) for name in self._properties}
        self._worst: list[tuple[float, int, int]] = []

    def add(self, predictions: dict[str, Tensor], labels: dict[str, Tensor]) -> None:
        """Add a batch; energies are compared per atom."""
        num_atoms = labels["num_atoms"]
        for name in self._properties:
            prediction, label = predictions[name].detach().double(), labels[name].double()
            if name == "energy":
                prediction, label = prediction / num_atoms, label / num_atoms
            self._keep(name, label.cpu().numpy().ravel(), prediction.cpu().numpy().ravel())
        if "index" in labels:
            self._rank(predictions, labels)

    def _keep(self, name: PropertyName, label: NDArray[Any], prediction: NDArray[Any]) -> None:
        present = np.isfinite(label)
        new = np.stack([label[present], prediction[present]], axis=1)
        # the components with the largest random keys are a uniform sample of all that came by
        keyed = np.concatenate([self._points[name], np.c_[new, self._rng.random(len(new))]])
        if len(keyed) > MAX_POINTS:
            keyed = keyed[np.argpartition(keyed[:, 2], -MAX_POINTS)[-MAX_POINTS:]]
        self._points[name] = keyed

    def _rank(self, predictions: dict[str, Tensor], labels: dict[str, Tensor]) -> None:
        num_atoms = labels["num_atoms"]
        if "forces" in self._properties:
            per_atom = (predictions["forces"].detach() - labels["forces"]).abs().mean(dim=1)
            frame = torch.arange(len(num_atoms), device=num_atoms.device).repeat_interleave(
                num_atoms
            )
            errors = torch.zeros(len(num_atoms), dtype=per_atom.dtype, device=per_atom.device)
            errors = errors.index_add(0, frame, per_atom) / num_atoms
        elif "energy" in self._properties:
            errors = (predictions["energy"].detach() - labels["energy"]).abs() / num_atoms
        else:
            errors = (predictions["stresses"].detach() - labels["stresses"]).abs().mean(dim=1)
        found = [
            (error, self.loader, index)
            for error, index in zip(errors.tolist(), labels["index"].tolist(), strict=True)
            if np.isfinite(error)
        ]
        self._worst = sorted([*self._worst, *found])[-N_WORST:]

    def points(self) -> dict[str, list[list[float]]]:
        """Return ``[label, prediction]`` pairs of each property, energies in eV/atom."""
        return {name: values[:, :2].tolist() for name, values in self._points.items()}

    def worst(self) -> list[tuple[int, int, float]]:
        """Return loader, index in its dataset and error of the worst structures, the worst first.

        The error is the mean absolute one of the force components in eV/Å; without forces that of
        the energy in eV/atom, and without both that of the stress in eV/Å³.
        """
        return [(loader, index, error) for error, loader, index in reversed(self._worst)]
