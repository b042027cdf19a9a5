"""The header of a live view: state, progress, speed, time left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.training.length import last_step
from mattertune_nb.widgets.page.connection import while_connected

if TYPE_CHECKING:
    from mattertune_nb.config.trainer import TrainerConfig
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.records.status import Status
    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.live.series import CurveData

_COLORS = {
    "starting": "#8a8f98",
    "running": "#2f7ed8",
    "finished": "#2ca02c",
    "stopped": "#e8833a",
    "failed": "#d9534f",
    "crashed": "#d9534f",
    "removed": "#d9534f",
}


@dataclass(frozen=True)
class Progress:
    """Contents of the header; ``None`` where unknown.

    Attributes
    ----------
    title, state
        Name of the run, and what it is doing.
    epoch, max_epochs, step, max_steps
        Epochs and steps done, and their limits.
    rate
        Structures trained per second, or per the unit in `rate_unit`.
    eta
        Seconds left.
    memory
        Memory of the training process, in GB.
    damaged
        Records of metrics that cannot be read.
    """

    title: str
    state: str
    epoch: int
    max_epochs: int | None
    step: int
    max_steps: int | None = None
    rate: float | None = None
    eta: float | None = None
    memory: float | None = None
    rate_unit: str = "structures"
    damaged: int = 0

    @property
    def epoch_in_words(self) -> str:
        """The current epoch, or the last one, counted from 1."""
        counted = self.epoch if self.state == "finished" else self.epoch + 1
        if self.max_epochs is None:
            return f"epoch {counted}"
        return f"epoch {min(counted, self.max_epochs)} of {self.max_epochs}"

    @property
    def waiting_for(self) -> str:
        """What a run is at before it makes a step, which may take half a minute."""
        if self.state == "starting":
            return "reading the data and the model …"
        if self.state == "running" and self.step == 0:
            return "predictions before the first step …"
        return ""

    @property
    def fraction(self) -> float | None:
        """Fraction of the run that is done."""
        if self.max_steps:
            return min(self.step / self.max_steps, 1.0)
        if self.max_epochs and self.max_epochs > 0:
            return min(self.epoch / self.max_epochs, 1.0)
        return None


def read_progress(
    run: Run, config: MatterTunerConfig | None, status: Status, data: CurveData
) -> Progress:
    """Determine the progress of a run from its directory; without its config, as far as possible."""
    active = status.is_active
    memory = _memory(status.pid) if active else None
    if config is None:
        return Progress(
            run.name,
            status.state,
            status.epoch,
            None,
            status.step,
            memory=memory,
            damaged=data.damaged,
        )
    max_epochs = config.trainer.max_epochs
    max_epochs = None if max_epochs in (None, -1) else max_epochs
    n_train = len(run.directory.splits().get("train", ()))
    if status.steps_per_epoch:
        data.steps_per_epoch = status.steps_per_epoch
    elif n_train and config.data.max_atoms is None:
        per_batch = config.data.structures_per_batch(n_train) * _n_processes(config.trainer)
        batches = math.ceil(n_train / per_batch)
        data.steps_per_epoch = math.ceil(batches / config.trainer.accumulate_grad_batches)
    per_epoch = data.steps_per_epoch
    max_steps = last_step(config.trainer, per_epoch or 0)
    rate = eta = None
    speed = data.steps_per_second()
    if speed and status.state == "running":
        if n_train and per_epoch:
            rate = speed * n_train / per_epoch
        if max_steps:
            eta = max(max_steps - status.step, 0) / speed
    return Progress(
        title=run.name,
        state=status.state,
        epoch=status.epoch,
        max_epochs=max_epochs,
        step=status.step,
        max_steps=max_steps,
        rate=rate,
        eta=eta,
        memory=memory,
        damaged=data.damaged,
    )


def _n_processes(trainer: TrainerConfig) -> int:
    devices = trainer.devices
    count = len(devices) if isinstance(devices, list) else devices
    return (count if isinstance(count, int) and count > 0 else 1) * trainer.num_nodes


def _memory(pid: int) -> float | None:
    """Return the memory of a process and its children, in GB."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return float(sum(p.memory_info().rss for p in family) / 1e9)
    except psutil.Error:
        return None


def progress_html(progress: Progress) -> str:
    """Return the header as HTML in the colours of the reader's theme."""
    color = _COLORS.get(progress.state, "#8a8f98")
    steps = f" of {progress.max_steps}" if progress.max_steps else ""
    facts = f"{progress.epoch_in_words} · step {progress.step}{steps}"
    facts += damage_in_words(progress.damaged)
    now = f" · {progress.waiting_for}" if progress.waiting_for else ""
    if progress.rate is not None:
        now += f" · {progress.rate:.3g} {progress.rate_unit}/s"
    if progress.eta is not None and progress.state == "running":
        now += f" · {duration(progress.eta)} left"
    if progress.memory is not None:
        now += f" · {progress.memory:.2f} GB"
    now = unbroken(now)
    state, facts = progress.state, facts + now
    if state in ("starting", "running"):
        # how it ended remains true without a kernel, how it is going does not
        state, facts = while_connected(state), facts.removesuffix(now) + while_connected(now, "")
    width = 100 * (progress.fraction or 0)
    return (
        f'<div style="font-family:var(--jp-ui-font-family,sans-serif)">'
        f"<b>{escaped(progress.title)}</b> "
        f'<span style="background:{color};color:white;border-radius:8px;padding:1px 8px;font-size:12px">'
        f"{state}</span> "
        f'<span style="opacity:.85">{facts}</span>'
        f'<div role="progressbar" aria-label="progress of the run" aria-valuenow="{width:.0f}" '
        'aria-valuemin="0" aria-valuemax="100" '
        'style="height:6px;border-radius:3px;background:rgba(128,128,128,.25);margin:4px 0">'
        f'<div style="height:6px;border-radius:3px;width:{width:.1f}%;background:{color}"></div></div></div>'
    )


def damage_in_words(damaged: int) -> str:
    """Return the number of unreadable metric records as a suffix to a state; empty for none."""
    if not damaged:
        return ""
    return f" · {damaged} damaged record{'s' * (damaged > 1)} left out"
