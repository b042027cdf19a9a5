"""How structures are batched, however they are split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from mattertune_nb.config.base import HyperParameters, setting
from mattertune_nb.config.errors import DataError
from mattertune_nb.data.dataset import LoaderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.data.dataset import AtomsDataset

_STEPS_PER_EPOCH, _LARGEST_BATCH = 40, 16


class BatchSettings(HyperParameters):
    """Settings shared by all splits: how structures are batched."""

    train_share: float = setting(
        1.0,
        "Fraction of the training part to train on; the rest is left out, and validation is unchanged. "
        "Lower it for a quick look, or to see what more data would gain (mt.learning_curve).",
        label="Fraction of the training part",
        fixed=True,
        gt=0,
        le=1,
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = setting(
        "auto",
        "Structures per batch; 'auto': between 1 and 16, for about 40 steps per epoch, because a few dozen "
        "frames need small batches. Lower it if memory runs out.",
        label="Batch size",
        basic=True,
        unit="structures",
        kinds={"int": "fixed", "literal": "by the size of the data"},
        group="batches",
    )
    max_atoms: int | None = setting(
        None,
        "Maximum atoms per batch, in place of `batch_size`; set it if sizes vary widely, so that no batch "
        "runs out of memory. A larger structure is a batch of its own.",
        label="Atoms per batch",
        unit="atoms",
        ge=1,
        group="batches",
    )
    num_workers: int = setting(
        0,
        "Processes that prepare batches; 0: the training process itself. Raise it (2 to 4) if a GPU waits "
        "for data; on a CPU they take cores from training.",
        label="Worker processes",
        unit="processes",
        ge=0,
        group="batches",
    )
    graph_memory_mb: float = setting(
        1000.0,
        "Memory for the graphs of all sets together, in each process that prepares batches; the most "
        "recently used graphs are kept, so that the next epoch need not rebuild them. A frame of 100 atoms "
        "takes about 1 MB.",
        label="Memory for graphs",
        unit="MB",
        ge=0,
        group="batches",
    )
    graph_disk_mb: float = setting(
        2000.0,
        "Disk space for graphs in your cache folder, so that the next run on the same structures need not "
        "rebuild them; 0: none.",
        label="Disk for graphs",
        unit="MB",
        ge=0,
        group="batches",
    )
    pin_memory: bool = setting(
        True,
        "Speed up copies to a GPU with page-locked memory; no effect without a GPU. Turn it off if the "
        "machine is short of memory.",
        label="Page-locked memory",
        group="batches",
    )

    @override
    def __getitem__(self, name: str) -> Any:
        # a checkpoint only names a list of structures; the run's config.yaml stores it once rather than per
        # save
        several = isinstance(getattr(self, name), dict)
        left_out: Any = {name: {"__all__": {"atoms_list"}} if several else {"atoms_list"}}
        return self.model_dump(mode="json", include={name}, exclude=left_out)[name]

    def structures_per_batch(self, n_train: int) -> int:
        """Return the number of structures per batch for a training set of `n_train`."""
        if self.batch_size != "auto":
            return self.batch_size
        return min(max(n_train // _STEPS_PER_EPOCH, 1), _LARGEST_BATCH)

    def n_trained_on(self, n_train: int) -> int:
        """Return how many of the `n_train` training structures `train_share` selects."""
        return min(max(round(self.train_share * n_train), 1), n_train)

    def _shared(self, datasets: Mapping[str, AtomsDataset], seed: int) -> dict[str, AtomsDataset]:
        """Apply `train_share` to the training set, drawn with `seed`; smaller shares are nested in larger."""
        train = datasets["train"]
        if self.train_share == 1:
            return dict(datasets)
        # its stream is frozen; that of newer generators may change with NumPy
        drawn = np.random.RandomState(seed).permutation(len(train))[: self.n_trained_on(len(train))]
        return {**datasets, "train": train.take(np.sort(drawn))}

    def batched(
        self,
        datasets: Mapping[str, AtomsDataset],
        seed: int,
        what: str,
        *,
        is_new: bool = False,
    ) -> dict[str, AtomsDataset]:
        """Set up the loaders' settings of `datasets`.

        Parameters
        ----------
        datasets
            Data set of each part.
        seed
            Seed for shuffling the training set.
        what
            Named in errors.
        is_new
            Whether `train_share` is still to be applied; a run's record already includes it.
        """
        datasets = self._shared(datasets, seed) if is_new else datasets
        for stage in ("train", "validation"):
            if not len(datasets[stage]):
                msg = f"{what}: no structure is left for {stage}."
                raise DataError(msg)
        # each set caches its own graphs, so the limit is shared among them
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


def recorded(dataset: AtomsDataset, frames: Sequence[int]) -> AtomsDataset:
    """Return the data set of these frames of the source, by their recorded numbers.

    Raises
    ------
    DataError
        One of them does not belong to the data set.
    """
    place = {k: i for i, k in enumerate(dataset.indices.tolist())}
    absent = next((k for k in frames if k not in place), None)
    if absent is not None:
        msg = f"{dataset.name}: no longer has frame {absent}. Restore the file."
        raise DataError(msg)
    return dataset.take([place[k] for k in frames])
