"""Errors of a model on unseen data, and predictions written to a file."""

from __future__ import annotations

import io
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.config.errors import ConfigError, DataError, RunError, TrainingError
from mattertune_nb.config.places import members_of, path_of
from mattertune_nb.config.properties import ENERGY, PROPERTIES
from mattertune_nb.data.dataset import LoaderSettings
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.data.validation import check_dataset
from mattertune_nb.model.energies import composition_counts
from mattertune_nb.model.ensemble import Ensemble, load_ensemble
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.metrics import PropertyMetrics
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.model.outside import outside_in_words
from mattertune_nb.training.files import write_text
from mattertune_nb.training.module_class import import_module_class
from mattertune_nb.training.outcome.stages import REREFERENCED, TUNED, UNTUNED
from mattertune_nb.training.records.split import say_what_was_trained_on
from mattertune_nb.training.run_dir import RunDirectory

if TYPE_CHECKING:
    from mattertune_nb.config.places import RunLike
    from mattertune_nb.data.dataset import AtomsDataset


def load_model(run: str | Path | RunLike, *, map_location: Any = "cpu") -> FinetuneModuleBase:
    """Load the best model of a run, of the class that trained it, or the model of a checkpoint file.

    Raises
    ------
    RunError
        The run has no checkpoint yet.
    TrainingError
        The checkpoint is damaged.
    ConfigError
        The run's ``module_class`` cannot be imported.
    """
    path, module_class = path_of(run), FinetuneModuleBase
    if members_of(path):
        return load_ensemble(path, partial(load_model, map_location=map_location))
    if path.is_dir():
        directory = RunDirectory.open(path)
        path = directory.best if directory.best.is_file() else directory.last
        if not path.is_file():
            place = directory.path
            msg = f"{place}: the run has no checkpoint yet. Resume it with: mattertune-nb resume {place}"
            raise RunError(msg)
        module_class = import_module_class(directory.config().run.module_class)
    return module_class.load_from_checkpoint(path, map_location=map_location)


def records_of(run: str | Path) -> RunDirectory:
    """Return the directory that records a run's data; for an ensemble that of its first member.

    Raises
    ------
    RunError
        There is no run.
    """
    return RunDirectory.open(next(iter(members_of(run)), run))


def label_keys(run: str | Path) -> LabelKeys:
    """Return the label names that a run was trained on; ASE's for a bare checkpoint."""
    if not Path(run).is_dir():
        return LabelKeys()
    data = records_of(run).config().data
    return (data.dataset if isinstance(data, AutoSplitDataModuleConfig) else data.train).keys


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


def untuned_of(tuned: FinetuneModuleBase) -> FinetuneModuleBase:
    """Return a model as it was before training, with our own heads at the mean of the training labels."""
    with torch.random.fork_rng():
        tuned = tuned.members[0] if isinstance(tuned, Ensemble) else tuned
        untuned = type(tuned)(tuned.hparams, **tuned.arguments)
    untuned.heads.begin_as(tuned.heads)
    return untuned.to(tuned.device).eval()


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


def predict_file(run: str | Path, source: Path, target: Path) -> int:
    """Write the structures of a file with predicted energies, forces and stresses; return their number.

    All other information about a structure is kept; labels under ASE's standard names are replaced by the
    predictions.

    Raises
    ------
    DataError
        The structures cannot be read, or contain an element that the backbone does not know, or the target
        cannot be written.
    """
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "is a folder" if target.is_dir() else "the folder does not exist"
        msg = f"{target}: {reason}. Name a file to write to, in a folder that exists."
        raise DataError(msg)
    model = load_model(run)
    dataset = dataset_config(source).create_dataset()
    check_dataset(dataset, {}, model.backbone.elements)
    frames = [dataset.frame(i).copy() for i in range(len(dataset))]  # without the calculator
    for atoms, result in zip(frames, model.property_predictor().predict(frames), strict=True):
        for prop in PROPERTIES.values():
            atoms.info.pop(prop.ase, None)
            atoms.arrays.pop(prop.ase, None)
        for prop in (p for p in model.properties.values() if p.name not in PROPERTIES):
            # under the key of the labels; ASE's calculators know only their own names
            stored = atoms.arrays if prop.of_atoms else atoms.info
            if prop.name in result:
                stored[prop.ase] = result.pop(prop.name)
        results = {PROPERTIES[name].ase: value for name, value in result.items()}
        atoms.calc = SinglePointCalculator(atoms, **results)
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz")
    try:
        write_text(target, text.getvalue())
    except OSError as exc:
        msg = f"{target}: cannot be written ({exc.strerror})."
        raise DataError(msg) from exc
    return len(frames)
