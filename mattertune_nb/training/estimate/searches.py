"""The searches of the finders, made in a process of their own.

As a program, ``python -m`` of this module with ``lr`` or ``batch``, it reads a config as JSON and answers
with a line of JSON: a :class:`~mattertune_nb.training.estimate.found.Found`, or an error.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.tuner.tuning import Tuner

from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.model.loader import GraphDataset
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.recipes.penalties import penalties
from mattertune_nb.training.amounts import size
from mattertune_nb.training.estimate.found import Found
from mattertune_nb.training.estimate.process import answer
from mattertune_nb.training.estimate.steps import Line, PeakMemory, Steps
from mattertune_nb.training.hardware import accelerator_here
from mattertune_nb.training.module_class import import_module_class
from mattertune_nb.training.preflight import check_machine, check_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.config import MatterTunerConfig

_RATES = (1e-6, 0.1)
_STEPS = 60
_SECONDS = 30.0
_SHARE = 0.8
"""Of the memory that is free, so that whatever else goes on has some."""


def rate_of(config: MatterTunerConfig, n_steps: int = _STEPS) -> Found:
    """Find a learning rate in this process; see :func:`~mattertune_nb.training.estimate.finders.find_lr`.

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
            "that rate and at twice that rate tell more."
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
    """Find the largest batch in this process.

    See :func:`~mattertune_nb.training.estimate.finders.find_batch_size`.

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
        "free. Larger batches make fewer steps per epoch: more epochs, or a higher rate, go with them."
    )
    if largest == len(order):
        note = f"All {largest} structures fit. A batch of 4 to 32 mostly learns faster than one of all."
    return Found("data.batch_size", tried, seconds, "seconds per structure", float(largest), note)


def _free(steps: Steps) -> float:
    if steps.device != "this CPU":
        return _SHARE * torch.cuda.get_device_properties(0).total_memory
    return _SHARE * psutil.virtual_memory().available + psutil.Process().memory_info().rss


def _prepared(config: MatterTunerConfig) -> tuple[MatterTuneDataModule, FinetuneModuleBase]:
    check_machine(config, in_notebook=False)
    check_settings(config)
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
    logging.disable(logging.WARNING)
    answer("search", rate_of if sys.argv[1] == "lr" else largest_batch)


if __name__ == "__main__":
    main()
