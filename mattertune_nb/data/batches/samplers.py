"""The one source of the order of data: which structures make which batch, on which process.

This module needs torch; nothing that only holds settings imports it.
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
    """Lists of indices, one per batch; their order is a function of seed and epoch alone.

    All processes have the same number of batches, the same in each epoch: Lightning reads the length
    once, and a process that ran out of batches would leave the others waiting in a collective call.

    Parameters
    ----------
    length
        Number of structures.
    batch_size
        Structures per batch.
    max_atoms
        Atoms per batch, in place of `batch_size`; a larger structure is a batch of its own. Over several
        processes batches are divided until all have the same number of them.
    n_atoms
        (length,) atoms of each structure, for `max_atoms`.
    shuffle
        Draw order and batches anew each epoch.
    seed
        Seed of the order.
    num_replicas, rank
        Number of processes and which one this is; asked of torch where not given.
    pad
        Over several processes: repeat structures so that all processes have equally many, as training
        wants it. Otherwise each structure comes exactly once, as an evaluation wants it, and batches
        differ in size by one; where structures are scarce some may pass the bound.

    Raises
    ------
    DataError
        There is no structure, or without `pad` fewer than there are processes.
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
        self._position = (0, 0)  # epoch and batches drawn of the iteration under way
        self._resume: int | None = None
        self._start = 0  # batches of the epoch that the iteration under way left out

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
        """Return the number of batches an epoch on each process."""
        return self._batches_per_rank

    def __iter__(self) -> Iterator[list[int]]:
        self._start = self._resume or 0
        self._position = (self.epoch, self._start)
        return self._draw()

    def state_dict(self, yielded: int | None = None) -> dict[str, int]:
        """Return the place in the order of the data: epoch, batches drawn, and how many it has.

        Parameters
        ----------
        yielded
            Batches that the loader has handed out, fewer than were drawn where workers prepare some
            ahead; by default all that were drawn.
        """
        epoch, drawn = self._position
        if yielded is not None:
            drawn = self._start + yielded
        return {"epoch": epoch, "drawn": drawn, "batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on where the state was taken.

        After the last batch of an epoch this is the first of the next epoch.

        Raises
        ------
        DataError
            The state is from the middle of an epoch of other data, batches or processes.
        """
        self.epoch, self._resume = state["epoch"], state["drawn"]
        if state["drawn"] >= state["batches"]:
            self.epoch, self._resume = state["epoch"] + 1, None
        elif state["drawn"] and state["batches"] != len(self):
            msg = (
                f"the run stopped in an epoch of {state['batches']} batches, now there are {len(self)}. "
                "Resume with the same data, batch size and number of processes."
            )
            raise DataError(msg)
        self._position = (self.epoch, self._resume or 0)

    def _draw(self) -> Iterator[list[int]]:
        # read at the first batch: Lightning sets the epoch after it has asked for the iterator, and a
        # loader with workers asks for two
        epoch = self.epoch
        self._start, self._resume = self._resume or 0, None
        for drawn, batch in enumerate(self._batches(epoch)[self._start :], self._start + 1):
            self._position = (epoch, drawn)
            yield batch

    def _batches(self, epoch: int) -> list[list[int]]:
        """Return this process's batches of an epoch."""
        # RandomState's stream is frozen, that of newer generators may change with NumPy
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
        """Return this process's batches of at most `max_atoms` atoms."""
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
        """Return the number of batches an epoch on each process."""
        replicas = self.num_replicas
        if self.max_atoms is None:
            count = _ceil(_ceil(self.length, replicas), self.batch_size)
        else:
            if self.shuffle:
                needed = packing.fewest_batches(self._sizes, self.max_atoms)
                needed += needed // 20  # a little room lets batches be drawn more freely
            else:
                needed = len(packing.pack_in_order(self._sizes, self.max_atoms))
            count = _ceil(needed, replicas)
        return count if self.pad else min(count, self.length // replicas)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


class FrameLoader(StatefulDataLoader[Any]):  # type: ignore[misc]
    """A loader whose state is its sampler's place alone.

    The state of torchdata's own class is bound to the number of workers, and with workers it forgets
    at the end of an epoch which one comes next.
    """

    _place: dict[str, Any] | None = None
    _is_placed = False

    def __init__(self, dataset: Any, sampler: Any = None, **kwargs: Any) -> None:
        if isinstance(dataset, _Fetch) and not isinstance(sampler, FrameBatchSampler):
            # Lightning's own, for overfit_batches, would give single structures
            sampler = dataset.batches.in_order()
        super().__init__(dataset, sampler=sampler, **kwargs)

    def __iter__(self) -> Any:
        # Lightning may ask for several iterators before it takes the first batch of one
        if self._place is not None and not (self._is_placed and self._iterator._num_yielded):
            self.sampler.load_state_dict(self._place)
            self._is_placed = True
        else:
            self._place = None
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's place after the last batch that was handed out."""
        iterator = self._iterator
        yielded = 0 if iterator is None else iterator._num_yielded
        state: dict[str, Any] = self.sampler.state_dict(yielded)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration begin where the state was taken."""
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
    """Return a loader whose order is the sampler's, under any Lightning Trainer and after a resume.

    The batches' sampler is given as the loader's ``sampler``, with ``batch_size=None``, as torch
    documents it for samplers that yield lists. So Lightning finds in ``loader.sampler`` a
    :class:`~torch.utils.data.distributed.DistributedSampler`: it calls ``set_epoch`` on it, and with
    ``strategy="ddp"`` it leaves the loader as it is. Behind ``batch_sampler=`` it would see torch's
    ``SequentialSampler`` and replace it with one that repeats structures in validation.

    Parameters
    ----------
    dataset
        A map from an index to a sample.
    sampler
        Which structures make which batch.
    collate_fn
        Joins a list of samples into a batch.
    num_workers
        Processes that prepare batches; they are kept over epochs.
    pin_memory
        Page-locked memory, where there is a GPU.
    """
    with warnings.catch_warnings():
        # torchdata 0.11 calls what torch 2.13 has deprecated
        warnings.filterwarnings("ignore", message=".*set_vital.*")
        return FrameLoader(
            _Fetch(dataset, sampler),
            sampler=sampler,
            batch_size=None,
            collate_fn=collate_fn,
            num_workers=num_workers,
            # workers' seeds are drawn from here: each new iterator would otherwise move the global
            # generator, once more or once less in a run that was resumed
            generator=torch.Generator().manual_seed(sampler.seed),
            pin_memory=pin_memory and torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )
