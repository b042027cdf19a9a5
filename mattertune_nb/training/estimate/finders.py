"""Finders: the learning rate at which a loss falls fastest, and the largest batch that fits into memory.

As a program, ``python -m`` of this module with ``lr`` or ``batch``, it reads a config as JSON and answers
with a line of JSON: a :class:`Found`, or an error.
"""

from __future__ import annotations

import html
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import psutil
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.tuner.tuning import Tuner

from mattertune_nb.config import errors
from mattertune_nb.config.errors import MatterTuneError, TrainingError
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.model.loader import GraphDataset
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.recipes.penalties import penalties
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.training.estimate.estimate import size
from mattertune_nb.training.estimate.steps import Line, PeakMemory, Steps
from mattertune_nb.training.hardware import accelerator_here, check_hardware
from mattertune_nb.training.module_class import import_module_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.model.module import FinetuneModuleBase

Kind = Literal["lr", "batch"]

_WIDTH, _HEIGHT = 320, 100

_RATES = (1e-6, 0.1)
_STEPS = 60
_SECONDS = 30.0
_SHARE = 0.8
"""Of the memory that is free, so that whatever else goes on has some."""


@dataclass(frozen=True)
class Found:
    """What a finder has found.

    Attributes
    ----------
    setting
        Dotted name of the setting that it is for.
    tried
        Values of it.
    measured
        What came of each.
    quantity
        What is measured, with its unit.
    suggestion
        The value to use; ``None`` where none can be told.
    note
        Why, in a sentence.
    """

    setting: str
    tried: list[float]
    measured: list[float]
    quantity: str
    suggestion: float | None
    note: str

    def to_html(self) -> str:
        """Return a drawing of what came of each value, and what is suggested."""
        return _drawn(self) + f'<div class="mt-note">{html.escape(self.note)}</div>'

    _repr_html_ = to_html


def _drawn(found: Found) -> str:
    if len(found.tried) < 2:
        return ""
    x, y = np.log10(found.tried), np.array(found.measured)
    low, high = float(y.min()), float(np.percentile(y, 95))
    across = _WIDTH * (x - x[0]) / max(float(np.ptp(x)), 1e-9)
    down = _HEIGHT * (1 - np.clip((y - low) / max(high - low, 1e-9), 0, 1))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    name = found.setting.rpartition(".")[2]
    line = ""
    if found.suggestion is not None:
        at = _WIDTH * (np.log10(found.suggestion) - x[0]) / max(float(np.ptp(x)), 1e-9)
        line = (
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}" stroke="currentColor" '
            f'stroke-dasharray="4 3"/><text x="{at:.1f}" y="-4" text-anchor="middle">'
            f"{found.suggestion:g}</text>"
        )
    text = f"{found.quantity} against {name}, from {found.tried[0]:.3g} to {found.tried[-1]:.3g}"
    return (
        f'<svg role="img" aria-label="{text}" width="{_WIDTH + 100}" height="{_HEIGHT + 40}" '
        f'viewBox="-70 -16 {_WIDTH + 100} {_HEIGHT + 40}" '
        'style="color:var(--jp-ui-font-color1,#222)"><g font-size="11" fill="currentColor">'
        '<polyline fill="none" stroke="var(--jp-brand-color1,#2f7ed8)" stroke-width="2" '
        f'points="{points}"/>{line}<g text-anchor="end"><text x="-6" y="4">{high:.3g}</text>'
        f'<text x="-6" y="{_HEIGHT + 4}">{low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 18}">{found.tried[-1]:.3g}</text></g>'
        f'<text x="0" y="{_HEIGHT + 18}">{found.tried[0]:.3g}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 18}" text-anchor="middle">{name}: '
        f"{found.quantity}</text></g></svg>"
    )


def find_lr(config: MatterTunerConfig) -> Found:
    """Find a learning rate in a process of its own: that at which the loss falls fastest.

    The rate grows from step to step, as Lightning's ``Tuner.lr_find`` does it; weights are thrown away.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow the run.
    """
    return ask(config, "lr")


def find_batch_size(config: MatterTunerConfig) -> Found:
    """Find the largest batch that fits into memory in a process of its own, from steps on growing ones.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow the run.
    """
    return ask(config, "batch")


