"""Predict many structures in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase import Atoms

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.data.dataset import LoaderSettings, as_dataset
from mattertune_nb.data.sources.open_dataset import is_source, open_dataset
from mattertune_nb.model.finite import require_finite
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.module import as_model
from mattertune_nb.model.outside import warn_outside_references
from mattertune_nb.model.predictions import split_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.sources.open_dataset import Source
    from mattertune_nb.model.potential import Potential


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
        self.model = as_model(model)
        self.batch_size = batch_size
        self.max_atoms = max_atoms

    def predict(
        self, atoms: Sequence[Atoms] | Source, properties: Sequence[PropertyName] | None = None
    ) -> list[dict[str, Any]]:
        """Predict energy, forces, stress, and any other properties that the model was trained on.

        Parameters
        ----------
        atoms
            Structures, in any mix of sizes and periodicities, or where `open_dataset` finds them.
        properties
            What to predict, by default everything; with CHGNet the energy alone takes less than half of that.

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
            warn_outside_references(self.model, frames)
        results: list[dict[str, Any]] = [{}] * len(frames)
        for index, result in self.stream(frames, properties):
            results[index] = result
        return results

    def stream(
        self,
        atoms: Sequence[Atoms] | AtomsDataset | Source,
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
                require_finite(part, frames.frame(index), frames.source(index), model)
                yield index, part


def _checked(
    model: Potential,
    atoms: Sequence[Atoms] | AtomsDataset | Source,
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
    return as_dataset(open_dataset(atoms) if is_source(atoms) else atoms), properties
