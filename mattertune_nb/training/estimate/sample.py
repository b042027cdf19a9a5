"""Structures of a data set for a trial: the cost of loading them, and the sizes of their graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.backbones.graph_store import GraphStore
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.sources.frames import frame_bytes
from mattertune_nb.model.loader import GraphDataset, sample_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.backbones.graph import Graph
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.loader import Sample
    from mattertune_nb.model.module import FinetuneModuleBase

_N_STRUCTURES = 48
_SECONDS = 1.5


@dataclass(frozen=True)
class DataSample:
    """Structures spread evenly over all sizes of a data set, the most typical first.

    Typical structures have about as many angles and the like per edge as the whole set: for them time and
    memory grow with the size, whatever an edge and an angle cost.

    Attributes
    ----------
    graphs
        Their data set, which joins them into batches.
    samples
        Their graphs and labels.
    atoms
        Number of atoms in all of them.
    size
        Number of edges and the like in all of them, see :func:`graph_size`.
    bytes, frame_bytes
        Memory of all their graphs and labels, and of what was read.
    read, load, load_again
        Seconds for one structure: to read and check it, to get its graph for the first time, and once
        it was kept on disk.
    """

    graphs: GraphDataset
    samples: list[Sample]
    atoms: int
    size: int
    bytes: int
    frame_bytes: int
    read: float
    load: float
    load_again: float

    @classmethod
    def take(
        cls, dataset: AtomsDataset, module: FinetuneModuleBase, clock: Callable[[], float]
    ) -> DataSample:
        """Read structures and build their graphs: some dozens, or as many as a short time allows."""
        by_size = np.argsort(dataset.n_atoms(), kind="stable")
        spread = by_size[evenly_spread(len(by_size), _N_STRUCTURES)]
        chosen = np.random.default_rng(0).permutation(spread)
        part = dataset.take(chosen)
        # graphs built in the trial are not cached: a second trial would find them and be too optimistic
        graphs = GraphDataset(part, module.backbone, module.hparams.labels)
        backbone = module.backbone
        store = GraphStore(
            backbone.graph_kind, dataset.loader.graph_disk_mb, info=backbone.frame_inputs
        )
        samples: list[Sample] = []
        read = build = find = 0.0
        n_found = 0
        begun = clock()
        while len(samples) < len(part) and (not samples or clock() - begun < _SECONDS):
            i = len(samples)
            start = clock()
            atoms = part.structure(i, backbone.frame_inputs)
            part.labels(i, module.hparams.labels)
            was_read = clock()
            n_found += store.get(atoms) is not None
            looked = clock()
            samples.append(graphs[i])
            read, find = read + was_read - start, find + looked - was_read
            build += clock() - looked
        n = len(samples)
        usual = _extra_per_edge(samples)
        in_order = sorted(samples, key=lambda sample: abs(_extra_per_edge([sample]) - usual))
        build = max(build - read, 0.0)  # the frame was in memory, only its labels were read again
        return cls(
            graphs=graphs,
            samples=in_order,
            atoms=sum(len(sample[1].numbers) for sample in samples),
            size=sum(graph_size(sample[1]) for sample in samples),
            bytes=sum(map(sample_bytes, samples)),
            frame_bytes=sum(frame_bytes(part.frame(i)) for i in range(n)),
            read=read / n,
            load=(find + build * (n - n_found) / n) / n,
            load_again=(find if dataset.loader.graph_disk_mb else build) / n,
        )


def _extra_per_edge(samples: list[Sample]) -> float:
    n_edges = sum(int(sample[1].edge_index.shape[1]) for sample in samples)
    return sum(graph_size(sample[1]) for sample in samples) / max(n_edges, 1)


def graph_size(graph: Graph) -> int:
    """Return the number of edges of a graph and of anything its adapter adds, such as angles."""
    extra = sum(len(tensor) for tensor in graph.extra.values())
    return int(graph.edge_index.shape[1]) + extra
