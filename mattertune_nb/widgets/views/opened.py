"""Opens the arguments of `parity` and `before_after`: a model or a run, and structures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.outcome.models import label_keys, load_model, records_of
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.training.run_dir import RunDirectory


def open_pair(model_or_run: Any, dataset: Any) -> tuple[FinetuneModuleBase, AtomsDataset]:
    """Return a model, and structures whose labels have the names that its run was trained on.

    By default these are the structures on which the run was validated.

    Raises
    ------
    MatterTuneError
        Either of them cannot be opened, or no structures are given and there is no run.
    """
    path = getattr(model_or_run, "path", model_or_run)
    if dataset is None:
        if not isinstance(path, (str, Path)) or not Path(path).is_dir():
            msg = "no structures are given, and a model has no validation set; give a file."
            raise DataError(msg)
        return load_model(path), datasets_of(records_of(path))["validation"]
    if isinstance(model_or_run, FinetuneModuleBase):
        return model_or_run, open_structures(dataset)
    return load_model(path), open_structures(dataset, label_keys(path))


def training_set(model_or_run: Any) -> Callable[[], AtomsDataset] | None:
    """Return a function that opens the run's training structures; ``None`` if unknown."""
    path = getattr(model_or_run, "path", model_or_run)
    if not isinstance(path, (str, Path)) or not Path(path).is_dir():
        return None
    try:
        run = records_of(path)
        run.config()
    except MatterTuneError:
        return None
    return partial(_training_part, run)


def _training_part(run: RunDirectory) -> AtomsDataset:
    return datasets_of(run)["train"]
