"""From structures to batches of graphs; each graph is built once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from mattertune_nb.backbones.graph_store import GraphStore
from mattertune_nb.config.errors import DataError, TrainingError
from mattertune_nb.config.properties import as_property
from mattertune_nb.data.batches.samplers import FrameBatchSampler, frame_loader
from mattertune_nb.data.lru import BoundedMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ase import Atoms
    from torchdata.stateful_dataloader import StatefulDataLoader

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.graph import Graph, GraphBatch
    from mattertune_nb.data.dataset import AtomsDataset, LoaderSettings

_OVERHEAD = 600  # bytes per tensor; it matters for small structures

Sample = tuple[int, "Graph", dict[str, torch.Tensor]]


class GraphDataset(Dataset[Sample]):
    """The graphs and labels of a dataset, for one backbone.

    Parameters
    ----------
    frames
        The structures.
    backbone
        Builds the graphs.
    properties
        Labels to read, as in :func:`read_labels`, and whether a frame without one is an error or is masked;
        empty for prediction.
    memory_mb
        Memory for graphs and labels in each process that builds them; the most recently used are kept.
    disk_mb
        Maximum size of the file that keeps graphs for the next run; see :class:`GraphStore`.
    """

    def __init__(
        self,
        frames: AtomsDataset,
        backbone: Backbone,
        properties: Mapping[Any, Literal["error", "mask"]] | None = None,
        *,
        memory_mb: float = 0.0,
        disk_mb: float = 0.0,
    ) -> None:
        self.frames = frames
        self.backbone = backbone
        self.properties = {as_property(p): missing for p, missing in (properties or {}).items()}
        self._samples: BoundedMemory[int, Sample] = BoundedMemory(memory_mb)
        self._store = GraphStore(backbone.graph_kind, disk_mb, info=backbone.frame_inputs)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples.get(index)
        if sample is None:
            atoms = self.frames.structure(index, self.backbone.frame_inputs)
            sample = (index, self._graph(index, atoms), self._labels(index, len(atoms)))
            self._samples.put(index, sample, sample_bytes(sample))
        return sample

    def _graph(self, index: int, atoms: Atoms) -> Graph:
        graph = self._store.get(atoms)
        if graph is None:
            try:
                graph = self.backbone.graph(atoms)
            except DataError as exc:
                msg = f"{self.source(index)}: {exc}"
                raise DataError(msg) from None
            self._store.put(atoms, graph)
        return graph

    def _labels(self, index: int, n_atoms: int) -> dict[str, torch.Tensor]:
        if not self.properties:
            return {}
        shapes = {prop.name: prop.shape(n_atoms) for prop in self.properties}
        found = self.frames.labels(index, self.properties)
        return {
            name: torch.from_numpy(
                np.full(shapes[name], np.nan)
                if found.get(name) is None
                else np.asarray(found[name], dtype=np.float64).reshape(shapes[name])
            )
            for name in shapes
        }

    def source(self, index: int) -> str:
        """Return the file and frame of a structure, for messages."""
        return self.frames.source(index)

    def batch(self, indices: Iterable[int]) -> GraphBatch:
        """Return the batch of some structures, on the CPU, without a loader."""
        return self.collate([self[int(i)] for i in indices])

    def collate(self, samples: Sequence[Sample]) -> GraphBatch:
        """Join samples into one batch with labels ``energy`` (B,), ``forces`` (N, 3), …; NaN: none."""
        indices, graphs, labels = zip(*samples, strict=True)
        batch = self.backbone.collate(graphs)
        batch.labels = {
            prop.name: torch.cat([label[prop.name] for label in labels]) for prop in self.properties
        }
        batch.index = torch.tensor(indices)
        return batch


def sample_bytes(sample: Sample) -> int:
    """Return the approximate size of a graph and its labels in bytes."""
    _, graph, labels = sample
    tensors = (*graph.tensors().values(), *labels.values())
    return sum(tensor.nbytes + _OVERHEAD for tensor in tensors)


def batches_of(
    frames: AtomsDataset, settings: LoaderSettings, *, num_replicas: int = 1, rank: int = 0
) -> FrameBatchSampler:
    """Return the batches of a data set; shuffled ones are as many for each process.

    Parameters
    ----------
    frames
        The data set.
    settings, num_replicas, rank
        As for :func:`graph_loader`.
    """
    return FrameBatchSampler(
        len(frames),
        batch_size=settings.batch_size,
        max_atoms=settings.max_atoms,
        n_atoms=None if settings.max_atoms is None else frames.n_atoms(),
        shuffle=settings.shuffle,
        seed=settings.seed,
        num_replicas=num_replicas,
        rank=rank,
        pad=settings.shuffle,
    )


def graph_loader(
    dataset: GraphDataset, settings: LoaderSettings, *, num_replicas: int = 1, rank: int = 0
) -> StatefulDataLoader[Any]:
    """Return a loader that can be resumed in mid-epoch and never pads an evaluation.

    Parameters
    ----------
    dataset
        The graphs.
    settings
        How the graphs are batched.
    num_replicas, rank
        Number of processes that share the data, and the index of this one.
    """
    sampler = batches_of(dataset.frames, settings, num_replicas=num_replicas, rank=rank)
    return frame_loader(
        dataset,
        sampler,
        dataset.collate,
        num_workers=settings.num_workers,
        pin_memory=settings.pin_memory,
    )


def as_list(given: Any) -> list[Any]:
    """Return a list of items given singly, in a sequence, by name or not at all, as Lightning allows."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.values())
    return list(given) if isinstance(given, (list, tuple)) else [given]


def graph_dataset(loader: Any) -> GraphDataset:
    """Return the dataset of a loader made by :func:`graph_loader`.

    Raises
    ------
    TrainingError
        The loader was made in another way.
    """
    dataset = getattr(getattr(loader, "dataset", None), "dataset", None)
    if not isinstance(dataset, GraphDataset):
        msg = (
            "The training loader was not made by model.create_dataloader(dataset, has_labels=True), "
            "so reference energies cannot be fitted. Make it so, or set model.normalizers to {}."
        )
        raise TrainingError(msg)
    return dataset


def check_processes(loader: Any, world_size: int) -> None:
    """Refuse a loader that gives all of the data to each of several processes.

    Raises
    ------
    TrainingError
        The loader was made before its model was attached to the Trainer.
    """
    sampler = getattr(loader, "sampler", None)
    if isinstance(sampler, FrameBatchSampler) and sampler.num_replicas != world_size:
        msg = (
            f"The loader divides its data among {sampler.num_replicas} processes, and the "
            f"Trainer has {world_size}. Give the data as a MatterTuneDataModule, which asks for its "
            "loaders once the processes are known."
        )
        raise TrainingError(msg)