def ask(
    config: MatterTunerConfig,
    kind: Kind,
    begun: Callable[[subprocess.Popen[str]], None] = lambda _: None,
) -> Found:
    """Let another process find something.

    Parameters
    ----------
    config
        Settings of the run.
    kind
        What is sought.
    begun
        Called with the process, which may be ended.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow it, or the process was ended.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "mattertune_nb.training.estimate.finders", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    begun(process)
    try:
        said, _ = process.communicate(json.dumps(config.to_dict()))
        answer: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
    except (OSError, ValueError) as exc:
        msg = "The search was ended before it was done, perhaps for want of memory."
        raise TrainingError(msg) from exc
    if "error" in answer:
        raise getattr(errors, answer["kind"], MatterTuneError)(answer["error"])
    return Found(**answer)


def rate_of(config: MatterTunerConfig, n_steps: int = _STEPS) -> Found:
    """Find a learning rate in this process; see :func:`find_lr`.

    Parameters
    ----------
    config
        Settings of the run.
    n_steps
        Steps, each at a higher rate.
    """
    data, module = _prepared(config)
    trainer = config.trainer
    with tempfile.TemporaryDirectory() as folder:
        bare = Trainer(
            accelerator=accelerator_here(trainer),
            devices=1,
            precision=trainer.precision,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=-1,
        )
        low, high = _RATES
        finder = Tuner(bare).lr_find(
            module, datamodule=data, min_lr=low, max_lr=high, num_training=n_steps
        )
    tried = [float(rate) for rate in finder.results["lr"]] if finder else []
    losses = [float(loss) for loss in finder.results["loss"]] if finder else []
    suggestion = steepest(tried, losses)
    note = "The loss did not fall at any rate; look at the data, or begin with 1e-3."
    if suggestion is not None:
        note = (
            "There the loss falls fastest. It is a rate to begin with, not the best one: short runs at half "
            "and twice of it tell more."
        )
    rounded = None if suggestion is None else float(f"{suggestion:.2g}")
    return Found("model.optimizer.lr", tried, losses, "loss", rounded, note)


def steepest(rates: list[float], losses: list[float]) -> float | None:
    """Return the rate around which losses fall fastest; ``None`` where they fall nowhere.

    Parameters
    ----------
    rates
        Growing by the same factor from step to step.
    losses
        At each; slopes are taken over a sixth of them, as batches differ.
    """
    window = max(len(losses) // 6, 4)
    first = window  # what the first few batches say is their own
    slopes = [
        np.polyfit(np.arange(window), losses[i : i + window], 1)[0]
        for i in range(first, len(losses) - window + 1)
    ]
    if not slopes or min(slopes) >= 0:
        return None
    return rates[first + int(np.argmin(slopes)) + window // 2]


def largest_batch(
    config: MatterTunerConfig, clock: Callable[[], float] = time.perf_counter
) -> Found:
    """Find the largest batch in this process; see :func:`find_batch_size`.

    Parameters
    ----------
    config
        Settings of the run.
    clock
        Counts seconds.
    """
    data, module = _prepared(config)
    train = data.datasets["train"]
    steps = Steps(config, module, clock)
    # the largest structures first: no batch of so many takes more
    order = np.argsort(-train.n_atoms(), kind="stable").tolist()
    graphs = GraphDataset(train, module.backbone, module.hparams.labels)
    needed, limit = Line(max), _free(steps)
    tried: list[float] = []
    seconds: list[float] = []
    begun, n = clock(), 1
    while n <= len(order):
        batch = graphs.collate([graphs[i] for i in order[:n]])
        with PeakMemory() as peak:
            try:
                steps.step(batch)  # the first of a size takes longer
                start = clock()
                steps.step(batch)
            except torch.cuda.OutOfMemoryError:
                break
        tried.append(float(n))
        seconds.append((clock() - start) / n)
        on_gpu = steps.device != "this CPU"
        needed.add(n, torch.cuda.max_memory_reserved() if on_gpu else peak.bytes)
        took = clock() - begun
        if n == len(order) or needed.at(2 * n) > limit or 3 * took > _SECONDS:
            break
        n = min(2 * n, len(order))
    largest = int(tried[-1]) if tried else 1
    while largest < len(order) and needed.at(largest + 1) < limit:
        largest += 1
    note = (
        f"{largest} structures take some {size(int(needed.at(largest)))} of the {size(int(limit))} that are "
        "free. Larger batches make fewer steps an epoch: more epochs, or a higher rate, go with them."
    )
    if largest == len(order):
        note = f"All {largest} structures fit. A batch of 4 to 32 mostly learns faster than one of all."
    return Found("data.batch_size", tried, seconds, "seconds a structure", float(largest), note)


def _free(steps: Steps) -> float:
    if steps.device != "this CPU":
        return _SHARE * torch.cuda.get_device_properties(0).total_memory
    return _SHARE * psutil.virtual_memory().available + psutil.Process().memory_info().rss


def _prepared(config: MatterTunerConfig) -> tuple[MatterTuneDataModule, FinetuneModuleBase]:
    check_hardware(config.trainer, in_notebook=False)
    config.model.require_installed()
    torch.manual_seed(config.run.seed)
    data = MatterTuneDataModule(config.data)
    data.prepare_data()
    data.setup("fit")
    settings = config.model.model_copy(update={"lr_scheduler": None})
    module = import_module_class(config.run.module_class)(settings)
    data.check(config.model.labels, module.backbone.elements)
    module.penalties |= penalties(config.trainer, module, target_frames(data.datasets["train"]))
    return data, module


def main() -> None:
    """Find what the first argument says for the config on the standard input."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write where the answer goes
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        config = MatterTunerConfig.from_dict(json.loads(sys.stdin.read()))
        answer = asdict((rate_of if sys.argv[1] == "lr" else largest_batch)(config))
    except MatterTuneError as exc:
        answer = {"error": str(exc), "kind": type(exc).__name__}
    except Exception as exc:  # of a user's own module class, or out of memory
        text = f"The search failed ({type(exc).__name__}: {' '.join(str(exc).split())})."
        answer = {"error": text, "kind": "TrainingError"}
    output.write(json.dumps(answer) + "\n")
    output.close()


if __name__ == "__main__":
    main()
