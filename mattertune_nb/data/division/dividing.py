"""Assigns each frame to a part of the split, so that what belongs together stays together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.content import numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.division.part_sizes import Sizes

STAGES = ("train", "validation", "test")
"""Names of the data sets of a run."""

UNUSED = -1
"""Part number of a frame that belongs to none."""

_GOLDEN = (5**0.5 - 1) / 2
_BLOCKS = 10


@dataclass(frozen=True)
class Division:
    """A data set after splitting.

    Attributes
    ----------
    parts
        For each part, the positions of its frames, ascending.
    rule
        Rule of the split.
    notes
        Remarks about it, one sentence each.
    """

    parts: dict[str, NDArray[np.int64]]
    rule: str
    notes: tuple[str, ...] = ()


class DividedData(dict[str, "AtomsDataset"]):
    """The data sets of a run, by their names in :data:`STAGES`.

    Attributes
    ----------
    rule
        Rule of the split: a rule of ``split``, ``"files"`` if each is a separate file, or ``"record"`` if
        taken from a run's own record.
    notes
        Remarks about the split, one sentence each.
    sources
        The data sets of the config before splitting, by field.
    n_source
        Number of frames in each of them.
    """

    def __init__(
        self,
        datasets: Mapping[str, AtomsDataset],
        rule: str,
        sources: Mapping[str, AtomsDataset],
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(datasets)
        self.sources = dict(sources)
        self.n_source = {name: len(source) for name, source in sources.items()}
        self.rule = rule
        self.notes = tuple(notes)


@dataclass(frozen=True)
class Units:
    """Units that are kept whole.

    Attributes
    ----------
    of_frame
        (n,) the unit of each frame, from 0.
    numbers
        (n_units,) in [0, 1), which place the units: low ones go to training, high ones to the test.
    what
        Name of a unit, e.g. ``"block"``.
    """

    of_frame: NDArray[np.int64]
    numbers: NDArray[np.float64]
    what: str = "structure"

    def __len__(self) -> int:
        return len(self.numbers)


def equal_keys(keys: NDArray[np.uint64], seed: int, what: str) -> Units:
    """Return frames with the same key as units, placed by the key."""
    unique, of_frame = np.unique(keys, return_inverse=True)
    return Units(of_frame.astype(np.int64), numbers_of(unique, seed), what)


def blocks(
    species: NDArray[np.uint64], structure: NDArray[np.uint64], length: int | None, seed: int
) -> Units:
    """Return blocks of consecutive frames with the same species as units.

    The first block of a trajectory is placed by its first frame, the following ones in steps of the golden
    ratio, which spread any number of them evenly. Thus appended frames move no others.

    Parameters
    ----------
    species, structure
        (n,) keys of the frames.
    length
        Frames per block; ``None``: a tenth of the trajectory, as a power of two, at least two.
    seed
        Seed of the placement.
    """
    starts = np.flatnonzero(np.r_[True, species[1:] != species[:-1]])
    of_frame = np.empty(len(species), dtype=np.int64)
    numbers: list[NDArray[np.float64]] = []
    n_units = 0
    for start, end in zip(starts, np.r_[starts[1:], len(species)], strict=True):
        block = length or block_length(end - start)
        of_frame[start:end] = n_units + np.arange(end - start) // block
        n_blocks = -(-(end - start) // block)
        first = numbers_of(structure[start : start + 1], seed)
        numbers.append((first + np.arange(n_blocks) * _GOLDEN) % 1.0)
        n_units += n_blocks
    return Units(of_frame, np.concatenate(numbers), "block")


def block_length(n: int) -> int:
    """Return the block length for a trajectory of `n` frames, which is constant until it has doubled."""
    return max(2, 1 << round(math.log2(max(n / _BLOCKS, 1))))


def place(units: Units, sizes: Sizes) -> NDArray[np.int64]:
    """Return each frame's part as a position in :data:`STAGES`, (n,), or :data:`UNUSED`.

    Training takes low numbers and the test high ones, with validation just below it, so that changing the
    size of training does not move validation and test frames. A unit larger than the part it would fall into
    goes to training.

    Raises
    ------
    DataError
        There are fewer units than parts.
    """
    wanted = [k for k, count in enumerate(sizes.counts) if count]
    n, frames = len(units), np.bincount(units.of_frame, minlength=len(units))
    if n < len(wanted):
        names = " and ".join(STAGES[k] for k in wanted)
        have = f"all frames are one {units.what}" if n == 1 else f"there are {n} {units.what}s"
        msg = (
            f"{have}, which cannot be split into {names}. Choose another data.split, or add frames."
        )
        raise DataError(msg)
    if sizes.shares is None:
        order = np.argsort(units.numbers, kind="stable")
        middle: NDArray[np.float64] = np.empty(n)
        middle[order] = np.cumsum(frames[order]) - frames[order] / 2
        position: NDArray[np.float64] = middle
        total = float(frames.sum())
        train, validation, test = map(float, sizes.counts)
    else:
        position, total = units.numbers, 1.0
        train, validation, test = sizes.shares
    is_all = train + validation + test > total * (1 - 1e-9)
    lower = train if is_all else total - test - validation
    part: NDArray[np.int64] = np.full(n, UNUSED, dtype=np.int64)
    part[position >= lower] = 1
    part[position >= total - test] = 2
    part[position < train] = 0
    if sizes.shares is not None:
        # otherwise one of a few groups could hold most frames and not be used for training
        for k in (1, 2):
            part[(part == k) & (frames > max(sizes.counts[k], frames.min()))] = 0
    centres = [train / 2, (lower + total - test) / 2, total - test / 2]
    for k in wanted:
        if not (part == k).any():
            # with few units a small part may stay empty: it gets the next one
            spare = np.array([p == UNUSED or (part == p).sum() > 1 for p in part])
            too_large = np.maximum(frames - sizes.counts[k], 0)
            part[np.lexsort((np.abs(position - centres[k]), too_large, ~spare))[0]] = k
    return part[units.of_frame]


def in_order(order: NDArray[np.int64], counts: Sequence[int]) -> NDArray[np.int64]:
    """Return the parts of frames taken one after the other: training, validation, test, (n,)."""
    part: NDArray[np.int64] = np.full(len(order), UNUSED, dtype=np.int64)
    ends = np.cumsum(counts)
    for k, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        part[order[start:end]] = k
    return part


def keep_together(part: NDArray[np.int64], structure: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the parts, (n,), with each repeated frame in the part of its first occurrence."""
    _, first, inverse = np.unique(structure, return_index=True, return_inverse=True)
    together: NDArray[np.int64] = part[first[inverse]]
    return together
