"""A run in a few lines of JSON, written when it ends, so that hundreds of runs can be listed at once."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.training.files import read_lines, write_json
from mattertune_nb.training.records.foreign import read_foreign
from mattertune_nb.training.records.metrics import best_record, drop_undone
from mattertune_nb.training.records.walls import read_walls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.run_dir import RunDirectory

_VERSION = 2
_LOSS = "train/total_loss"


@dataclass(frozen=True)
class Summary:
    """The task of a run, and its result.

    Parameters
    ----------
    settings
        All settings by dotted path; empty if they cannot be read.
    sources
        Files of the training data.
    n_train, n_validation
        Numbers of frames, 0 if unknown.
    started
        Time of the first record, seconds since 1970; 0 before there is one.
    seconds
        Time spent in training, without the pauses before resumes.
    n_epochs
        Epochs begun.
    monitor, mode
        The metric that selects the best weights, and whether it should fall or rise.
    baseline
        Errors before training under ``baseline/…``, in eV.
    best
        The record of the validation whose weights are kept as best, in eV; its ``epoch`` is counted from 0.
    training_loss
        The first and the last recorded value.
    damaged
        Number of records that could not be read.
    foreign
        Errors on structures away from the target, as in :class:`ForeignRecord`; empty if unknown.
    holes
        Holes, where pairs of atoms attract at short range, as in :class:`Hole`; ``None`` if unknown.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    n_train: int = 0
    n_validation: int = 0
    started: float = 0.0
    seconds: float = 0.0
    n_epochs: int = 0
    monitor: str = "val/total_loss"
    mode: str = "min"
    baseline: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    training_loss: tuple[float, float] | None = None
    damaged: int = 0
    foreign: dict[str, Any] = field(default_factory=dict)
    holes: list[dict[str, Any]] | None = None

    @property
    def began_tuned(self) -> bool:
        """Whether the run started from weights of another run rather than the vendor's."""
        return self.settings.get("model.checkpoint") is not None


_known: dict[str, tuple[list[int], Summary]] = {}
"""Summaries of runs that have none of their own, or an outdated one, by path."""


def summary_of(run: RunDirectory) -> Summary:
    """Return the summary of a run: its own if nothing was written since, otherwise from its records."""
    state = _state(run)
    try:
        written = json.loads(run.summary_file.read_text(encoding="utf-8"))
        if written.pop("of") == state and written.pop("checksum") == checksum(written):
            return _from_json(written)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # an older version's, damaged, or none yet
    key = str(run.path.absolute())
    known = _known.get(key)
    if known is None or known[0] != state:
        known = _known[key] = state, _summarise(run)
    return known[1]


def write_summary(run: RunDirectory) -> None:
    """Write the summary of a run that has ended."""
    summary = asdict(_summarise(run))
    about = {"of": _state(run), "checksum": checksum(summary)}
    write_json(run.summary_file, about | summary)


def checksum(summary: Mapping[str, Any]) -> int:
    """Return a number that differs if anything in a summary (as builtins) has changed since then."""
    return zlib.crc32(json.dumps(summary, sort_keys=True).encode())


def flat_settings(data: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted path."""
    if isinstance(data, dict) and data:
        items = data.items()
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        items = ((str(i), v) for i, v in enumerate(data))  # type: ignore[assignment]
    else:
        return {prefix: data}
    flat: dict[str, Any] = {}
    for name, value in items:
        flat |= flat_settings(value, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _state(run: RunDirectory) -> list[int]:
    """Return numbers that change whenever the sources of a summary change."""
    state = [_VERSION]
    for file in (run.config_file, run.splits_file, run.foreign_file, run.walls_file):
        try:
            state.append(zlib.crc32(file.read_bytes()))
        except OSError:
            state.append(0)
    metrics = run.metrics_file
    return [*state, metrics.stat().st_size if metrics.exists() else 0]


def _from_json(data: dict[str, Any]) -> Summary:
    loss = data.pop("training_loss")
    return Summary(
        **data | {"sources": tuple(data["sources"])},
        training_loss=None if loss is None else (float(loss[0]), float(loss[1])),
    )


def _summarise(run: RunDirectory) -> Summary:
    written, _, damaged = read_lines(run.metrics_file)
    records = drop_undone(written)
    settings: dict[str, Any] = {}
    sources: tuple[str, ...] = ()
    monitor, mode = Summary.monitor, Summary.mode
    try:
        config = run.config()
        settings = flat_settings(json.loads(json.dumps(config.to_dict(), default=str)))
        sources = _sources(config)
        monitor, mode = config.trainer.checkpoint.monitor, config.trainer.checkpoint.mode
    except MatterTuneError:  # reported by whatever needs the settings
        pass
    splits, foreign = run.splits(), read_foreign(run)
    losses = [r[_LOSS] for r in records if r.get(_LOSS) is not None]
    return Summary(
        settings=settings,
        sources=sources,
        n_train=len(splits.get("train", ())),
        n_validation=len(splits.get("validation", ())),
        started=float(written[0].get("time", 0.0)) if written else 0.0,
        seconds=_seconds(written),
        n_epochs=max((r.get("epoch", 0) for r in records), default=-1) + 1,
        monitor=monitor,
        mode=mode,
        baseline=_baseline(records),
        best=best_record(records, monitor, mode),
        training_loss=(losses[0], losses[-1]) if losses else None,
        damaged=damaged,
        foreign={} if foreign is None else asdict(foreign),
        holes=_holes(run),
    )


def _holes(run: RunDirectory) -> list[dict[str, Any]] | None:
    walls = read_walls(run)
    return None if walls is None or walls.tuned is None else [asdict(h) for h in walls.holes]


def _baseline(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    # recorded once, under the first step
    first = (r for r in records if r.get("step", 0) == 0)
    return {
        k: v for r in first for k, v in r.items() if k.startswith("baseline/") and v is not None
    }


def _sources(config: MatterTunerConfig) -> tuple[str, ...]:
    data = config.data
    dataset = getattr(data, "train", None) or getattr(data, "dataset", None)
    source = getattr(dataset, "src", None)
    return () if source is None else (str(source),)


def _seconds(records: Sequence[Mapping[str, Any]]) -> float:
    """Return the time between records, without the pauses before resumes."""
    seconds, before = 0.0, None
    for record in records:
        now = record.get("time")
        if record.get("kind") == "resumed" or not isinstance(now, (int, float)):
            before = now
            continue
        if before is not None:
            seconds += max(now - before, 0.0)
        before = now
    return seconds
