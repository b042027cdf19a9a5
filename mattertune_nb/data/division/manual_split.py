"""Training, validation and test from separate files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mattertune_nb.config.base import setting
from mattertune_nb.data.batches.settings import BatchSettings, recorded
from mattertune_nb.data.division.dividing import STAGES, DividedData
from mattertune_nb.data.division.overlap import without_overlap
from mattertune_nb.data.named_sets import ValidationConfig, open_sets
from mattertune_nb.data.sources.configs import DatasetConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.data.dataset import AtomsDataset


class ManualSplitDataModuleConfig(BatchSettings):
    """Separate data sets for training and validation; use it to keep trajectories apart."""

    type: Literal["manual_split"] = setting(
        "manual_split",
        "Kind of split.",
        label="Kind of split",
        options={"manual_split": "separate data sets"},
    )
    train: DatasetConfig = setting(
        ..., "Structures to train on.", label="Training set", fixed=True, basic=True
    )
    validation: ValidationConfig = setting(
        ...,
        "Structures to validate on; or several named sets, each with its own errors besides the overall "
        "ones, e.g. val/bulk/forces_mae for the set 'bulk'.",
        label="Validation set",
        fixed=True,
        basic=True,
    )
    test: DatasetConfig | None = setting(
        None, "Structures for a test after training.", label="Test set"
    )
    shuffle_seed: int = setting(
        42,
        "Seed of the order of training.",
        label="Seed of the order",
        fixed=True,
        ge=0,
        le=2**32 - 1,
    )

    def sources(self) -> dict[str, AtomsDataset]:
        """Open the data sets; no frame is read.

        Raises
        ------
        DataError
            A source cannot be read.
        """
        given = {"train": self.train, "validation": self.validation, "test": self.test}
        return {k: open_sets(source) for k, source in given.items() if source is not None}

    def expected_counts(self, n_source: Mapping[str, int]) -> dict[str, int]:
        """Return approximately how many frames each part will have, without reading any frame.

        Parameters
        ----------
        n_source
            Number of frames in each data set by field, as far as known.
        """
        parts = {stage: n_source[stage] for stage in STAGES if stage in n_source}
        if "train" in parts:
            parts["train"] = self.n_trained_on(parts["train"])
        return parts

    @property
    def validation_names(self) -> list[str]:
        """Names of the validation sets, if any."""
        return list(self.validation) if isinstance(self.validation, dict) else []

    def create_datasets(self, *, approximate: bool = False) -> DividedData:
        """Open the data sets; frames of validation or test that are also in training are left out.

        Parameters
        ----------
        approximate
            Whether to only open them, without reading frames.

        Returns
        -------
        DividedData
            ``"train"``, ``"validation"`` and possibly ``"test"``.

        Raises
        ------
        DataError
            A source cannot be read, or all frames of one are in training.
        """
        opened = self.sources()
        kept, notes = (opened, []) if approximate else without_overlap(opened)
        batched = self.batched(kept, self.shuffle_seed, "data", is_new=True)
        return DividedData(batched, "files", opened, notes)

    def take(self, indices: Mapping[str, Sequence[int]]) -> DividedData:
        """Open the data sets and select the frames in `indices`, as recorded by a run.

        Raises
        ------
        DataError
            A source cannot be read, or has no such frames.
        """
        opened = self.sources()
        taken = {k: recorded(opened[k], part) for k, part in indices.items() if k in opened}
        return DividedData(self.batched(taken, self.shuffle_seed, "data"), "record", opened)
