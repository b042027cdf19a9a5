"""The data sets of a config, as Lightning wants them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule

from mattertune_nb.config.errors import DataError

if TYPE_CHECKING:
    from mattertune_nb.data.datasets import AtomsDataset
    from mattertune_nb.data.splits import AutoSplitDataModuleConfig, ManualSplitDataModuleConfig


class MatterTuneDataModule(LightningDataModule):
    """Opens and divides the data; the model, which knows its graphs, makes the loaders.

    Works under :class:`~mattertune_nb.training.tuner.MatterTuner` and under any plain Lightning
    ``Trainer``. A subclass may fill ``self.datasets`` in :meth:`setup` as it likes.

    Parameters
    ----------
    config
        Where the data come from, how they are split and batched.

    Attributes
    ----------
    datasets
        ``"train"``, ``"validation"`` and perhaps ``"test"``, once :meth:`setup` was called.
    notes
        What is to be said of how they were divided, a sentence each.
    """

    def __init__(self, config: AutoSplitDataModuleConfig | ManualSplitDataModuleConfig) -> None:
        super().__init__()
        self._config = config
        self.datasets: dict[str, AtomsDataset] = {}
        self.notes: list[str] = []

    @property
    def hparams(  # type: ignore[override]
        self,
    ) -> AutoSplitDataModuleConfig | ManualSplitDataModuleConfig:
        """The config; ``dict(hparams)``, which Lightning puts into checkpoints, is plain data."""
        return self._config

    @property
    def lightning_module(self) -> Any:
        """The model that is being trained, which makes the loaders.

        Raises
        ------
        RuntimeError
            No trainer has taken the data up yet.
        """
        if self.trainer is None:
            msg = "the data module belongs to no trainer yet; give it to trainer.fit(model, datamodule=…)"
            raise RuntimeError(msg)
        return self.trainer.lightning_module

    def prepare_data(self) -> None:
        """Do nothing; the place for a subclass to download its data, called on one process a node."""

    def setup(self, stage: str) -> None:
        """Open and divide the data, once for all stages.

        Parameters
        ----------
        stage
            Lightning's name of what is to come; the same is done for all.

        Raises
        ------
        DataError
            A source cannot be read, or a split leaves a part empty.
        """
        del stage
        if not self.datasets:
            divided = self.hparams.create_datasets()
            self.datasets, self.notes = dict(divided), list(divided.notes)

    def reseed(self, seed: int) -> None:
        """Let another seed of a run draw other batches from the same split; 0 leaves them as they are.

        Parameters
        ----------
        seed
            Of the run.
        """
        self.datasets = {
            stage: dataset.with_loader(
                replace(dataset.loader, seed=(dataset.loader.seed + seed) % 2**32)
            )
            for stage, dataset in self.datasets.items()
        }

    def split_indices(self) -> dict[str, list[int]]:
        """Return for each data set the frames of its source that it holds, to be kept with a run."""
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
