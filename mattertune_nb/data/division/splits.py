"""Which structures are used for training, validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import DataError, about
from mattertune_nb.data.batches.settings import BatchSettings, recorded
from mattertune_nb.data.division.dividing import STAGES, DividedData
from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
from mattertune_nb.data.division.part_sizes import part_sizes
from mattertune_nb.data.division.rules import by_number, divide
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.sources.configs import DatasetConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.division.dividing import Division
    from mattertune_nb.data.division.part_sizes import Sizes

_LARGE = 20_000
"""Number of frames that can be read quickly."""

Split = Literal[
    "auto", "random", "blocks", "groups", "composition", "similarity", "order", "permutation"
]
"""Rules by which one data set can be split."""


class AutoSplitDataModuleConfig(BatchSettings):
    """One data set, split by a rule."""

    type: Literal["auto_split"] = setting(
        "auto_split",
        "Kind of split.",
        label="Kind of split",
        options={"auto_split": "split one data set"},
    )
    dataset: DatasetConfig = setting(
        ..., "Where the structures come from.", label="Data set", fixed=True, basic=True
    )
    train_split: int | float = setting(
        0.8,
        "Part used for training: a fraction (0.8), approximated by placing each frame independently, or a "
        "number of structures (24), taken exactly; approximate if blocks or groups stay whole.",
        label="Training part",
        fixed=True,
        basic=True,
        gt=0,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    validation_split: int | float | Literal["auto"] = setting(
        "auto",
        "Part used for validation: a fraction or a number; 'auto': all the rest.",
        label="Validation part",
        fixed=True,
        basic=True,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    test_split: int | float = setting(
        0,
        "Part reserved for a test after training: a fraction or a number.",
        label="Test part",
        fixed=True,
        ge=0,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    split: Split = setting(
        "auto",
        "What decides where a frame goes; equal structures always stay together. 'auto': blocks if the "
        "frames clearly follow one another in time, otherwise random. A random split places each frame by "
        "its content, so that adding frames moves no others. 'blocks' keeps consecutive frames of a "
        "trajectory together, 'groups' frames with the same `group_key`, 'composition' those with the same "
        "composition, 'similarity' those that are similar. 'order' takes training first, then validation, "
        "then test, in file order; 'permutation' is the random split of versions before 0.3, by frame "
        "number rather than content.",
        label="Split by",
        fixed=True,
        basic=True,
        options={
            "auto": "kind of data",
            "random": "chance",
            "blocks": "blocks of a trajectory",
            "groups": "groups",
            "composition": "composition",
            "similarity": "similarity",
            "order": "order of the file",
            "permutation": "random, as before 0.3",
        },
    )
    group_key: str | None = setting(
        None,
        "For 'groups': the key of `atoms.info` whose value is a frame's group, 'file' for the file it "
        "comes from, or 'composition'.",
        label="Group",
        fixed=True,
        min_length=1,
    )
    block_length: int | None = setting(
        None,
        "For 'blocks': number of consecutive frames that stay together; not set: a tenth of the trajectory, "
        "as a power of two, so that blocks do not change until it has doubled.",
        label="Length of a block",
        fixed=True,
        unit="frames",
        ge=1,
    )
    shuffle_seed: int = setting(
        42,
        "Seed of the split and of the order of training.",
        label="Seed of the split",
        fixed=True,
        ge=0,
        le=2**32 - 1,
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_name(cls, data: Any) -> Any:
        """Translate ``shuffle`` of versions before 0.3, and of MatterTune, to the rule it meant."""
        if not isinstance(data, dict) or "shuffle" not in data:
            return data
        data = dict(data)
        shuffle = data.pop("shuffle")
        if not isinstance(shuffle, bool) or "split" in data:
            given = f"; split is already '{data['split']}'" if "split" in data else ""
            msg = f"is the old name of split: true is 'permutation', false is 'order'{given}"
            raise about(msg, "shuffle")
        return data | {"split": "permutation" if shuffle else "order"}

    @field_validator("train_split", "validation_split", "test_split")
    @classmethod
    def _check_part(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 <= value <= 1:
            msg = (
                f"a fraction lies between 0 and 1, and a number of structures is whole; got {value}"
            )
            raise ValueError(msg)
        if not isinstance(value, str) and value < 0:
            msg = f"cannot be negative, got {value}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_fractions(self) -> Self:
        parts = (self.train_split, self.validation_split, self.test_split)
        total = sum(part for part in parts if isinstance(part, float))
        if total > 1 + 1e-9:
            text = (
                f"Training, Validation and Test part add up to {total:g}, more than all; lower one"
            )
            raise about(text, "train_split")
        if self.split == "groups" and self.group_key is None:
            text = "is needed for split 'groups'"
            raise about(text, "group_key")
        return self

    def sizes(self, n: int) -> Sizes:
        """Return the sizes of the parts of `n` structures.

        Raises
        ------
        DataError
            The parts exceed the total, or one is empty.
        """
        return part_sizes(n, self.train_split, self.validation_split, self.test_split)

    def expected_counts(self, n_source: Mapping[str, int]) -> dict[str, int]:
        """Return approximately how many frames each part will have, without reading any frame.

        Parameters
        ----------
        n_source
            Number of frames in the data set by field, here ``"dataset"``; nothing is returned if it is
            unknown.

        Raises
        ------
        DataError
            The parts exceed the total, or one is empty.
        """
        if "dataset" not in n_source:
            return {}
        counts = self.sizes(n_source["dataset"]).counts
        parts = {stage: n for stage, n in zip(STAGES, counts, strict=True) if n}
        return parts | {"train": self.n_trained_on(parts["train"])}

    def divide(self, dataset: AtomsDataset) -> Division:
        """Split a `dataset`; reproducible for a seed on any machine.

        Returns
        -------
        Division
            For each of ``"train"``, ``"validation"`` and, if requested, ``"test"``, the positions of its
            structures, ascending; the rule used, and remarks about it.

        Raises
        ------
        DataError
            A frame cannot be read, the parts exceed the total, or one is empty.
        """
        return divide(
            dataset,
            self.split,
            self._sizes_of(dataset),
            seed=self.shuffle_seed,
            group_key=self.group_key,
            block_length=self.block_length,
        )

    def _sizes_of(self, dataset: AtomsDataset) -> Sizes:
        try:
            return self.sizes(len(dataset))
        except DataError as exc:
            msg = f"{dataset.name}: {exc}"
            raise DataError(msg) from None

    def sources(self) -> dict[str, AtomsDataset]:
        """Open the whole data set, and check that it can be split; no frame is read.

        Raises
        ------
        DataError
            The source cannot be read, or a part is empty.
        """
        dataset = self.dataset.create_dataset()
        self._sizes_of(dataset)
        return {"dataset": dataset}

    def create_datasets(self, *, approximate: bool = False) -> DividedData:
        """Open the data set and split it.

        Parameters
        ----------
        approximate
            Whether parts of approximately the right size suffice, so that no frame of a large file is read.

        Returns
        -------
        DividedData
            ``"train"``, ``"validation"`` and possibly ``"test"``; the ``indices`` of each are its frames in
            the source.

        Raises
        ------
        DataError
            The source cannot be read, or a part is empty.
        """
        kept, notes = without_isolated_atoms(sources := self.sources())
        dataset = kept["dataset"]
        if approximate and len(dataset) > _LARGE:
            division = by_number(len(dataset), self._sizes_of(dataset), self.shuffle_seed)
        else:
            division = self.divide(dataset)
        taken = {stage: dataset.take(part) for stage, part in division.parts.items()}
        batched = self.batched(taken, self.shuffle_seed, dataset.name, is_new=True)
        return DividedData(batched, division.rule, sources, (*notes, *division.notes))

    def take(self, indices: Mapping[str, Sequence[int]]) -> DividedData:
        """Open the data set and select these frames, as recorded by a run.

        Parameters
        ----------
        indices
            For each part, the positions of its frames in the source.

        Raises
        ------
        DataError
            The source cannot be read, or has no such frames.
        """
        dataset = self.dataset.create_dataset()
        taken = {stage: recorded(dataset, part) for stage, part in indices.items()}
        batched = self.batched(taken, self.shuffle_seed, dataset.name)
        return DividedData(batched, "record", {"dataset": dataset})


DataModuleConfig = Annotated[
    AutoSplitDataModuleConfig | ManualSplitDataModuleConfig, Field(discriminator="type")
]
