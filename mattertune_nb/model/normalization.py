"""Conversion between labels and backbone predictions: reference energies, and scales of the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import nn
from typing_extensions import override

from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY, PROPERTIES, PropertyName
from mattertune_nb.config.task import (
    ISOLATED_ATOMS,
    MeanStdNormalizerConfig,
    NormalizerConfig,
    PerAtomReferencingNormalizerConfig,
)
from mattertune_nb.model.normalizers import given_references, given_scale, is_open
from mattertune_nb.model.references import (
    N_ELEMENTS,
    composition_span,
    fit_references,
    outside_span,
    references_from_symbols,
    refit_references,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.model.references import Counts


class Spread(NamedTuple):
    """Deviation of a property's labels from their mean, and from zero, in its unit."""

    std: float
    rms: float


class ExactBuffers(nn.Module):
    """A module whose own buffers keep their number format when that of the parameters changes."""

    @override
    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        # `.half()` and `.float()` of a whole model must not cost −30 000 eV any digits
        exact = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in exact.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self


class Normalization(ExactBuffers):
    """Shifts of the energy per element, and scales of the losses, all kept in float64.

    The backbone stays physical: the prediction is its energy plus the references, and a scale only
    divides the errors in the loss. Everything is a buffer, so a checkpoint holds the fitted values.

    Attributes
    ----------
    references, first_references
        Energy of an atom of each element, now and as training began, by atomic number in eV, (119,).
    span
        Rows span the compositions for which the references are determined, the others are 0, (119, 119).
    scales
        Divisors of errors in the loss, in the unit of each property of the table, (properties,).
    fitted
        Whether nothing is left to be fitted to a training set, ().
    """

    references: Tensor
    first_references: Tensor
    span: Tensor
    scales: Tensor
    fitted: Tensor

    _PLACES: tuple[PropertyName, ...] = tuple(PROPERTIES)

    def __init__(self, config: dict[PropertyName, list[NormalizerConfig]]) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("references", torch.zeros(N_ELEMENTS, dtype=torch.float64))
        # rows of zeros: no references, nothing to warn about
        self.register_buffer("span", torch.zeros(N_ELEMENTS, N_ELEMENTS, dtype=torch.float64))
        self.register_buffer("scales", torch.ones(len(self._PLACES), dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(not self._needs_fit()))
        self.change: Tensor | None = None
        """Change of the references in the current validation relative to those before, (119,), in eV."""
        for normalizer in config.get(ENERGY.name, []):
            if isinstance(normalizer, PerAtomReferencingNormalizerConfig):
                given = normalizer.per_element_references
                if isinstance(given, dict):  # a file was read by with_references_read
                    array = references_from_symbols(given, "per_element_references")
                    self.references += torch.from_numpy(array)
                    known = [atomic_numbers[symbol] for symbol in given]
                    self.span[range(len(known)), known] = 1.0
            elif isinstance(normalizer, MeanStdNormalizerConfig) and normalizer.mean is not None:
                self.references[1:] += normalizer.mean
        # the references before training, used for comparison with the untuned model
        self.register_buffer("first_references", self.references.clone())
        for name, normalizers in config.items():
            for normalizer in normalizers:
                scale = given_scale(normalizer)
                if scale is not None:
                    self.scales[self._PLACES.index(name)] *= scale

    def _needs_fit(self) -> bool:
        return any(is_open(n) for normalizers in self.config.values() for n in normalizers)

    @property
    def fits_energy(self) -> bool:
        """Whether fitting the shifts needs untuned predictions for the training set."""
        return any(
            (isinstance(n, PerAtomReferencingNormalizerConfig) and n.per_element_references is None)
            or (isinstance(n, MeanStdNormalizerConfig) and n.mean is None)
            for n in self.config.get(ENERGY.name, [])
        )

    @property
    def takes_isolated_atoms(self) -> bool:
        """Whether the references are taken from the isolated atoms in the data."""
        energy = self.config.get(ENERGY.name, [])
        return any(given_references(n) == ISOLATED_ATOMS for n in energy)

    def fix_shift(self, changes: Mapping[str, float]) -> None:
        """Change the references of the given elements, in eV by symbol; those of others stay undetermined."""
        numbers = [atomic_numbers[symbol] for symbol in changes]
        self.references[numbers] += torch.tensor(list(changes.values())).to(self.references)
        self.span.zero_()
        self.span[range(len(numbers)), numbers] = 1.0
        self.first_references.copy_(self.references)

    def with_references(self, out: dict[str, Tensor], batch: GraphBatch) -> dict[str, Tensor]:
        """Return a backbone's predictions with the references added to the energies, in float64."""
        shift = self.shift(batch.numbers, batch.batch, len(batch.n_atoms))
        out[ENERGY.name] = out[ENERGY.name].double() + shift
        if ATOM_ENERGIES.name in out:
            out[ATOM_ENERGIES.name] = (
                out[ATOM_ENERGIES.name].double() + self.references[batch.numbers]
            )
        return out

    def shift(self, numbers: Tensor, batch: Tensor, n_graphs: int) -> Tensor:
        """Return the sum of reference energies of each structure, (B,), float64, in eV."""
        return _sums(self.references, numbers, batch, n_graphs)

    def change_of_shift(self, numbers: Tensor, batch: Tensor, n_graphs: int) -> Tensor | None:
        """Return the contribution of :attr:`change` to each structure, (B,), float64, in eV."""
        if self.change is None:
            return None
        return _sums(self.change.to(numbers.device), numbers, batch, n_graphs)

    def scale(self, name: PropertyName) -> Tensor:
        """Return the scale by which errors of a property are divided in the loss, in the property's unit."""
        if name not in self._PLACES:
            return torch.ones_like(self.scales[0])
        return self.scales[self._PLACES.index(name)]

    def fit_shift(
        self, counts: Counts, residuals: NDArray[np.float64], *, keep: Callable[[], bool]
    ) -> bool:
        """Fit the energy's shifts, and keep them if `keep` returns true.

        Parameters
        ----------
        counts, residuals
            As in :func:`fit_references`; label minus the prediction with the current references.
        keep
            Called with the new references in place; returns whether they lower the held-out error.
        """
        before, span_before = self.references.clone(), self.span.clone()
        for normalizer in self.config.get(ENERGY.name, []):
            n_atoms = counts.sum(axis=1)
            if isinstance(normalizer, PerAtomReferencingNormalizerConfig):
                if normalizer.per_element_references is not None:
                    continue
                references, span = fit_references(counts, residuals)
                self.span.zero_()
                self.span[: len(span)] = torch.from_numpy(span)
            elif isinstance(normalizer, MeanStdNormalizerConfig) and normalizer.mean is None:
                references = np.full(N_ELEMENTS, float(np.mean(residuals / n_atoms)))
            else:
                continue
            residuals = residuals - counts @ references
            self.references += torch.from_numpy(references).to(self.references.device)
        kept = keep()
        if not kept:
            self.references, self.span = before, span_before
        self.first_references.copy_(self.references)
        return kept

    @property
    def refits_energy(self) -> bool:
        """Whether the shifts are refitted during training."""
        return any(
            isinstance(n, PerAtomReferencingNormalizerConfig)
            and n.per_element_references is None
            and n.refit
            for n in self.config.get(ENERGY.name, [])
        )

    def refit_shift(
        self,
        counts: Counts,
        residuals: NDArray[np.float64],
        *,
        keep: Callable[[NDArray[np.float64]], bool],
    ) -> None:
        """Refit the energy's shifts, if that lowers the error of frames not used in the fit.

        Parameters
        ----------
        counts, residuals
            As in :func:`fit_references`; label minus the prediction with the current references, for a sample
            of the training set.
        keep
            Called with the new references, (119,) in eV; returns whether they lower the held-out error.
        """
        span = self.span.cpu().numpy()
        # nothing was fitted if the backbone's own zero of energy was right
        span = span if span.any() else composition_span(counts)
        change = refit_references(counts, residuals, span)
        self.change = None
        if change is not None and keep(self.references.cpu().numpy() + change):
            self.change = torch.from_numpy(change).to(self.span.device)
            self.references += self.change

    def fit_scales(self, spreads: Mapping[PropertyName, Spread | None]) -> None:
        """Fit the scales left open by the config to the labels of the training set.

        Parameters
        ----------
        spreads
            Spread of each property that has labels; for the energy, with the references subtracted, and per
            atom if its loss is per atom.
        """
        for name, normalizers in self.config.items():
            spread = spreads.get(name)
            for normalizer in normalizers:
                if spread is None or given_scale(normalizer) is not None:
                    continue
                is_std = isinstance(normalizer, MeanStdNormalizerConfig)
                fitted = spread.std if is_std else spread.rms
                if fitted > 0:
                    self.scales[self._PLACES.index(name)] *= fitted
        self.fitted.fill_(True)

    def extrapolates(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for which compositions, (frames, 119), the references are undetermined."""
        span = self.span.cpu().numpy()
        span = span[np.any(span != 0, axis=1)]
        if not len(span):
            return np.zeros(len(counts), dtype=bool)
        return outside_span(counts, span)

    def begin_again(self) -> None:
        """Restore the references that training started with."""
        self.references.copy_(self.first_references)


def _sums(per_element: Tensor, numbers: Tensor, batch: Tensor, n_graphs: int) -> Tensor:
    out = torch.zeros(n_graphs, dtype=torch.float64, device=numbers.device)
    return out.index_add(0, batch, per_element[numbers])
