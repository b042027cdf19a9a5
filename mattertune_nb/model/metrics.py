"""Errors per component over a whole set; independent of batch size and number of processes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn
from torchmetrics import (
    MeanAbsoluteError as MAE,  # noqa: N817  the field's usual abbreviation
    MeanMetric,
    MeanSquaredError,
    Metric,
    MetricCollection,
)

from mattertune_nb.config.properties import ENERGY, UNREFIT, as_property

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mattertune_nb.config.properties import Property, PropertyName


class PropertyMetrics(nn.Module):
    """MAE and RMSE of each property, and the mean of each loss.

    Energies are in eV per structure and, as ``energy_per_atom``, in eV/atom; forces in eV/Å per
    component; stresses in eV/Å³ per Voigt component. A prediction of NaN counts as an infinite error, so
    it never makes an epoch look better. Sums are kept in float64 and shared between processes by
    torchmetrics. The cost does not depend on the number of frames.
    """

    def __init__(
        self,
        properties: Sequence[Property | PropertyName],
        coefficients: Mapping[PropertyName, float],
    ) -> None:
        super().__init__()
        self._coefficients: dict[str, float] = dict(coefficients.items())
        self._properties = {prop.name: prop for prop in map(as_property, properties)}
        names = [q.name for prop in self._properties.values() for q in prop.quantities]
        if ENERGY.name in self._properties:
            names.append(UNREFIT)
        self.errors = nn.ModuleDict({name: _error_metrics() for name in names})
        self.losses = nn.ModuleDict(
            {name: MeanMetric().set_dtype(torch.float64) for name in self._properties}
        )

    def update_errors(
        self, predictions: dict[str, Tensor], labels: dict[str, Tensor], num_atoms: Tensor
    ) -> None:
        """Add a batch; missing labels (NaN) are left out.

        Parameters
        ----------
        predictions, labels
            ``energy`` (B,), ``forces`` (N, 3), ``stresses`` (B, 6); labels may also contain ``refit`` (B,),
            the energy that refitted references have added.
        num_atoms
            Number of atoms of each structure, (B,).
        """
        for name, prop in self._properties.items():
            prediction, label = predictions[name].detach().double(), labels[name].double()
            for quantity in prop.quantities:
                share = 1 if quantity.name == name else num_atoms
                self._update(quantity.name, prediction / share, label / share)
            if prop.has_references and "refit" in labels:
                before = prediction - labels["refit"]
                self._update(UNREFIT, before / num_atoms, label / num_atoms)

    def update_losses(self, losses: dict[str, tuple[Tensor, int]]) -> None:
        """Add the mean loss of each property in a batch, weighted by its number of labels."""
        for name, (loss, count) in losses.items():
            if count:
                value = _infinite_for_nan(loss.detach().double())
                self.losses[name].update(value, weight=count)  # type: ignore[operator]

    def _update(self, name: str, prediction: Tensor, label: Tensor) -> None:
        present = torch.isfinite(label)
        if present.any():
            predicted = _infinite_for_nan(prediction[present])
            self.errors[name].update(predicted, label[present])  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        """Return the errors, e.g. ``forces_mae``, and losses over everything added.

        A property without a single label, in any process, is left out.
        """
        values: dict[str, Tensor] = {}
        for name, collection in self.errors.items():
            for metric_name, metric in collection.items():  # type: ignore[operator]
                # this process may have seen no frame, so ask what all of them saw
                value = _quietly(metric)
                if not torch.isnan(value):
                    values[f"{name}_{metric_name}"] = value
        total = torch.zeros((), dtype=torch.float64)
        for name, metric in self.losses.items():
            value = _quietly(metric)  # type: ignore[arg-type]
            if not torch.isnan(value):
                values[f"{name}_loss"] = value
                total = total.to(value.device) + self._coefficients[name] * value
        if any(key.endswith("_loss") for key in values):
            values["total_loss"] = total
        return values

    def reset(self) -> None:
        """Discard everything added."""
        for collection in self.errors.values():
            collection.reset()  # type: ignore[operator]
        for metric in self.losses.values():
            metric.reset()  # type: ignore[operator]


def _error_metrics() -> MetricCollection:
    metrics = MetricCollection(
        {"mae": MAE(), "rmse": MeanSquaredError(squared=False)}, compute_groups=False
    )
    return metrics.set_dtype(torch.float64)


def _infinite_for_nan(values: Tensor) -> Tensor:
    """Replace NaN by infinity, which torchmetrics neither leaves out nor takes for an empty set."""
    return values.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _quietly(metric: Metric) -> Tensor:
    """Compute a metric without torchmetrics' warning if this process has added nothing to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*before the ``update`` method.*")
        value: Tensor = metric.compute()
    return value
