"""Matbench tasks, with their official folds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from typing_extensions import override

from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.cache_folder import cache_folder
from mattertune_nb.data.readers.reader import require_package
from mattertune_nb.data.sources.fetched import FetchedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames

_FOLDS, _SEED = 5, 18012019
"""Matbench's folds for regression tasks: scikit-learn's KFold, shuffled with this seed (Dunn et al. 2020)."""

_TARGETS = {
    "matbench_dielectric": "n",
    "matbench_jdft2d": "exfoliation_en",
    "matbench_log_gvrh": "log10(G_VRH)",
    "matbench_log_kvrh": "log10(K_VRH)",
    "matbench_mp_e_form": "e_form",
    "matbench_mp_gap": "gap pbe",
    "matbench_perovskites": "e_form",
    "matbench_phonons": "last phdos peak",
}


class MatbenchDatasetConfig(FetchedSource):
    """One fold and part of a Matbench task that maps structures to numbers; downloaded by matminer."""

    type: Literal["matbench"] = setting(
        "matbench",
        "Kind of source.",
        label="Kind of source",
        options={"matbench": "task of Matbench"},
    )
    task: Literal[
        "matbench_dielectric",
        "matbench_jdft2d",
        "matbench_log_gvrh",
        "matbench_log_kvrh",
        "matbench_mp_e_form",
        "matbench_mp_gap",
        "matbench_perovskites",
        "matbench_phonons",
    ] = setting(
        "matbench_jdft2d",
        "The task. Its number is a property of the structure, to be learnt by a GraphPropertyConfig whose "
        "key is `property_name`.",
        label="Task",
        options={
            "matbench_dielectric": "refractive index (dielectric)",
            "matbench_jdft2d": "exfoliation energy (jdft2d)",
            "matbench_log_gvrh": "shear modulus (log_gvrh)",
            "matbench_log_kvrh": "bulk modulus (log_kvrh)",
            "matbench_mp_e_form": "formation energy (mp_e_form)",
            "matbench_mp_gap": "band gap (mp_gap)",
            "matbench_perovskites": "formation energy of perovskites",
            "matbench_phonons": "last peak of phonons",
        },
        fixed=True,
        basic=True,
    )
    fold_idx: Literal[0, 1, 2, 3, 4] = setting(
        0,
        "Which fold of Matbench's five is left for the test.",
        label="Fold",
        fixed=True,
        options={str(k): f"fold {k}" for k in range(_FOLDS)},
    )
    split: Literal["train", "validation", "test"] = setting(
        "train",
        "Which part of the fold: the first of what Matbench trains on, the rest of it, or the test.",
        label="Part",
        options={"train": "training", "validation": "validation", "test": "test"},
        fixed=True,
    )
    train_split_ratio: float = setting(
        0.9,
        "How much of what Matbench trains on is the part 'train'; the rest is 'validation'.",
        label="Share of the part train",
        fixed=True,
        gt=0,
        le=1,
    )
    property_name: str | None = setting(
        None,
        "Under what name each structure has its number; not set: the name of the task.",
        label="Name of the number",
        fixed=True,
        min_length=1,
    )
    data_home: Path | None = setting(
        None,
        "Folder with the task's file, e.g. matbench_jdft2d.json.gz, where it is fetched to; not set: the "
        "user's cache folder.",
        label="Folder of the file",
    )

    @property
    @override
    def src(self) -> Path:
        home = self.data_home or cache_folder("matbench")
        return home.expanduser() / f"{self.task}.json.gz"

    @override
    def fetch(self) -> None:
        require_package(self.src, f"fetching {self.task}", "matminer", "matbench")
        from matminer.datasets import load_dataset

        try:
            load_dataset(self.task, data_home=str(self.src.parent))
        except Exception as exc:  # requests, pandas and matminer each raise their own
            self.src.unlink(missing_ok=True)
            msg = (
                f"{self.task}: cannot be fetched ({cause(exc)}). Check the network, or put its file into a "
                "folder and name that by data_home."
            )
            raise DataError(msg) from exc

    @override
    def used(self, frames: Frames) -> Sequence[int]:
        name, target = self.property_name or self.task, _TARGETS[self.task]
        for i in range(len(frames)):
            info = frames[i].info
            if target not in info:
                msg = f"{self.src}, frame {i}: has no '{target}', so that it is not of {self.task}."
                raise DataError(msg)
            info[name] = info[target]
        train, test = fold(len(frames), self.fold_idx)
        if self.split == "test":
            return list(map(int, test))
        n = int(len(train) * self.train_split_ratio)
        part = train[:n] if self.split == "train" else train[n:]
        if not len(part):
            msg = f"{self.task}: train_split_ratio {self.train_split_ratio} leaves no {self.split} frame."
            raise DataError(msg)
        return list(map(int, part))


def fold(n: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training and the test positions, of `n` structures, in Matbench's fold `k`, ascending."""
    order = np.arange(n)
    np.random.RandomState(_SEED).shuffle(order)
    parts = np.array_split(order, _FOLDS)
    return np.sort(np.concatenate(parts[:k] + parts[k + 1 :])), np.sort(parts[k])
