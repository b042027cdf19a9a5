"""Frames that occur in several parts of a split, when the parts are separate files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.near import near_structures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset


def without_overlap(
    datasets: Mapping[str, AtomsDataset],
) -> tuple[dict[str, AtomsDataset], list[str]]:
    """Remove training structures from validation and test.

    Structures are compared to 0.0001 Å, in whatever order their atoms are; labels are ignored.

    Returns
    -------
    datasets
        The data sets, none of which shares a structure with training.
    notes
        A sentence for each reduced set, and if validation and test share structures.

    Raises
    ------
    DataError
        Frames of the same file are given for training and another set, or a set becomes empty.
    """
    kept: dict[str, AtomsDataset] = {}
    keys: dict[str, NDArray[np.uint64]] = {}
    notes = []
    structures = near_structures(*map(frame_keys, datasets.values()))
    for (stage, dataset), own in zip(datasets.items(), structures, strict=True):
        keep = np.ones(len(dataset), dtype=bool)
        for other in kept:
            shared = np.isin(own, keys[other]) & keep
            if not shared.any():
                continue
            i = int(np.argmax(shared))
            j = int(np.argmax(keys[other] == own[i]))
            like = f"e.g. {dataset.source(i)} is {kept[other].source(j)}"
            n_shared = (
                f"{int(shared.sum())} of {len(dataset)} frames for {stage} are also in {other}"
            )
            if other != "train":
                notes.append(f"{n_shared} ({like}), by which the best weights are chosen.")
                continue
            trained = np.isin(keys[other], own[shared])
            _refuse_same_frames(stage, dataset, shared, kept[other], trained)
            if shared.all():
                msg = f"all frames for {stage} are also in {other} ({like}). Take other frames."
                raise DataError(msg)
            notes.append(f"{n_shared} and left out of {stage} ({like}).")
            keep &= ~shared
        kept[stage] = dataset if keep.all() else dataset.take(np.flatnonzero(keep))
        keys[stage] = own[keep]
    return kept, notes


def untrained_elements(elements: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each data set with elements absent from training."""
    notes = []
    for stage, present in elements.items():
        absent = [symbol for symbol in present if symbol not in elements["train"]]
        if absent:
            notes.append(
                f"{', '.join(absent)} occurs in {stage} but not in train: no reference energy is fitted for "
                "it, so its energy errors are meaningless. Train on such frames too, or leave them out."
            )
    return notes


def _refuse_same_frames(
    stage: str,
    dataset: AtomsDataset,
    shared: NDArray[np.bool_],
    training: AtomsDataset,
    trained: NDArray[np.bool_],
) -> None:
    """Refuse frames of one file that are given for two sets, which must be a mistake."""
    of_training = {_place(training, int(j)) for j in np.flatnonzero(trained)} - {None}
    both = [int(i) for i in np.flatnonzero(shared) if _place(dataset, int(i)) in of_training]
    if both:
        msg = (
            f"{dataset.source(both[0])}: given for both train and {stage}, as are {len(both)} frames in all. "
            "Set index, or take other files, so that they share none, or divide one data set (data.type: "
            "auto_split)."
        )
        raise DataError(msg)


def _place(dataset: AtomsDataset, i: int) -> tuple[str, str] | None:
    """Return the file of a structure and its position there; None for structures in memory."""
    path = Path(dataset.file(i)).expanduser().resolve()
    return (str(path), dataset.source(i).rpartition(", ")[2]) if path.exists() else None
