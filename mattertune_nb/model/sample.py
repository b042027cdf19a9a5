"""A sample of limited size from a validation, for plots drawn during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mattertune_nb.config.properties import as_property, by_importance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.config.properties import Property, PropertyName

MAX_POINTS = 1000
MAX_FRAMES = 2000
N_WORST = 6


class ErrorSample:
    """Pairs of label and prediction, and the structures with the worst predictions.

    Apart from one batch, memory and cost do not grow with the set: at most :data:`MAX_POINTS` components
    of each property are kept, each with the same probability.

    Attributes
    ----------
    loader
        Index of the validation loader the batches come from.
    """

    def __init__(self, properties: Sequence[Property | PropertyName]) -> None:
        self._properties = [as_property(given) for given in properties]
        (self._ranked_by, *_) = by_importance(self._properties)
        self.reset()

    def reset(self) -> None:
        """Discard everything added."""
        self.loader = 0
        # a separate generator: plots must not change the order of training
        self._rng = np.random.default_rng(0)
        self._frame_rng = np.random.default_rng(1)
        self._points = {prop.name: np.empty((0, 3)) for prop in self._properties}
        self._worst: list[tuple[float, int, int]] = []
        self._frames = np.empty((0, 3))

    def add(self, predictions: dict[str, Tensor], labels: dict[str, Tensor]) -> None:
        """Add a batch; energies are compared per atom."""
        num_atoms = labels["num_atoms"]
        for prop in self._properties:
            name = prop.name
            prediction, label = predictions[name].detach().double(), labels[name].double()
            if prop.shown_per_atom:
                prediction, label = prediction / num_atoms, label / num_atoms
            self._keep(name, label.cpu().numpy().ravel(), prediction.cpu().numpy().ravel())
        if "index" in labels:
            self._rank(predictions, labels)

    def _keep(self, name: PropertyName, label: NDArray[Any], prediction: NDArray[Any]) -> None:
        present = np.isfinite(label)
        new = np.stack([label[present], prediction[present]], axis=1)
        # the components with the largest random keys are a uniform sample of all components seen
        keyed = np.concatenate([self._points[name], np.c_[new, self._rng.random(len(new))]])
        if len(keyed) > MAX_POINTS:
            keyed = keyed[np.argpartition(keyed[:, 2], -MAX_POINTS)[-MAX_POINTS:]]
        self._points[name] = keyed

    def _rank(self, predictions: dict[str, Tensor], labels: dict[str, Tensor]) -> None:
        num_atoms = labels["num_atoms"]
        prop = self._ranked_by
        errors = (predictions[prop.name].detach() - labels[prop.name]).abs()
        errors = errors.mean(dim=1) if errors.ndim == 2 else errors
        if prop.of_atoms:
            per_atom = errors
            frame = torch.arange(len(num_atoms), device=num_atoms.device).repeat_interleave(
                num_atoms
            )
            errors = torch.zeros(len(num_atoms), dtype=per_atom.dtype, device=per_atom.device)
            errors = errors.index_add(0, frame, per_atom) / num_atoms
        elif prop.shown_per_atom:
            errors = errors / num_atoms
        found = [
            (error, self.loader, index)
            for error, index in zip(errors.tolist(), labels["index"].tolist(), strict=True)
            if np.isfinite(error)
        ]
        self._worst = sorted([*self._worst, *found])[-N_WORST:]
        first = [(index, error) for error, loader, index in found if loader == 0]
        new = np.c_[np.array(first).reshape(-1, 2), self._frame_rng.random(len(first))]
        keyed = np.concatenate([self._frames, new])
        if len(keyed) > MAX_FRAMES:
            keyed = keyed[np.argpartition(keyed[:, 2], -MAX_FRAMES)[-MAX_FRAMES:]]
        self._frames = keyed

    def points(self) -> dict[str, list[list[float]]]:
        """Return ``[label, prediction]`` pairs of each property, energies in eV/atom."""
        return {name: values[:, :2].tolist() for name, values in self._points.items()}

    @property
    def ranked_by(self) -> Property:
        """The property whose errors measure how well a structure is predicted."""
        return self._ranked_by

    def frames(self) -> list[tuple[int, float]]:
        """Return index and error of structures of the first loader, at most :data:`MAX_FRAMES`.

        The error is the one by which :meth:`worst` ranks.
        """
        return [(int(index), float(error)) for index, error in self._frames[:, :2]]

    def worst(self) -> list[tuple[int, int, float]]:
        """Return loader, index in its dataset, and error of the worst structures, worst first.

        The error is the mean absolute error of the force components in eV/Å; without forces, that of
        the energy in eV/atom; without both, that of the stress in eV/Å³.
        """
        return [(loader, index, error) for error, loader, index in reversed(self._worst)]
