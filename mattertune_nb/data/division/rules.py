"""The rules by which a data set is split into parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.data.content import frame_keys, text_key
from mattertune_nb.data.division.dividing import (
    STAGES,
    Division,
    Units,
    blocks,
    equal_keys,
    in_order,
    keep_together,
    place,
)
from mattertune_nb.data.division.part_sizes import Sizes
from mattertune_nb.data.division.similar import clusters
from mattertune_nb.data.division.trajectory import is_trajectory
from mattertune_nb.data.near import near_structures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.content import FrameKeys
    from mattertune_nb.data.dataset import AtomsDataset


def divide(
    dataset: AtomsDataset,
    rule: str,
    sizes: Sizes,
    *,
    seed: int,
    group_key: str | None = None,
    block_length: int | None = None,
) -> Division:
    """Split a data set by a rule; structures that are equal but for rounding always go to the same part.

    Parameters
    ----------
    dataset
        The structures.
    rule
        One of ``split`` in :class:`~mattertune_nb.data.division.splits.AutoSplitDataModuleConfig`.
    sizes
        Sizes of the parts.
    seed
        Seed of random choices.
    group_key, block_length
        As in that config.

    Raises
    ------
    DataError
        A frame cannot be read or has no group, or a part is empty.
    """
    keys, notes, n = frame_keys(dataset), [], len(dataset)
    (structure,) = near_structures(keys)
    keys = replace(keys, structure=structure)
    kept_whole = ""
    if rule == "auto":
        rule = "blocks" if is_trajectory(dataset, keys.species) else "random"
        if rule == "blocks":
            notes.append("the frames follow one another in time, so they are divided by blocks")
    if rule == "order":
        part = in_order(np.arange(n), sizes.counts)
    elif rule == "permutation":
        part = in_order(permutation(n, seed), sizes.counts)
    else:
        units = _units(rule, dataset, keys, seed, group_key, block_length)
        if rule != "random" and len(units) == n:
            notes.append(f"each frame is a separate {units.what}")
        elif rule != "random":
            kept_whole = units.what
        try:
            part = place(units, sizes)
        except DataError as exc:
            msg = f"{dataset.name}: {exc}"
            raise DataError(msg) from None
    part = keep_together(part, keys.structure)
    n_repeated = n - len(np.unique(keys.structure))
    if n_repeated:
        notes.append(f"{n_repeated} of {n} frames repeat others and go to the same part")
    for k, stage in enumerate(STAGES):
        if sizes.counts[k] and not (part == k).any():
            msg = (
                f"{dataset.name}: no structure is left for {stage}, because {n_repeated} of {n} frames "
                "repeat others. Add frames."
            )
            raise DataError(msg)
    taken = tuple(int((part == k).sum()) for k in range(len(STAGES)))
    if kept_whole and taken != sizes.counts:
        got, asked = (" + ".join(str(k) for k in counts if k) for counts in (taken, sizes.counts))
        together = " and repeated frames stay together" if n_repeated else ""
        why = f"each {kept_whole} stays whole{together}"
        notes.append(f"{got} frames instead of {asked}, because {why}")
        notes += _nearer(units, sizes, taken[0])
    return Division(_parts(part, sizes), rule, tuple(f"{dataset.name}: {note}." for note in notes))


def _nearer(units: Units, sizes: Sizes, n_train: int) -> list[str]:
    """Return advice where numbers instead of fractions take parts much nearer to what was asked."""
    asked = sizes.counts[0]
    by_number = int((place(units, Sizes(sizes.counts)) == 0).sum())
    if sizes.shares is None or 2 * abs(by_number - asked) >= abs(n_train - asked):
        return []
    return [
        f"as a number, train_split: {asked} takes {by_number}, but frames added later may move others"
    ]


def by_number(n: int, sizes: Sizes, seed: int) -> Division:
    """Split `n` frames at random without reading them."""
    return Division(_parts(in_order(permutation(n, seed), sizes.counts), sizes), "permutation")


def _parts(part: NDArray[np.int64], sizes: Sizes) -> dict[str, NDArray[np.int64]]:
    """Return the frames of each requested part, from the part of each frame."""
    return {k: np.flatnonzero(part == i) for i, k in enumerate(STAGES) if sizes.counts[i]}


def permutation(n: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers from 0 to n - 1 in an order set by a seed, the same on any machine."""
    # RandomState's stream is frozen; that of newer generators may change with NumPy
    return np.random.RandomState(seed).permutation(n).astype(np.int64)


def _units(
    rule: str,
    dataset: AtomsDataset,
    keys: FrameKeys,
    seed: int,
    group_key: str | None,
    block_length: int | None,
) -> Units:
    """Return the units to be kept whole."""
    if rule == "random":
        return equal_keys(keys.structure, seed, "structure")
    if rule == "blocks":
        return blocks(keys.species, keys.structure, block_length, seed)
    if rule == "composition" or (rule == "groups" and group_key == "composition"):
        return equal_keys(keys.composition, seed, "composition")
    if rule == "groups":
        assert group_key is not None
        return equal_keys(_group_keys(dataset, group_key), seed, "group")
    of_frame = clusters(dataset)
    _, first = np.unique(of_frame, return_index=True)
    own = equal_keys(keys.structure[first], seed, "cluster")
    return Units(of_frame, own.numbers[own.of_frame], "cluster")


def _group_keys(dataset: AtomsDataset, key: str) -> NDArray[np.uint64]:
    """Return a key for each frame's group, (n,).

    Raises
    ------
    DataError
        A frame has no such entry.
    """
    found = np.empty(len(dataset), dtype=np.uint64)
    for i in range(len(dataset)):
        info = dataset.frame(i).info
        if key in info:
            value = info[key]
            found[i] = text_key(repr(value.tolist() if hasattr(value, "tolist") else value))
        elif key == "file":
            found[i] = text_key(dataset.file(i))
        else:
            there = ", ".join(sorted(map(str, info))) or "nothing"
            msg = (
                f"{dataset.source(i)}: has no '{key}' in its info, as data.group_key requires; it has "
                f"{there}.{did_you_mean(key, map(str, info))} Choose another key, or another data.split."
            )
            raise DataError(msg)
    return found
