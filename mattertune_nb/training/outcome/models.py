"""Models of a run, tuned and untuned, with the records and label names they were tuned on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.backbones.trust import trusting_remembered
from mattertune_nb.config.errors import RunError
from mattertune_nb.config.places import members_of, path_of
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.model.ensemble import Ensemble, load_ensemble
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.module_class import import_module_class
from mattertune_nb.training.run_dir import RunDirectory

if TYPE_CHECKING:
    from mattertune_nb.config.places import RunLike
    from mattertune_nb.data.sources.configs import DBDatasetConfig, XYZDatasetConfig


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


def untuned_of(tuned: FinetuneModuleBase) -> FinetuneModuleBase:
    """Return a model as it was before training, with our own heads at the mean of the training labels."""
    with torch.random.fork_rng(), trusting_remembered():
        tuned = tuned.members[0] if isinstance(tuned, Ensemble) else tuned
        untuned = type(tuned)(tuned.hparams, **tuned.arguments)
    untuned.heads.begin_as(tuned.heads)
    return untuned.to(tuned.device).eval()


def records_of(run: str | Path) -> RunDirectory:
    """Return the directory that records a run's data; for an ensemble that of its first member.

    Raises
    ------
    RunError
        There is no run.
    """
    return RunDirectory.open(next(iter(members_of(run)), run))


def config_of_data(file: Path, run: str | Path, **names: str) -> XYZDatasetConfig | DBDatasetConfig:
    """Return the config of a file whose labels have the units and, but for `names`, the names of training."""
    keys = label_keys(run)
    trained = {"energy_key": keys.energy, "forces_key": keys.forces, "stress_key": keys.stress}
    return dataset_config(file, **(trained | names), units=keys.units)


def label_keys(run: str | Path) -> LabelKeys:
    """Return the label names that a run was trained on; ASE's for a bare checkpoint."""
    if not Path(run).is_dir():
        return LabelKeys()
    data = records_of(run).config().data
    return (data.dataset if isinstance(data, AutoSplitDataModuleConfig) else data.train).keys
