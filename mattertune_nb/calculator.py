"""Use a model in ASE, one structure at a time."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY, PROPERTIES
from mattertune_nb.model.devices import require_device
from mattertune_nb.model.finite import require_finite
from mattertune_nb.model.module import as_model
from mattertune_nb.model.outside import warn_outside_references
from mattertune_nb.model.predictions import split_predictions
from mattertune_nb.model.weights import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.model.potential import Potential

_FORMATS = {"float32": torch.float32, "float64": torch.float64}


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
        model = as_model(model)
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
        self._fingerprint = Fingerprint(self.model)
        self._weights: tuple[object, ...] = ()

    @override
    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the results were computed; new weights change everything."""
        changes: list[str] = super().check_state(atoms, tol)
        if changes:
            return changes
        inputs = self.model.backbone.frame_inputs
        is_same = all(atoms.info.get(name) == self.atoms.info.get(name) for name in inputs)
        return [] if is_same and self._weights == self._fingerprint() else list(all_changes)

    @override
    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        # each thread gets the results for its own structure
        with self.model.turns.lock:
            return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything at once: with CHGNet 2.3 times the price of the energy, and asked for by most.

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
        require_finite(result, self.atoms, "the structure", self.model)
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
