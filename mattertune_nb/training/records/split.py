"""The record of a run's split: the frames of each data set, by number and by content."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.errors import RunError
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.division.dividing import STAGES
from mattertune_nb.training.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.division.dividing import DividedData
    from mattertune_nb.data.module import MatterTuneDataModule
    from mattertune_nb.training.run_dir import RunDirectory

_STRUCTURE = 16
"""Digits of a frame's name that come from its structure; the others come from its whole content."""


@dataclass(frozen=True)
class SplitRecord:
    """A run's record of its split.

    Attributes
    ----------
    parts
        For each data set, the numbers of its frames in their source.
    names
        For each data set, the names of its frames by their content, see
        :meth:`~mattertune_nb.data.content.FrameKeys.names`; empty if written by a version before 0.3.
    n_source
        Number of frames of each source, by its field in the config; some may belong to no data set.
    rule
        The rule of the split, if known.
    """

    parts: dict[str, list[int]]
    names: dict[str, list[str]] = field(default_factory=dict)
    n_source: dict[str, int] = field(default_factory=dict)
    rule: str = "record"

    @classmethod
    def read(cls, run: RunDirectory) -> SplitRecord | None:
        """Return the record of a run; ``None`` if there is no valid one."""
        try:
            written = json.loads(run.splits_file.read_text(encoding="utf-8"))
            parts = {stage: list(map(int, written[stage])) for stage in STAGES if stage in written}
            names = {
                stage: list(map(str, part)) for stage, part in written.get("frames", {}).items()
            }
            n_source = {k: int(n) for k, n in written.get("of", {}).items()}
            rule = str(written.get("rule", cls.rule))
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return (
            cls(parts, names, n_source, rule) if {"train", "validation"} <= parts.keys() else None
        )

    def changes(self, datasets: Mapping[str, AtomsDataset]) -> list[str]:
        """Describe the frames that have changed, at most one example per data set."""
        found = []
        for stage, names in self.names.items():
            if stage not in datasets:
                continue
            dataset = datasets[stage]
            now = frame_keys(dataset).names()
            changed = [i for i, (a, b) in enumerate(zip(names, now, strict=False)) if a != b]
            if changed:
                i = changed[0]
                same = names[i][:_STRUCTURE] == now[i][:_STRUCTURE]
                what = "with other labels or digits" if same else "another structure"
                found.append(
                    f"{len(changed)} of {len(names)} frames for {stage}, e.g. {dataset.source(i)}, {what}"
                )
        return found


def write_record(run: RunDirectory, data: MatterTuneDataModule) -> None:
    """Write the split of a run.

    Raises
    ------
    RunError
        The directory cannot be written.
    """
    record = {
        **data.split_indices(),
        "rule": data.rule,
        "of": data.n_source,
        "frames": {stage: frame_keys(d).names() for stage, d in data.datasets.items()},
    }
    try:
        write_json(run.splits_file, record)
    except OSError as exc:
        msg = f"{run.path}: cannot be written ({exc.strerror}). Free disk space, or choose another run.root."
        raise RunError(msg) from exc


def check_record(run: RunDirectory, record: SplitRecord, data: MatterTuneDataModule) -> None:
    """Refuse frames that have changed since a run began; report added frames, which it does not use.

    Raises
    ------
    RunError
        A frame has changed: some training frames might end up in validation.
    """
    data.rule = record.rule
    changes = record.changes(data.datasets)
    if changes:
        msg = (
            f"{run.path}: the data have changed since the run began ({'; '.join(changes)}). Start a new run, "
            "or restore the file."
        )
        raise RunError(msg)
    for name, n in record.n_source.items():
        added = data.n_source.get(name, n) - n
        if added > 0:
            data.notes.append(
                f"{added} frames were added to data.{name} since the run began; it continues without them. "
                "Start a new run to train on them."
            )


def datasets_of(run: RunDirectory) -> DividedData:
    """Open the data sets of a run: the frames in its record, or without one those of its config.

    Raises
    ------
    MatterTuneError
        A source cannot be read, or no longer has the frames in the record.
    """
    record, data = SplitRecord.read(run), run.config().data
    return data.create_datasets() if record is None else data.take(record.parts)


def say_what_was_trained_on(run: RunDirectory, dataset: AtomsDataset) -> None:
    """Warn if a data set contains structures that a run was trained on."""
    record = SplitRecord.read(run)
    if record is None or not record.names.get("train"):
        return
    contents = {name[:_STRUCTURE]: name for name in record.names["train"]}
    names = frame_keys(dataset).names()
    known = np.array([name[:_STRUCTURE] in contents for name in names])
    if not known.any():
        return
    relabelled = sum(contents.get(name[:_STRUCTURE], name) != name for name in names)
    others = f", {relabelled} of them with other labels or digits" if relabelled else ""
    text = (
        f"{int(known.sum())} of {len(dataset)} frames were trained on{others}, e.g. "
        f"{dataset.source(int(np.argmax(known)))}: errors on them say little about others."
    )
    warnings.warn(text, UserWarning, stacklevel=3)
