"""Which structures are trained on, validated on and tested on, and how they are batched."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from mattertune_nb.config.base import HyperParameters, setting
from mattertune_nb.config.errors import DataError, about
from mattertune_nb.data.datasets import AtomsDataset, DatasetConfig, LoaderSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAGES = ("train", "validation", "test")
"""Names of the data sets of a run."""

_STEPS_PER_EPOCH, _LARGEST_BATCH = 40, 16


class _DataModuleConfig(HyperParameters):
    """What all splits share: how structures are batched."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = setting(
        "auto",
        "Structures a batch; 'auto': as many as leave 40 steps an epoch, from 1 to 16, as a few dozen "
        "frames need small batches. Lower it where memory runs out.",
        label="Batch size",
        basic=True,
        unit="structures",
        kinds={"int": "fixed", "literal": "by the size of the data"},
        group="batches",
    )
    max_atoms: int | None = setting(
        None,
        "Atoms a batch, in place of `batch_size`; set it where sizes differ much, so that no batch "
        "runs out of memory. A larger structure is a batch of its own.",
        label="Atoms per batch",
        unit="atoms",
        ge=1,
        group="batches",
    )
    num_workers: int = setting(
        0,
        "Processes that prepare batches; 0: the training process itself.",
        label="Worker processes",
        unit="processes",
        ge=0,
        group="batches",
    )
    graph_memory_mb: float = setting(
        1000.0,
        "Memory for graphs of all sets together, in each process that prepares batches; those used last "
        "are kept, so that the next epoch builds none. A frame of 100 atoms takes about 1 MB.",
        label="Memory for graphs",
        unit="MB",
        ge=0,
        group="batches",
    )
    graph_disk_mb: float = setting(
        2000.0,
        "Graphs kept in your cache folder, so that the next run on the same structures builds none; "
        "0: none.",
        label="Disk for graphs",
        unit="MB",
        ge=0,
        group="batches",
    )
    pin_memory: bool = setting(
        True,
        "Speed up the copy to a GPU by page-locked memory; nothing without a GPU.",
        label="Page-locked memory",
        group="batches",
    )

    @override
    def __getitem__(self, name: str) -> Any:
        # a checkpoint names a list of structures, and the run's config.yaml holds it: once, and not per save
        left_out = {name: {"atoms_list"}}
        return self.model_dump(mode="json", include={name}, exclude=left_out)[name]

    def structures_per_batch(self, n_train: int) -> int:
        """Return the number of structures a batch for a training set of `n_train`."""
        if self.batch_size != "auto":
            return self.batch_size
        return min(max(n_train // _STEPS_PER_EPOCH, 1), _LARGEST_BATCH)

    def _batched(
        self, datasets: dict[str, AtomsDataset], seed: int, what: str
    ) -> dict[str, AtomsDataset]:
        """Attach the loaders' settings; only training is shuffled."""
        for stage in ("train", "validation"):
            if not len(datasets[stage]):
                msg = f"{what}: no structure is left for {stage}."
                raise DataError(msg)
        # each set keeps its own graphs, so that the bound is divided among them
        atoms = {stage: int(dataset.n_atoms().sum()) for stage, dataset in datasets.items()}
        share = self.graph_memory_mb / max(sum(atoms.values()), 1)
        return {
            stage: dataset.with_loader(
                LoaderSettings(
                    batch_size=self.structures_per_batch(len(datasets["train"])),
                    max_atoms=self.max_atoms,
                    num_workers=self.num_workers,
                    pin_memory=self.pin_memory,
                    graph_memory_mb=share * atoms[stage],
                    graph_disk_mb=self.graph_disk_mb,
                    shuffle=stage == "train",
                    seed=seed,
                )
            )
            for stage, dataset in datasets.items()
        }


class AutoSplitDataModuleConfig(_DataModuleConfig):
    """One data set, divided at random or in its order."""

    type: Literal["auto_split"] = setting(
        "auto_split",
        "Kind of split.",
        label="Kind of split",
        options={"auto_split": "split one data set"},
    )
    dataset: DatasetConfig = setting(
        ..., "Where the structures come from.", label="Data set", basic=True
    )
    train_split: int | float = setting(
        0.8,
        "Part trained on: a fraction (0.8) or a number of structures (24).",
        label="Training part",
        basic=True,
        gt=0,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    validation_split: int | float | Literal["auto"] = setting(
        "auto",
        "Part validated on: a fraction or a number; 'auto': all that the others leave.",
        label="Validation part",
        basic=True,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    test_split: int | float = setting(
        0,
        "Part kept for a test after training: a fraction or a number.",
        label="Test part",
        ge=0,
        kinds={"float": "fraction", "int": "number of structures"},
    )
    shuffle: bool = setting(
        True,
        "Divide at random; False: training first, then validation, then test, in the order of the "
        "file, for frames of one trajectory. The order of training is drawn anew each epoch anyway.",
        label="Split at random",
        basic=True,
    )
    shuffle_seed: int = setting(
        42,
        "Seed of the division and of the order of training.",
        label="Seed of the split",
        ge=0,
        le=2**32 - 1,
    )

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
        return self

    def split_indices(self, n: int) -> dict[str, NDArray[np.int64]]:
        """Divide `n` structures; the same for a seed on any machine.

        Parameters
        ----------
        n
            Number of structures.

        Returns
        -------
        dict
            For each of ``"train"``, ``"validation"`` and, where it is asked for, ``"test"`` the
            positions of its structures, ascending.

        Raises
        ------
        DataError
            The parts are more than there is, or one is left empty.
        """
        train, test = _count(self.train_split, n), _count(self.test_split, n)
        if self.validation_split == "auto":
            validation = max(n - train - test, 0)
        else:
            validation = _count(self.validation_split, n)
            fractions = (self.train_split, self.validation_split, float(self.test_split))
            if all(isinstance(part, float) for part in fractions) and self.test_split < 1:
                # rounding must neither lose a structure nor ask for one too many
                left = n - validation - test
                train = left if sum(fractions) > 1 - 1e-9 else min(train, left)
        text = f"{train} for training, {validation} for validation, {test} for a test, of {n}"
        if train + validation + test > n:
            msg = f"the split asks for more structures than there are ({text}). Lower train_split."
            raise DataError(msg)
        for stage, count, remedy in (
            ("training", train, "Raise train_split"),
            ("validation", validation, "Lower train_split"),
            ("the test", test or not self.test_split, "Raise test_split"),
        ):
            if not count:
                msg = (
                    f"the split leaves no structure for {stage} ({text}). "
                    f"{remedy}, or add structures."
                )
                raise DataError(msg)
        order: NDArray[np.int64] = np.arange(n, dtype=np.int64)
        if self.shuffle:
            # RandomState's stream is frozen, that of newer generators may change with NumPy
            order = np.random.RandomState(self.shuffle_seed).permutation(n).astype(np.int64)
        ends = np.cumsum([train, validation, test])
        taken = np.split(order[: ends[-1]], ends[:-1])
        return {
            stage: np.sort(part) for stage, part in zip(STAGES, taken, strict=True) if len(part)
        }

    def create_datasets(self) -> dict[str, AtomsDataset]:
        """Open the data set and divide it.

        Returns
        -------
        dict
            ``"train"``, ``"validation"`` and perhaps ``"test"``; each one's ``indices`` are the frames
            of the source that it holds.

        Raises
        ------
        DataError
            The source cannot be read, or a part is left empty.
        """
        dataset = self.dataset.create_dataset()
        try:
            parts = self.split_indices(len(dataset))
        except DataError as exc:
            msg = f"{dataset.name}: {exc}"
            raise DataError(msg) from None
        taken = {stage: dataset.take(part) for stage, part in parts.items()}
        return self._batched(taken, self.shuffle_seed, dataset.name)


class ManualSplitDataModuleConfig(_DataModuleConfig):
    """A data set each for training and validation; the way to keep trajectories apart."""

    type: Literal["manual_split"] = setting(
        "manual_split",
        "Kind of split.",
        label="Kind of split",
        options={"manual_split": "a data set for each part"},
    )
    train: DatasetConfig = setting(..., "Structures to train on.", label="Training set", basic=True)
    validation: DatasetConfig = setting(
        ..., "Structures to validate on.", label="Validation set", basic=True
    )
    test: DatasetConfig | None = setting(
        None, "Structures for a test after training.", label="Test set"
    )
    shuffle_seed: int = setting(
        42, "Seed of the order of training.", label="Seed of the order", ge=0, le=2**32 - 1
    )

    def create_datasets(self) -> dict[str, AtomsDataset]:
        """Open the data sets.

        Returns
        -------
        dict
            ``"train"``, ``"validation"`` and perhaps ``"test"``.

        Raises
        ------
        DataError
            A source cannot be read.
        """
        sources = {"train": self.train, "validation": self.validation, "test": self.test}
        opened = {k: source.create_dataset() for k, source in sources.items() if source is not None}
        return self._batched(opened, self.shuffle_seed, "data")


DataModuleConfig = Annotated[
    AutoSplitDataModuleConfig | ManualSplitDataModuleConfig, Field(discriminator="type")
]


def _count(part: int | float, n: int) -> int:
    """Return how many of `n` structures a fraction or a number of them means."""
    return math.floor(part * n + 0.5 + 1e-9) if isinstance(part, float) else part
