"""A trial of a few real steps on a config's data, extrapolated from its batches to those of the run.

Run as a program with ``python -m``, this module reads a config as JSON and answers with a line of JSON: a
:class:`~mattertune_nb.training.estimate.estimate.Trial`, or an error.
"""

from __future__ import annotations

import time
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

import torch

# imported by a run's process as well, so that it counts in time and memory
import mattertune_nb.training.tuner  # noqa: F401
from mattertune_nb.backbones.trust import trusting_remembered
from mattertune_nb.model.loader import batches_of
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.recipes.penalties import penalties
from mattertune_nb.training.estimate.estimate import Trial
from mattertune_nb.training.estimate.process import answer
from mattertune_nb.training.estimate.sample import DataSample
from mattertune_nb.training.estimate.steps import Steps, process_seconds
from mattertune_nb.training.hardware import accelerator_here
from mattertune_nb.training.module_class import import_module_class
from mattertune_nb.training.preflight import check_machine, check_settings, look_at_data
from mattertune_nb.training.trainer import check_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.training.config import MatterTunerConfig

_EPOCHS, _STRUCTURES = 64, 100_000
"""Limits of the search for the largest batch."""


def make_trial(
    config: MatterTunerConfig,
    *,
    imports: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Trial:
    """Make a trial in this process.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.
    imports
        Seconds that a process takes before it reads its config.
    clock
        Counts seconds.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow the run.
    """
    check_machine(config, in_notebook=False)
    check_settings(config)
    start = clock()
    datasets = config.data.create_datasets(approximate=True)
    look_at_data(config, datasets)
    check_batches(config, len(datasets["train"]))
    module = import_module_class(config.run.module_class)(config.model)
    opening = clock() - start

    sample = DataSample.take(datasets["train"], module, clock)
    train, validation = datasets["train"], datasets["validation"]
    world = n_processes(config)
    size_per_atom = sample.size / sample.atoms
    train_batches = _Batches(train, world, size_per_atom)
    val_batches = _Batches(validation, world, size_per_atom)

    module.penalties |= penalties(config.trainer, module, target_frames(train))
    steps = Steps(config, module, clock)
    steps.measure(sample, train_batches.mean)
    save, checkpoint = steps.save()

    n_here = world / config.trainer.num_nodes
    # processes on one CPU share its cores, but otherwise do not slow each other down
    crowd = n_here if steps.device == "this CPU" else 1.0
    n_frames = len(train) + len(validation)
    n_atoms = int(train.n_atoms().sum() + validation.n_atoms().sum())
    graphs, again = _kept_graphs(config, sample, n_atoms)
    frames = sample.frame_bytes / len(sample.samples) * n_frames
    largest = [max(size, val_batches.largest[0]) for size in train_batches.largest]
    peaks = [steps.memory.at(size) + max(graphs - sample.bytes, 0.0) + frames for size in largest]
    first_graphs = crowd * n_frames / world * sample.load
    references = 0.0
    if module.normalization.fits_energy and not bool(module.normalization.fitted):
        references = crowd * train_batches.count * steps.energy.at(train_batches.mean)
    return Trial(
        device=steps.device,
        train_batches=train_batches.count,
        val_batches=val_batches.count,
        train_batch=crowd * (steps.train.at(train_batches.mean) + again * train_batches.structures),
        val_batch=crowd * (steps.validation.at(val_batches.mean) + again * val_batches.structures),
        start=imports + opening + n_frames * sample.read + first_graphs + references,
        save=save,
        checkpoint=checkpoint,
        memory=tuple(int(n_here * peak) for peak in peaks),
        gpu_memory=tuple(int(steps.gpu_memory.at(size)) for size in largest),
    )


def _kept_graphs(
    config: MatterTunerConfig, sample: DataSample, n_atoms: int
) -> tuple[float, float]:
    """Return the bytes of graphs that memory keeps, and the seconds a structure to read the others again."""
    of_all = sample.bytes / sample.atoms * n_atoms
    kept = min(of_all, 1e6 * config.data.graph_memory_mb)
    # in each epoch, from disk
    return kept, sample.load_again * (1 - kept / of_all) / max(config.data.num_workers, 1)


class _Batches:
    """The batches of a data set on one process, drawn by the loader's own sampler.

    Attributes
    ----------
    count
        Number of batches per epoch.
    structures, mean
        Number of structures and size of an average batch.
    largest
        Sizes of the largest batch in 1, 2, 4, … epochs.
    """

    def __init__(self, dataset: AtomsDataset, world: int, size_per_atom: float) -> None:
        self._sampler = batches_of(dataset, dataset.loader, num_replicas=world, rank=0)
        self._sizes: NDArray[Any] = dataset.n_atoms() * size_per_atom
        self.count = len(self._sampler)
        self.structures = len(dataset) / (world * self.count)
        self.mean = float(self._sizes.sum()) / (world * self.count)
        self.largest = self._largest(_EPOCHS if dataset.loader.shuffle else 1)

    def _largest(self, most_epochs: int) -> list[float]:
        """Return the largest batch of 1, 2, 4, … epochs, as far as they are quickly drawn."""
        found = []
        for epoch in range(min(most_epochs, 1 + _STRUCTURES // len(self._sizes))):
            self._sampler.set_epoch(epoch)
            found.append(max(float(self._sizes[batch].sum()) for batch in self._sampler))
        powers = takewhile(lambda n: n <= len(found), (2**k for k in count()))
        return [max(found[:n]) for n in powers]


def n_processes(config: MatterTunerConfig) -> int:
    """Return the number of processes that train together, on all machines."""
    devices = config.trainer.devices
    if isinstance(devices, list):
        count = len(devices)
    elif isinstance(devices, int) and devices > 0:
        count = devices
    else:
        count = torch.cuda.device_count() if accelerator_here(config.trainer) != "cpu" else 1
    return max(count, 1) * config.trainer.num_nodes


def main() -> None:
    """Make the trial of the config on standard input."""
    imports = process_seconds()
    with trusting_remembered():  # a form asks without trust, unless told otherwise
        answer("trial", lambda config: make_trial(config, imports=imports))


if __name__ == "__main__":
    main()
