"""The searches of the finders, run in a separate process.

Run as a program with ``python -m`` and the argument ``lr`` or ``batch``, this module reads a config as JSON
and answers with a line of JSON: a :class:`~mattertune_nb.training.estimate.found.Found`, or an error.
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
"""Fraction of the free memory to use, so that other programs keep some."""


def rate_of(config: MatterTunerConfig, n_steps: int = _STEPS) -> Found:
    """Find a learning rate in this process; see :func:`~mattertune_nb.training.estimate.finders.find_lr`.

    Parameters
    ----------
    config
        Settings of the run.
    n_steps
        Number of steps, each at a higher rate.
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
    note = "The loss did not fall at any rate; check the data, or start with 1e-3."
    if suggestion is not None:
        note = (
            "The loss falls fastest here. This is a starting value, not the best one: short runs at half "
            "and at twice this rate tell more."
        )
    rounded = None if suggestion is None else float(f"{suggestion:.2g}")
    return Found("model.optimizer.lr", tried, losses, "loss", rounded, note)


def steepest(rates: list[float], losses: list[float]) -> float | None:
    """Return the rate around which losses fall fastest; ``None`` if they fall nowhere.

    Parameters
    ----------
    rates
        Rates growing by a constant factor from step to step.
    losses
        Loss at each rate; slopes are taken over a sixth of them, because batches differ.
    """
    window = max(len(losses) // 6, 4)
    first = window  # the first few losses reflect only their batches
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
    # the largest structures first: no other batch of this size needs more
    order = np.argsort(-train.n_atoms(), kind="stable").tolist()
    graphs = GraphDataset(train, module.backbone, module.hparams.labels)
    needed, limit = Line(max), _free(steps)
    tried: list[float] = []
    seconds: list[float] = []
    begun, n = clock(), 1
    while n <= len(order):
        batch = graphs.batch(order[:n])
        with PeakMemory() as peak:
            try:
                steps.step(batch)  # the first batch of a size takes longer
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
        f"{largest} structures take about {size(int(needed.at(largest)))} of the {size(int(limit))} that are "
        "free. Larger batches mean fewer steps per epoch: combine them with more epochs or a higher rate."
    )
    if largest == len(order):
        note = (
            f"All {largest} structures fit. "
            "A batch of 4 to 32 usually learns faster than one of all frames."
        )
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
    """Run the search named by the first argument for the config on standard input."""
    logging.disable(logging.WARNING)
    answer("search", rate_of if sys.argv[1] == "lr" else largest_batch)


if __name__ == "__main__":
    main()
