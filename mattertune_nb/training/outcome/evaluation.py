"""Errors of a model on unseen data, before and after training."""

from __future__ import annotations

import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.dataset import LoaderSettings
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.model.energies import composition_counts
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.metrics import PropertyMetrics
from mattertune_nb.model.outside import outside_in_words
from mattertune_nb.training.outcome.models import load_model, records_of, untuned_of
from mattertune_nb.training.outcome.stages import REREFERENCED, TUNED, UNTUNED
from mattertune_nb.training.records.split import say_what_was_trained_on

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.doctor.check import Progress
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.model.normalization import Normalization


_LOADER = LoaderSettings(batch_size=16, max_atoms=2000)


def evaluate(
    model: FinetuneModuleBase,
    dataset: AtomsDataset,
    *,
    batch_size: int = _LOADER.batch_size,
    max_atoms: int | None = _LOADER.max_atoms,
) -> dict[str, float]:
    """Return MAE and RMSE of each property, e.g. ``forces_mae`` in eV/Å, over a labelled dataset.

    Properties without labels are left out. Warns if the reference energies are undetermined for a
    composition, as calculator and predictor do.

    Raises
    ------
    DataError
        The file cannot be used, or contains no labels at all.
    """
    loader = LoaderSettings(batch_size=batch_size, max_atoms=max_atoms)
    (errors,) = _evaluate([_Stage(model, model.normalization)], dataset, loader)
    return errors


def evaluate_stages(
    run: str | Path, dataset: AtomsDataset, *, progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """Return the errors of a run's model before and after.

    Parameters
    ----------
    run
        The run's directory, or a checkpoint.
    dataset
        Structures with labels.
    progress
        Called with what is done, and how many frames of all.

    Returns
    -------
    dict
        Errors as in :func:`evaluate` under ``untuned`` (the backbone as it is),
        ``untuned, energies re-referenced`` (the same with the run's reference energies) and ``tuned``; only
        the last, with a warning, if the weights that the run started with are gone. Isolated atoms among
        other frames are left out, with a warning.
    """
    kept, notes = without_isolated_atoms({"evaluated": dataset})
    dataset = kept["evaluated"]
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    tuned = load_model(run)
    if Path(run).is_dir():
        say_what_was_trained_on(records_of(run), dataset)
    stages = {TUNED: _Stage(tuned, tuned.normalization)}
    try:
        untuned = untuned_of(tuned)
    except (ConfigError, TrainingError) as exc:
        # the run's starting weights came from a run or a file that is gone
        warnings.warn(f"The errors before training are left out: {exc}", UserWarning, stacklevel=2)
    else:
        at_start = deepcopy(tuned.normalization)
        at_start.begin_again()
        stages[UNTUNED] = _Stage(untuned, untuned.normalization)
        stages[REREFERENCED] = _Stage(untuned, at_start)
    found = _evaluate(list(stages.values()), dataset, _LOADER, progress)
    errors = dict(zip(stages, found, strict=True))
    _say_what_is_left_out(tuned, dataset, errors[TUNED])
    return {name: errors[name] for name in (UNTUNED, REREFERENCED, TUNED) if name in errors}


class _Stage(NamedTuple):
    """A model, and the reference energies to add to what it predicts."""

    model: FinetuneModuleBase
    references: Normalization

    def with_references(
        self, predictions: dict[PropertyName, Tensor], batch: GraphBatch
    ) -> dict[PropertyName, Tensor]:
        """Return the model's predictions with these references in place of its own."""
        if ENERGY.name not in predictions or self.references is self.model.normalization:
            return predictions
        atoms = batch.numbers, batch.batch, len(batch.n_atoms)
        change = self.references.shift(*atoms) - self.model.normalization.shift(*atoms)
        return predictions | {ENERGY.name: predictions[ENERGY.name] + change}


def _evaluate(
    stages: list[_Stage],
    dataset: AtomsDataset,
    loader: LoaderSettings,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Return the errors of each stage; frames are read, and each model predicts them, once."""
    first = stages[0].model
    properties = first.hparams.learnt
    present = [
        p for p in properties if any(dataset.labels(i, {p: "mask"}) for i in range(len(dataset)))
    ]
    # without any label the check says what there is instead
    check_dataset(dataset, dict.fromkeys(present or properties, "mask"), first.backbone.elements)
    metrics = [PropertyMetrics(present, {p.name: 1.0 for p in present}) for _ in stages]
    models = {stage.model.eval() for stage in stages}
    graphs = GraphDataset(dataset, first.backbone, dict.fromkeys(present, "mask"))
    names = [p.name for p in present]
    outside: list[int] = []
    done = 0
    for batch in graph_loader(graphs, loader):
        unknown = torch.from_numpy(first.normalization.extrapolates(composition_counts(batch)))
        outside += batch.index[unknown].tolist()
        on_device = batch.to(first.device)
        found = {model: model.predict_properties(on_device, names) for model in models}
        for stage, metric in zip(stages, metrics, strict=True):
            predictions = stage.with_references(found[stage.model], on_device)
            metric.update_errors(predictions, on_device.labels, on_device.n_atoms)
        done += len(batch.n_atoms)
        if progress is not None:
            progress("predicting", done, len(dataset))
    if outside and ENERGY in present:
        message = outside_in_words(len(outside), len(dataset), dataset.frame(min(outside)))
        warnings.warn(message, UserWarning, stacklevel=3)
    return [{k: float(v) for k, v in metric.compute().items()} for metric in metrics]


def _say_what_is_left_out(
    model: FinetuneModuleBase, dataset: AtomsDataset, errors: dict[str, float]
) -> None:
    """Warn about labels that the model learnt and no frame has; they may have another name here."""
    for prop in model.hparams.learnt:
        if f"{prop.name}_mae" not in errors:
            key = dataset.keys_of(0).name(prop)
            message = (
                f"{dataset.name}: no frame has {prop.title} under '{key}', so their errors are left out. "
                f"If they have another name there, give it in {prop.named_by}."
            )
            warnings.warn(message, UserWarning, stacklevel=3)
