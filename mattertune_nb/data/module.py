"""The data sets of a config in the form that Lightning expects."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch import LightningDataModule

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.data.division.overlap import untrained_elements
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.isolated import isolated_atoms, without_isolated_atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mattertune_nb.data.dataset import AtomsDataset, LoaderSettings
    from mattertune_nb.data.division.dividing import DividedData
    from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
    from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
    from mattertune_nb.data.frame_checks import DatasetSummary


class MatterTuneDataModule(LightningDataModule):
    """Opens and splits the data; the model, which builds the graphs, creates the loaders.

    Works under :class:`~mattertune_nb.training.tuner.MatterTuner` and under any plain Lightning
    ``Trainer``. A subclass may fill ``self.datasets`` in :meth:`setup` in its own way.

    Parameters
    ----------
    config
        Source of the data, and how they are split and batched.

    Attributes
    ----------
    datasets
        ``"train"``, ``"validation"`` and possibly ``"test"``, once :meth:`setup` was called.
    notes
        Remarks on the split, one sentence each.
    rule
        Rule of the split.
    n_source
        Number of frames in each source, by its field in the config.
    """

    def __init__(self, config: AutoSplitDataModuleConfig | ManualSplitDataModuleConfig) -> None:
        super().__init__()
        self._config = config
        self.datasets: dict[str, AtomsDataset] = {}
        self.notes: list[str] = []
        self.rule = ""
        self.n_source: dict[str, int] = {}
        self._sources: dict[str, AtomsDataset] = {}
        self._isolated: dict[str, AtomsDataset] | None = None

    @property
    def hparams(  # type: ignore[override]
        self,
    ) -> AutoSplitDataModuleConfig | ManualSplitDataModuleConfig:
        """The config; ``dict(hparams)``, which Lightning puts into checkpoints, is plain data."""
        return self._config

    @property
    def lightning_module(self) -> Any:
        """The model being trained, which creates the loaders.

        Raises
        ------
        RuntimeError
            No trainer uses the data module yet.
        """
        if self.trainer is None:
            msg = "the data module belongs to no trainer yet; give it to trainer.fit(model, datamodule=…)"
            raise RuntimeError(msg)
        return self.trainer.lightning_module

    def prepare_data(self) -> None:
        """Do nothing; subclasses may download their data here, called in one process per node."""

    def setup(self, stage: str) -> None:
        """Open and split the data, once for all stages.

        Parameters
        ----------
        stage
            Lightning's name of the coming stage; all stages do the same.

        Raises
        ------
        DataError
            A source cannot be read, or a part of the split is empty.
        """
        del stage
        if not self.datasets:
            self._take(self.hparams.create_datasets())
            # recorded frames of a run are used unchanged, so that it is resumed exactly
            self.datasets, notes = without_isolated_atoms(self.datasets)
            self.notes += notes

    def restore(self, indices: Mapping[str, Sequence[int]]) -> None:
        """Open the data and select these frames, as recorded by a run.

        Parameters
        ----------
        indices
            For each data set, the numbers of its frames in their source.

        Raises
        ------
        DataError
            A source cannot be read, or has no such frames.
        """
        self._take(self.hparams.take(indices))

    def _take(self, divided: DividedData) -> None:
        self.datasets, self.notes = dict(divided), list(divided.notes)
        self.rule, self.n_source = divided.rule, dict(divided.n_source)
        self._sources, self._isolated = dict(divided.sources), None

    def isolated_atoms(self) -> dict[str, AtomsDataset]:
        """Return the isolated atoms of all sources, by symbol."""
        if self._isolated is None:
            self._isolated = isolated_atoms(self._sources or self.datasets)
        return self._isolated

    def check(
        self, required: Mapping[Any, Literal["error", "mask"]], elements: Collection[str]
    ) -> list[DatasetSummary]:
        """Read every structure of every data set, see :func:`~mattertune_nb.data.frame_checks.check_dataset`.

        Parameters
        ----------
        required
            Labels needed for training, and whether a structure without one is an error or is masked.
        elements
            Symbols of the elements known to the backbone.

        Returns
        -------
        list
            Summary of each data set.

        Raises
        ------
        DataError
            A structure cannot be used for training.
        """
        found = {
            k: check_dataset(dataset, required, elements, is_held_out=k != "train")
            for k, dataset in self.datasets.items()
        }
        for summary in found.values():
            self.notes += [note for note in summary.notes if note not in self.notes]
        self.notes += untrained_elements({k: summary.elements for k, summary in found.items()})
        return list(found.values())

    def say_notes(self, rank: int = 0) -> None:
        """Warn about the data where necessary; with several processes only the one of `rank` 0 does."""
        for note in self.notes if rank == 0 else ():
            warnings.warn(note, UserWarning, stacklevel=4)

    def reseed(self, seed: int) -> None:
        """Make another run seed draw other batches from the same split; 0 leaves them unchanged.

        Parameters
        ----------
        seed
            Seed of the run.
        """
        self._with_loaders(lambda loader: replace(loader, seed=(loader.seed + seed) % 2**32))

    @property
    def batch_size(self) -> int:
        """Structures per batch, available after :meth:`setup`; set by Lightning's ``BatchSizeFinder``."""
        if not self.datasets:
            msg = "the data have no batch size before setup() has opened them"
            raise AttributeError(msg)
        return next(iter(self.datasets.values())).loader.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        if any(dataset.loader.max_atoms is not None for dataset in self.datasets.values()):
            msg = "batch_size: max_atoms sets the size of batches. Set it to None to find a batch size."
            raise ConfigError(msg)
        self._with_loaders(lambda loader: replace(loader, batch_size=size))

    def _with_loaders(self, change: Callable[[LoaderSettings], LoaderSettings]) -> None:
        self.datasets = {
            stage: dataset.with_loader(change(dataset.loader))
            for stage, dataset in self.datasets.items()
        }

    def split_indices(self) -> dict[str, list[int]]:
        """Return the source frames of each data set, to be stored with a run."""
        return {stage: dataset.indices.tolist() for stage, dataset in self.datasets.items()}

    def train_dataloader(self) -> Any:
        """Return the model's loader of the training set, shuffled anew each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> Any:
        """Return the model's loader of the validation set."""
        return self._loader("validation")

    def test_dataloader(self) -> Any:
        """Return the model's loader of the test set.

        Raises
        ------
        DataError
            There is no test set.
        """
        return self._loader("test")

    def predict_dataloader(self) -> Any:
        """Return the model's loader of the test set, without labels.

        Raises
        ------
        DataError
            There is no test set.
        """
        return self._loader("test", has_labels=False)

    def _loader(self, stage: str, *, has_labels: bool = True) -> Any:
        if stage not in self.datasets:
            msg = (
                f"the data have no '{stage}' set, only {', '.join(self.datasets) or 'none'}. "
                "Set test_split in AutoSplitDataModuleConfig or test in ManualSplitDataModuleConfig."
            )
            raise DataError(msg)
        return self.lightning_module.create_dataloader(self.datasets[stage], has_labels=has_labels)
