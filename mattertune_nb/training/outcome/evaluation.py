"""Errors of a model on unseen data, before and after training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.dataset import LoaderSettings
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.validation import check_dataset
from mattertune_nb.model.energies import composition_counts
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.metrics import PropertyMetrics
from mattertune_nb.model.outside import outside_in_words
from mattertune_nb.training.outcome.models import load_model, records_of, untuned_of
from mattertune_nb.training.outcome.stages import REREFERENCED, TUNED, UNTUNED
from mattertune_nb.training.records.split import say_what_was_trained_on

if TYPE_CHECKING:
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase


def evaluate(
    model: FinetuneModuleBase,
    dataset: AtomsDataset,
    *,
    batch_size: int = 16,
    max_atoms: int | None = 2000,
) -> dict[str, float]:
    """Return MAE and RMSE of each property, e.g. ``forces_mae`` in eV/Å, over a labelled dataset.

    Properties without labels are left out. Warns if the reference energies are undetermined for a
    composition, as calculator and predictor do.

    Raises
    ------
    DataError
        The file cannot be used, or contains no labels at all.
    """
    properties = model.hparams.learnt
    present = [
        p for p in properties if any(dataset.labels(i, {p: "mask"}) for i in range(len(dataset)))
    ]
    # without any label the check says what there is instead
    check_dataset(dataset, dict.fromkeys(present or properties, "mask"), model.backbone.elements)
    metrics = PropertyMetrics(present, {p.name: 1.0 for p in present})
    model.eval()
    graphs = GraphDataset(dataset, model.backbone, dict.fromkeys(present, "mask"))
    outside: list[int] = []
    for batch in graph_loader(graphs, LoaderSettings(batch_size=batch_size, max_atoms=max_atoms)):
        unknown = torch.from_numpy(model.normalization.extrapolates(composition_counts(batch)))
        outside += batch.index[unknown].tolist()
        on_device = batch.to(model.device)
        predictions = model.predict_properties(on_device, [p.name for p in present])
        metrics.update_errors(predictions, on_device.labels, on_device.n_atoms)
    if outside and ENERGY in present:
        message = outside_in_words(len(outside), len(dataset), dataset.frame(min(outside)))
        warnings.warn(message, UserWarning, stacklevel=2)
    return {name: float(value) for name, value in metrics.compute().items()}


def evaluate_stages(run: str | Path, dataset: AtomsDataset) -> dict[str, dict[str, float]]:
    """Return the errors of a run's model before and after.

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
    stages = {TUNED: evaluate(tuned, dataset)}
    _say_what_is_left_out(tuned, dataset, stages[TUNED])
    try:
        untuned = untuned_of(tuned)
    except (ConfigError, TrainingError) as exc:
        # the run's starting weights came from a run or a file that is gone
        warnings.warn(f"The errors before training are left out: {exc}", UserWarning, stacklevel=2)
        return stages
    stages[UNTUNED] = evaluate(untuned, dataset)
    untuned.normalization.load_state_dict(tuned.normalization.state_dict())
    untuned.normalization.begin_again()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # already said for the tuned model
        stages[REREFERENCED] = evaluate(untuned, dataset)
    return {name: stages[name] for name in (UNTUNED, REREFERENCED, TUNED)}


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
