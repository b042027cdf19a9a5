"""Graphs are kept for the next run, up to bounds."""

from __future__ import annotations

import functools

import pytest
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.backbones.backbone import Backbone
from mattertune_nb.model.loader import graph_dataset


@functools.cache
def model() -> mt.FinetuneModuleBase:
    return mt.FinetuneModuleBase(MorseBackboneConfig())


@pytest.fixture
def built(monkeypatch):
    """Count the graphs that are built in this process."""
    model()  # tries its gradients on a graph of its own
    count = []
    original = Backbone.graph
    monkeypatch.setattr(
        Backbone, "graph", lambda self, atoms: count.append(1) or original(self, atoms)
    )
    return count


def loader(frames, **settings):
    held_out = frames[0].copy()
    held_out.calc = frames[0].calc
    held_out.positions += 0.1
    data = mt.ManualSplitDataModuleConfig(
        train=mt.AtomsListDatasetConfig(atoms_list=frames),
        validation=mt.AtomsListDatasetConfig(atoms_list=[held_out]),
        batch_size=3,
        **settings,
    )
    return model().create_dataloader(data.create_datasets()["train"], has_labels=True)


def test_the_second_run_builds_none(copper, built):
    first = list(loader(copper))
    assert len(built) == len(copper)
    second = list(loader(copper))
    assert len(built) == len(copper)
    for one, other in zip(first, second, strict=True):
        assert one.edge_index.equal(other.edge_index)
        assert one.labels["forces"].equal(other.labels["forces"])


def test_memory_is_bounded(copper, built):
    batches = loader(copper, graph_memory_mb=0, graph_disk_mb=0)
    for _ in range(2):
        list(batches)
    assert len(built) == 2 * len(copper)


def test_workers_leave_their_graphs_to_the_next_run(copper, built):
    list(loader(copper, num_workers=2))
    assert not built  # in the workers
    list(loader(copper))
    assert not built


def test_all_sets_together_keep_to_the_bound(copper):
    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.AtomsListDatasetConfig(atoms_list=copper * 4), graph_memory_mb=0.2
    ).create_datasets()
    module = mt.FinetuneModuleBase(MorseBackboneConfig())
    loaders = [module.create_dataloader(data[stage], has_labels=True) for stage in data]
    for batches in loaders:
        list(batches)
    kept = [graph_dataset(batches)._samples.bytes for batches in loaders]
    assert 0.1e6 < sum(kept) <= 0.2e6
