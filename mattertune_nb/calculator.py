"""Use a tuned model: one structure at a time in ASE, or many in batches."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY, PROPERTIES
from mattertune_nb.data.dataset import LoaderSettings, as_dataset
from mattertune_nb.data.soundness import same_place
from mattertune_nb.model.devices import require_device
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.model.outside import outside_references
from mattertune_nb.model.potential import Potential
from mattertune_nb.model.predictions import split_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset

_FORMATS = {"float32": torch.float32, "float64": torch.float64}


class PropertyPredictor:
    """Predicts many structures in batches, in the units of the training labels.

    Parameters
    ----------
    model
        A tuned or untuned model; or a run, its directory or a checkpoint, whose best model is loaded.
    batch_size
        Structures per batch.
    max_atoms
        Maximum atoms per batch, in place of `batch_size`. If neither is given: 128 on a CPU, whose caches
        hold no more (``tests/benchmarks/bench_prediction.py``), 2000 elsewhere.
    """

    def __init__(
        self,
        model: Potential | str | Path | RunLike,
        *,
        batch_size: int | None = None,
        max_atoms: int | None = None,
    ) -> None:
        self.model = _loaded(model)
        self.batch_size = batch_size
        self.max_atoms = max_atoms

    def predict(
        self, atoms: Sequence[Atoms], properties: Sequence[PropertyName] | None = None
    ) -> list[dict[str, Any]]:
        """Predict energy, forces, stress, and any other properties that the model was trained on.

        Parameters
        ----------
        atoms
            Structures, in any mix of sizes and periodicities.
        properties
            What to predict, by default everything; the energy alone is several times cheaper.

        Returns
        -------
        list
            For each structure ``{"energy": float, "forces": (n, 3), "stresses": (6,)}`` in eV, eV/Å and eV/Å³
            (Voigt, ASE's sign), references included, and a number or (n,) for each other property under its
            name, in the unit of its labels; for an ensemble also the spread of each under its name with
            ``_std``. The stress is left out unless all three directions are periodic.

        Raises
        ------
        DataError
            The backbone cannot handle a structure, e.g. because it does not know an element.
        ConfigError
            The model does not predict a property.
        """
        frames, properties = _checked(self.model, atoms, properties)
        if len(frames):
            warn_outside_references(self.model, [frames.frame(i) for i in range(len(frames))])
        results: list[dict[str, Any]] = [{}] * len(frames)
        for index, result in self.stream(frames, properties):
            results[index] = result
        return results

    def stream(
        self,
        atoms: Sequence[Atoms] | AtomsDataset,
        properties: Sequence[PropertyName] | None = None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Predict batch by batch, in the order of the structures, as :meth:`predict` does.

        Parameters
        ----------
        atoms, properties
            As for :meth:`predict`.

        Yields
        ------
        tuple
            The position of a structure and its prediction. No warning about reference energies is given, see
            :func:`outside_references`.
        """
        frames, properties = _checked(self.model, atoms, properties)
        if not len(frames):
            return
        model, max_atoms = self.model, self.max_atoms
        if max_atoms is None and self.batch_size is None:
            max_atoms = 128 if model.device.type == "cpu" else 2000
        # all structures in this process, even if the model's Trainer has several
        loader = graph_loader(
            GraphDataset(frames, model.backbone),
            LoaderSettings(batch_size=self.batch_size or 1, max_atoms=max_atoms),
        )
        for batch in loader:
            on_device = batch.to(model.device)
            with model.predicting():
                predictions = model.predict_properties(on_device, properties)
            parts = split_predictions(predictions, on_device, model.properties)
            for index, part in zip(batch.index.tolist(), parts, strict=True):
                _require_finite(part, frames.frame(index), frames.source(index), model)
                yield index, part


def _loaded(model: Potential | str | Path | RunLike) -> Potential:
    return model if isinstance(model, Potential) else FinetuneModuleBase.load_from_checkpoint(model)


def _checked(
    model: Potential,
    atoms: Sequence[Atoms] | AtomsDataset,
    properties: Sequence[PropertyName] | None,
) -> tuple[AtomsDataset, Sequence[PropertyName]]:
    """Return structures as a data set and the requested properties, or report what is wrong with either."""
    known = model.properties
    properties = list(known) if properties is None else properties
    unknown = set(properties) - set(known)
    if unknown:
        msg = f"predict: unknown property '{min(unknown)}'. Allowed: {', '.join(known)}."
        raise ConfigError(msg)
    if isinstance(atoms, Atoms):
        msg = "predict: expected a list of structures; give [atoms]."
        raise ConfigError(msg)
    return as_dataset(atoms), properties


class MatterTuneCalculator(Calculator):  # type: ignore[misc]
    """An ASE calculator with energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt).

    The stress is available if all three directions are periodic; ``energies``, the contribution of each atom
    to the energy including its reference, if the backbone provides them; for an ensemble the spread as
    ``energy_std``, ``forces_std`` and ``stress_std``, in ``results`` after each calculation. Threads may
    share a calculator or a model: they are served one after the other.

    Parameters
    ----------
    model
        A tuned or untuned model; or a run, its directory or a checkpoint, whose best model is loaded.
    device
        Device, e.g. ``"cuda"``; by default that of the model.
    dtype
        Number format of the backbone, ``"float32"`` or ``"float64"``; if it differs from the model's, a copy
        is converted. By default the model's.
    **kwargs
        Passed on to ASE's own class.

    Raises
    ------
    ConfigError
        This machine has no such device, or the number format does not exist.
    """

    implemented_properties: ClassVar[list[str]] = [
        "free_energy",
        *(prop.ase for prop in PROPERTIES.values()),
    ]

    def __init__(
        self,
        model: Potential | str | Path | RunLike,
        device: str | torch.device | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        model = _loaded(model)
        if dtype is not None:
            model = _in_format(model, dtype)
        if device is not None:
            require_device(device)
            model = model.to(device)
        self.model = model
        self._known = dict(model.properties)
        if model.backbone.has_atom_energies:
            self._known[ATOM_ENERGIES.name] = ATOM_ENERGIES
        own = [
            p.ase if p.spread_of else name
            for name, p in self._known.items()
            if name not in PROPERTIES
        ]
        # attributes that ASE's calculators have per instance
        self.__dict__["implemented_properties"] = [*self.implemented_properties, *own]
        self._composition: tuple[int, ...] | None = None
        self._tensors = [*self.model.parameters(), *self.model.buffers()]
        self._weights: list[float] = []

    @override
    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the results were computed; new weights change everything."""
        if self._weights != self._fingerprint():
            return list(all_changes)
        changes: list[str] = super().check_state(atoms, tol)
        inputs = self.model.backbone.frame_inputs
        if not changes and any(
            atoms.info.get(name) != self.atoms.info.get(name) for name in inputs
        ):
            return list(all_changes)
        return changes

    @override
    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        # each thread gets the results for its own structure
        with self.model.turns.lock:
            return super().get_property(name, atoms, allow_calculation)

    def _fingerprint(self) -> list[float]:
        """Return numbers that change with the weights and the reference energies."""
        *_, last = self.model.backbone.parameters()
        # writing to `.data`, as Lightning's weight averaging does, does not change the version
        return [*(tensor._version for tensor in self._tensors), float(last.detach().sum())]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything at once, because forces cost little beyond the energy.

        Parameters
        ----------
        atoms
            The structure; by default that of the last call.
        properties
            Required properties, by ASE's names.
        system_changes
            What has changed since the last call, by ASE's names.

        Raises
        ------
        PropertyNotImplementedError
            The stress is requested for a structure that is not periodic in three directions.
        DataError
            The backbone does not know an element.
        TrainingError
            Another thread is fitting the model.
        """
        super().calculate(atoms, properties, system_changes)
        wanted = list(self._known.values())
        if not self.atoms.pbc.all():
            for prop in (p for p in wanted if p.needs_periodicity and p.ase in (properties or ())):
                msg = f"The {prop.title} needs a cell that is periodic in all three directions."
                raise PropertyNotImplementedError(msg)
            wanted = [prop for prop in wanted if not prop.needs_periodicity]
        composition = tuple(sorted(self.atoms.numbers))
        if composition != self._composition:
            warn_outside_references(self.model, [self.atoms])
            self._composition = composition
        backbone = self.model.backbone
        batch = backbone.collate([backbone.graph(self.atoms)]).to(self.model.device)
        with self.model.predicting():
            self._weights = self._fingerprint()
            predictions = self.model.predict_properties(batch, [p.name for p in wanted])
        (result,) = split_predictions(predictions, batch, self._known)
        _require_finite(result, self.atoms, "the structure", self.model)
        self.results = {
            p.ase if p.name in PROPERTIES or p.spread_of else p.name: result[p.name]
            for p in wanted
            if p.name in result
        }
        self.results["free_energy"] = result[ENERGY.name]


def _in_format(model: Potential, dtype: str) -> Potential:
    """Return a model whose backbone computes in a number format: the same model, or a copy."""
    if dtype not in _FORMATS:
        msg = f"dtype '{dtype}' is unknown. Allowed: {', '.join(_FORMATS)}."
        raise ConfigError(msg)
    if next(model.backbone.parameters()).dtype == _FORMATS[dtype]:
        return model
    model = copy.deepcopy(model)
    for member in getattr(model, "members", [model]):
        member.backbone.to(_FORMATS[dtype])
    return model


def _require_finite(result: dict[str, Any], atoms: Atoms, what: str, model: Potential) -> None:
    """Refuse NaN and infinite numbers, and name their cause if known."""
    if next(model.backbone.parameters()).dtype == torch.float16:
        found = (name for name, value in result.items() if not np.isfinite(value).all())
        wrong = next(found, None)
        if wrong is not None:
            msg = (
                f"{what}: the {wrong} are not all finite in half precision (float16), too narrow for "
                "this model. Use model.float(), or model.bfloat16()."
            )
            raise DataError(msg)
    if not np.isfinite(result.get(ENERGY.name, 0.0)):
        pair = same_place(atoms)
        reason = (
            f"atoms {pair[0]} and {pair[1]} are in the same place"
            if pair
            else "check positions and cell"
        )
        msg = f"{what}: the energy is {result[ENERGY.name]}: {reason}."
        raise DataError(msg)


def warn_outside_references(model: Potential, atoms: Sequence[Atoms]) -> None:
    """Warn if :func:`outside_references` is true."""
    message = outside_references(model, atoms)
    if message:
        warnings.warn(message, UserWarning, stacklevel=3)
