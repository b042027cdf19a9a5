"""What a resume checks about the run so far: whether its settings are the same, and what is new."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.changes import Change, changes
from mattertune_nb.config.errors import ConfigError, RunError, TrainingError
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.normalizers import with_references_read
from mattertune_nb.training.files import write_whole
from mattertune_nb.training.records.metrics import rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mattertune_nb.training.checkpoints import Saved
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.run_dir import RunDirectory


@dataclass(frozen=True)
class Kept:
    """The best weights according to a new measure, among those still available.

    Attributes
    ----------
    path
        Their checkpoint; ``None`` if none was measured that way, and the search starts over.
    step
        Step of the record of their validation.
    score
        Their value of the new measure.
    """

    path: Path | None = None
    step: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class Resumption:
    """What is new in a resumed run.

    Attributes
    ----------
    changed
        Settings that differ from those of its newest checkpoint.
    before
        The settings of that checkpoint as plain data.
    kept
        If the best weights are now selected by another measure: the best so far.
    """

    changed: tuple[Change, ...] = ()
    before: Mapping[str, Any] | None = None
    kept: Kept | None = None

    def record(self) -> dict[str, Any]:
        """Return what the record of metrics says about it, see :func:`records.best_record`."""
        said: dict[str, Any] = {
            "settings": {change.path: [change.before, change.after] for change in self.changed}
        }
        if self.kept is not None:
            said |= {"best_step": self.kept.step, "best_score": self.kept.score}
        return said


def settings_for_checkpoint(config: MatterTunerConfig) -> dict[str, Any]:
    """Return the settings that a checkpoint stores besides those of model and data."""
    plain = config.to_dict()
    return {name: plain[name] for name in ("trainer", "run")}


def resumption(run: RunDirectory, saved: Saved | None, config: MatterTunerConfig) -> Resumption:
    """Compare the settings of a resumed run with those of its newest checkpoint.

    Raises
    ------
    RunError
        A setting that the run must keep has changed; names it, and says what to do.
    """
    if saved is None:
        return Resumption()  # nothing has been trained
    before = _settings_before(run, saved.contents)
    now = config.model_copy(update={"model": with_references_read(config.model)})
    changed = [
        change
        for change in changes(before, now)
        if change.path not in ("run.name", "run.root", "run.module_class")
    ]
    fixed = [change for change in changed if change.is_fixed]
    if fixed:
        msg = (
            f"{run.path}: a resumed run has to keep {'; '.join(map(str, fixed))}. Restore it, or start a "
            f"new run from these weights, with the new setting and model.checkpoint: {run.path}."
        )
        raise RunError(msg)
    kept = _kept(run, saved, before, config, changed)
    return Resumption(tuple(changed), before, kept)


def _settings_before(run: RunDirectory, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    try:
        before = run.config().to_dict()  # checkpoints of version 0.2 store only a part
    except ConfigError:
        before = {}
    held = {
        "model": checkpoint["hyper_parameters"],
        "data": checkpoint.get("datamodule_hyper_parameters"),
        **checkpoint.get("settings", {}),
    }
    return before | {name: value for name, value in held.items() if value is not None}


def _kept(
    run: RunDirectory,
    saved: Saved,
    before: Mapping[str, Any],
    config: MatterTunerConfig,
    changed: list[Change],
) -> Kept | None:
    """Return the best weights according to the new measure, ``None`` if the measure has not changed."""
    now, then = config.trainer.checkpoint, before.get("trainer", {}).get("checkpoint", {})
    if counts_otherwise(now.monitor, changed):
        return Kept()
    if (now.monitor, now.mode) == (then.get("monitor"), then.get("mode")):
        return None
    values = {record["step"]: record.get(now.monitor) for record in run.metrics()}
    candidates = []
    for path in dict.fromkeys((run.best, saved.path)):
        step = _last_step(path)
        score = values.get(step)
        if isinstance(score, float):
            candidates.append(Kept(path, step, score))
    return max(candidates, key=lambda kept: rank(kept.score or 0.0, now.mode), default=Kept())


def counts_otherwise(monitor: str, changed: Iterable[Change]) -> bool:
    """Return whether a metric is a loss that is now computed differently."""
    is_loss = monitor.endswith("_loss")
    return is_loss and any(".loss" in change.path.removeprefix("model") for change in changed)


def _last_step(path: Path) -> int:
    """Return the step under which a checkpoint's validation is recorded, -1 if it cannot be read."""
    try:
        return int(read_checkpoint(path)["global_step"]) - 1
    except TrainingError:
        return -1


def keep_as_best(run: RunDirectory, kept: Kept | None) -> None:
    """Put the best weights according to a new measure in the place of a run's best."""
    if kept is not None and kept.path not in (None, run.best):
        with kept.path.open("rb") as file:
            write_whole(run.best, lambda target: shutil.copyfileobj(file, target))
