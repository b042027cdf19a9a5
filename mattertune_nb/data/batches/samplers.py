"""The single source of the order of data: which structures form which batch, on which process.

This module needs torch; modules that contain only settings do not import it.
"""

from __future__ import annotations

import warnings
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.distributed
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler
from torchdata.stateful_dataloader import StatefulDataLoader

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.batches import packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


class FrameBatchSampler(DistributedSampler[Any]):
    """Lists of indices, one per batch; their order depends only on seed and epoch.

    All processes have the same number of batches, the same in each epoch: Lightning reads the length once,
    and a process that ran out of batches would leave the others waiting in a collective call.

    Parameters
    ----------
    length
        Number of structures.
    batch_size
        Structures per batch.
    max_atoms
        Atoms per batch, in place of `batch_size`; a larger structure is a batch of its own. With several
        processes, batches are split until all processes have the same number of them.
    n_atoms
        (length,) number of atoms in each structure, for `max_atoms`.
    shuffle
        Whether to redraw order and batches in each epoch.
    seed
        Seed of the order.
    num_replicas, rank
        Number of processes, and the index of this one; by default obtained from torch.
    pad
        With several processes: repeat structures so that all processes have equally many, as needed for
        training. Otherwise each structure occurs exactly once, as needed for evaluation, and batch sizes
        differ by one; if structures are scarce, some batches may exceed the limit.

    Raises
    ------
    DataError
        There are no structures, or without `pad` fewer than there are processes.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int = 8,
        max_atoms: int | None = None,
        n_atoms: Sequence[int] | NDArray[np.int64] | None = None,
        shuffle: bool = False,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        pad: bool = False,
    ) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if num_replicas is None:
            num_replicas = torch.distributed.get_world_size() if distributed else 1
        if rank is None:
            rank = torch.distributed.get_rank() if distributed else 0
        if length < 1 or (length < num_replicas and not pad):
            msg = (
                f"{length} structures cannot be divided among {num_replicas} processes. "
                "Add structures, or use fewer devices."
            )
            raise DataError(msg)
        super().__init__(range(length), num_replicas, rank, shuffle, seed)  # type: ignore[arg-type]
        self.length = length
        self.batch_size = batch_size
        self.max_atoms = max_atoms
        self.pad = pad
        self._sizes = np.asarray([] if n_atoms is None else n_atoms, dtype=np.int64)
        if max_atoms is not None and len(self._sizes) != length:
            msg = f"max_atoms needs n_atoms of all {length} structures, got {len(self._sizes)}"
            raise ValueError(msg)
        self._batches_per_rank = self._count()
        self._position = (0, 0)  # epoch and batches drawn in the current iteration
        self._resume: int | None = None
        self._start = 0  # batches of the epoch that the current iteration skipped

    def in_order(self) -> FrameBatchSampler:
        """Return the same batches of the same data, never shuffled."""
        return FrameBatchSampler(
            self.length,
            batch_size=self.batch_size,
            max_atoms=self.max_atoms,
            n_atoms=self._sizes,
            num_replicas=self.num_replicas,
            rank=self.rank,
            pad=self.pad,
        )

    def __len__(self) -> int:
        """Return the number of batches per epoch on each process."""
        return self._batches_per_rank

    def __iter__(self) -> Iterator[list[int]]:
        self._start = self._resume or 0
        self._position = (self.epoch, self._start)
        return self._draw()

    def state_dict(self, yielded: int | None = None) -> dict[str, int]:
        """Return the position in the order of the data: epoch, batches drawn, and the total.

        Parameters
        ----------
        yielded
            Number of batches handed out by the loader, fewer than drawn if workers prepare some ahead; by
            default all those drawn.
        """
        epoch, drawn = self._position
        if yielded is not None:
            drawn = self._start + yielded
        return {"epoch": epoch, "drawn": drawn, "batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration continue from a saved state.

        After the last batch of an epoch it starts with the first of the next epoch.

        Raises
        ------
        DataError
            The state is from the middle of an epoch with other data, batches or processes.
        """
        self.epoch, self._resume = state["epoch"], state["drawn"]
        if state["drawn"] >= state["batches"]:
            self.epoch, self._resume = state["epoch"] + 1, None
        elif state["drawn"] and state["batches"] != len(self):
            msg = (
                f"the run stopped in an epoch of {state['batches']} batches, but now there are {len(self)}. "
                "Resume with the same data, batch size and number of processes."
            )
            raise DataError(msg)
        self._position = (self.epoch, self._resume or 0)

    def _draw(self) -> Iterator[list[int]]:
        # evaluated at the first batch: Lightning sets the epoch after it has asked for the iterator, and a
        # loader with workers asks for two
        epoch = self.epoch
        self._start, self._resume = self._resume or 0, None
        for drawn, batch in enumerate(self._batches(epoch)[self._start :], self._start + 1):
            self._position = (epoch, drawn)
            yield batch

    def _batches(self, epoch: int) -> list[list[int]]:
        """Return this process's batches of an epoch."""
        # RandomState's stream is frozen; that of newer generators may change with NumPy
        rng = np.random.RandomState([self.seed, epoch])
        if self.max_atoms is not None:
            return self._packed(rng)
        order = rng.permutation(self.length) if self.shuffle else np.arange(self.length)
        if self.num_replicas > 1 and not self.pad:
            parts = np.array_split(order, len(self) * self.num_replicas)
            return [part.tolist() for part in parts[self.rank :: self.num_replicas]]
        padded = np.resize(order, _ceil(self.length, self.num_replicas) * self.num_replicas)
        mine = padded[self.rank :: self.num_replicas].tolist()
        return [mine[i : i + self.batch_size] for i in range(0, len(mine), self.batch_size)]

    def _packed(self, rng: np.random.RandomState) -> list[list[int]]:
        """Return this process's batches with at most `max_atoms` atoms."""
        assert self.max_atoms is not None
        total = len(self) * self.num_replicas
        if self.shuffle:
            batches = packing.pack_at_random(self._sizes, self.max_atoms, total, rng)
        else:
            batches = packing.pack_in_order(self._sizes, self.max_atoms)
        batches = packing.divide_to(batches, self._sizes, total)
        batches = packing.merge_to(batches, self._sizes, total)
        order = (
            rng.permutation(len(batches)) if self.shuffle else np.argsort([b[0] for b in batches])
        )
        batches = [batches[i] for i in order]
        return list(islice(cycle(batches), self.rank, total, self.num_replicas))

    def _count(self) -> int:
        """Return the number of batches per epoch on each process."""
        replicas = self.num_replicas
        if self.max_atoms is None:
            count = _ceil(_ceil(self.length, replicas), self.batch_size)
        else:
            if self.shuffle:
                needed = packing.fewest_batches(self._sizes, self.max_atoms)
                needed += needed // 20  # a little slack lets batches be drawn more freely
            else:
                needed = len(packing.pack_in_order(self._sizes, self.max_atoms))
            count = _ceil(needed, replicas)
        return count if self.pad else min(count, self.length // replicas)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


class FrameLoader(StatefulDataLoader[Any]):  # type: ignore[misc]
    """A loader whose only state is its sampler's position.

    The state of torchdata's own class depends on the number of workers, and with workers it loses the
    position at the end of an epoch.
    """

    _place: dict[str, Any] | None = None
    _is_placed = False

    def __init__(self, dataset: Any, sampler: Any = None, **kwargs: Any) -> None:
        if isinstance(dataset, _Fetch) and not isinstance(sampler, FrameBatchSampler):
            # Lightning's own sampler for overfit_batches would yield single structures
            sampler = dataset.batches.in_order()
        super().__init__(dataset, sampler=sampler, **kwargs)

    def __iter__(self) -> Any:
        # Lightning may ask for several iterators before it takes the first batch from one
        if self._place is not None and not (self._is_placed and self._iterator._num_yielded):
            self.sampler.load_state_dict(self._place)
            self._is_placed = True
        else:
            self._place = None
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's position after the last batch handed out."""
        iterator = self._iterator
        yielded = 0 if iterator is None else iterator._num_yielded
        state: dict[str, Any] = self.sampler.state_dict(yielded)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make the next iteration start from a saved state."""
        self._place, self._is_placed = state_dict, False


class _Fetch(Dataset[list[Any]]):
    """Map a list of indices to the list of their samples."""

    def __init__(self, dataset: Any, batches: FrameBatchSampler) -> None:
        self.dataset = dataset
        self.batches = batches

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: list[int]) -> list[Any]:
        return [self.dataset[i] for i in indices]


def frame_loader(
    dataset: Any,
    sampler: FrameBatchSampler,
    collate_fn: Callable[[list[Any]], Any],
    *,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> FrameLoader:
    """Return a loader in the sampler's order, under any Lightning Trainer and after a resume.

    The batch sampler is passed as the loader's ``sampler``, with ``batch_size=None``, as torch documents for
    samplers that yield lists. Lightning then finds a
    :class:`~torch.utils.data.distributed.DistributedSampler` in ``loader.sampler``: it calls ``set_epoch`` on
    it, and with ``strategy="ddp"`` leaves the loader unchanged. Behind ``batch_sampler=`` it would see
    torch's ``SequentialSampler`` and replace it with one that repeats structures in validation.

    Parameters
    ----------
    dataset
        A map from an index to a sample.
    sampler
        Determines the structures of each batch.
    collate_fn
        Joins a list of samples into a batch.
    num_workers
        Number of processes that prepare batches; they persist over epochs.
    pin_memory
        Whether to use page-locked memory if there is a GPU.
    """
    with warnings.catch_warnings():
        # torchdata 0.11 calls functions that torch 2.13 has deprecated
        warnings.filterwarnings("ignore", message=".*set_vital.*")
        return FrameLoader(
            _Fetch(dataset, sampler),
            sampler=sampler,
            batch_size=None,
            collate_fn=collate_fn,
            num_workers=num_workers,
            # workers' seeds are drawn from this generator; otherwise each new iterator would advance the
            # global one, a different number of times in a resumed run
            generator=torch.Generator().manual_seed(sampler.seed),
            pin_memory=pin_memory and torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )
