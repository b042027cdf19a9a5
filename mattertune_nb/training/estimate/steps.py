"""Real steps on batches of growing size, and the cost of any batch derived from them."""

from __future__ import annotations

import math
import tempfile
import threading
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil
import torch
from lightning.fabric import Fabric
from scipy.optimize import nnls

from mattertune_nb.config.properties import ENERGY
from mattertune_nb.model.optim import create_optimizer
from mattertune_nb.training.estimate.sample import graph_size
from mattertune_nb.training.files import write_whole
from mattertune_nb.training.hardware import accelerator_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.estimate.sample import DataSample

_SECONDS = 12.0
_PARTS, _TIMES = (1 / 16, 1 / 4, 1.0), 3
"""Batch sizes as fractions of the mean, and how often each is measured at most."""
_FEWEST = 2  # sizes needed for a line

_POLL = 0.005  # s


class Line:
    """A straight line through measurements, with non-negative coefficients.

    Parameters
    ----------
    keep
        Which of several measurements of a size counts: the minimum for times, because other programs prolong
        them; the maximum for memory.
    """

    def __init__(self, keep: Callable[[float, float], float] = min) -> None:
        self._keep = keep
        self._points: dict[float, float] = {}

    def add(self, size: float, value: float) -> None:
        """Add a measurement."""
        self._points[size] = self._keep(value, self._points.get(size, value))

    def at(self, size: float) -> float:
        """Return the value at a size."""
        sizes, values = np.array(list(self._points.items())).T
        # errors are relative, and the largest batches are most like those of the run
        weights = sizes**0.5 / np.maximum(values, 1e-9)
        design = np.stack([np.ones_like(sizes), sizes], axis=1) * weights[:, None]
        coefficients, _ = nnls(design, values * weights)
        return float(coefficients @ (1.0, size))


@dataclass
class Steps:
    """Time and memory of a batch as functions of the size of its graphs.

    Attributes
    ----------
    train, validation, energy
        Seconds: of a step of training, of a validation, and to predict the energy alone.
    memory, gpu_memory
        Bytes at the peak of a step of training.
    """

    config: MatterTunerConfig
    module: FinetuneModuleBase
    clock: Callable[[], float]
    train: Line = field(default_factory=Line)
    validation: Line = field(default_factory=Line)
    energy: Line = field(default_factory=Line)
    memory: Line = field(default_factory=lambda: Line(max))
    gpu_memory: Line = field(default_factory=lambda: Line(max))

    def __post_init__(self) -> None:
        trainer = self.config.trainer
        devices = trainer.devices[:1] if isinstance(trainer.devices, list) else 1
        self._fabric = Fabric(
            accelerator=accelerator_here(trainer), devices=devices, precision=trainer.precision
        )
        self._on_gpu = self._fabric.device.type == "cuda"
        optimizer = create_optimizer(self.config.model.optimizer, self.module.parameters())
        self._wrapped, self._optimizer = self._fabric.setup(self.module, optimizer)

    @property
    def device(self) -> str:
        """Readable name of the device."""
        name = torch.cuda.get_device_name(self._fabric.device) if self._on_gpu else ""
        return f"the {name}" if name else "this CPU"

    def measure(self, sample: DataSample, size: float) -> None:
        """Make steps on batches of growing size, up to `size`, and then again.

        Sizes are measured repeatedly while time permits, and the largest is skipped if it would take longer
        than all the time allowed.
        """
        sizes = [graph_size(s[1]) for s in sample.samples]
        smallest = sample.samples[int(np.argmin(sizes))]
        self.step(sample.graphs.collate([smallest]))  # the first step takes longer than any other
        begun = self.clock()
        batches = [list(_up_to(size * part, sizes)) for part in _PARTS]
        measured: set[int] = set()
        for _ in range(_TIMES):
            for chosen in batches:
                total = sum(sizes[k] for k in chosen)
                limit = math.inf if len(measured) < _FEWEST else _SECONDS
                if total in measured:
                    limit = _SECONDS - (self.clock() - begun)
                if not measured or self._seconds(total) < limit:
                    self._measure_one(
                        sample.graphs.collate([sample.samples[k] for k in chosen]), total
                    )
                    measured.add(total)
            # the first time from the smallest, to predict how long larger ones take
            batches.sort(key=len, reverse=True)

    def _seconds(self, size: float) -> float:
        return sum(line.at(size) for line in (self.train, self.validation, self.energy))

    def _measure_one(self, batch: GraphBatch, size: float) -> None:
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats(self._fabric.device)
        with PeakMemory() as peak:
            self.train.add(size, self._timed(lambda: self.step(batch)))
        self.memory.add(size, peak.bytes)
        on_gpu = torch.cuda.max_memory_reserved(self._fabric.device) if self._on_gpu else 0
        self.gpu_memory.add(size, on_gpu)
        self._wrapped.eval()
        self.validation.add(size, self._timed(lambda: self._validate(batch)))
        self.energy.add(size, self._timed(lambda: self._predict_energy(batch)))
        self._wrapped.train()

    def _timed(self, action: Callable[[], Any]) -> float:
        self._wait()
        start = self.clock()
        action()
        self._wait()
        return self.clock() - start

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize(self._fabric.device)

    def step(self, batch: GraphBatch) -> None:
        """Make a step of training.

        Parameters
        ----------
        batch
            Structures with labels.
        """
        loss = self._wrapped.training_step(batch.to(self._fabric.device), 0)
        self._fabric.backward(loss["loss"] if isinstance(loss, dict) else loss)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _validate(self, batch: GraphBatch) -> None:
        with torch.no_grad():
            self._wrapped.validation_step(batch.to(self._fabric.device), 0)

    def _predict_energy(self, batch: GraphBatch) -> None:
        with torch.no_grad(), self._fabric.autocast():
            self.module.predict_properties(batch.to(self._fabric.device), [ENERGY.name])

    def save(self) -> tuple[float, int]:
        """Write a checkpoint to a temporary place; return the seconds it took and its bytes."""
        state = {
            "state_dict": self.module.state_dict(),
            "optimizer_states": [self._optimizer.state_dict()],
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trial.ckpt"
            seconds = self._timed(lambda: write_whole(path, lambda file: torch.save(state, file)))
            return seconds, path.stat().st_size


def _up_to(size: float, sizes: list[int]) -> Iterator[int]:
    """Yield the first structures, repeatedly, until they reach a total size."""
    for k in cycle(range(len(sizes))):
        yield k
        size -= sizes[k]
        if size <= 0:
            return


class PeakMemory:
    """The largest resident memory of this process within a ``with`` block.

    Attributes
    ----------
    bytes
        The largest so far.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self) -> None:
        self.bytes = max(self.bytes, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._done.wait(_POLL):
            self._look()

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()


def process_seconds() -> float:
    """Return the age of this process."""
    return time.time() - psutil.Process().create_time()
