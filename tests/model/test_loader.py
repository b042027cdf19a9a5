"""Loaders of graphs: each graph is made once, labels ride along, settings come from the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.data.dataset import LoaderSettings, as_dataset


@pytest.fixture
def module():
    return mt.FinetuneModuleBase(MorseBackboneConfig(normalizers={}))


@pytest.fixture
def built(module, monkeypatch):
    """Return the list of structures that graphs were made of, as it grows."""
    made = []
    graph = module.backbone.graph
    monkeypatch.setattr(module.backbone, "graph", lambda atoms: made.append(atoms) or graph(atoms))
    return made


def frames_of(loader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


def test_each_graph_is_made_once_for_all_epochs(module, copper, built):
    loader = module.create_dataloader(copper, has_labels=True, shuffle=True)
    for _ in range(3):
        list(loader)
    assert len(built) == len(copper)


def test_a_training_makes_each_graph_once_baseline_and_references_included(
    copper, fit, monkeypatch
):
    module = mt.FinetuneModuleBase(MorseBackboneConfig())
    made = []
    graph = module.backbone.graph
    monkeypatch.setattr(module.backbone, "graph", lambda atoms: made.append(atoms) or graph(atoms))
    fit(module, copper[:5], copper[5:], max_epochs=3)
    assert len(made) == len(copper)


def test_without_a_cache_no_graph_stays_in_memory(module, copper, built):
    loader = module.create_dataloader(copper, has_labels=False, cache=False)
    for _ in range(2):
        list(loader)
    assert len(built) == 2 * len(copper)


def test_settings_come_from_the_dataset_unless_given(module, copper):
    settings = LoaderSettings(batch_size=3, shuffle=True, seed=1)
    dataset = as_dataset(copper).with_loader(settings)
    shuffled = frames_of(module.create_dataloader(dataset, has_labels=True))
    assert [len(frames) for frames in shuffled] == [3, 3, 2]
    assert sum(shuffled, []) != list(range(8))  # noqa: RUF017  eight of them
    assert frames_of(module.create_dataloader(dataset, True, shuffle=False, batch_size=8)) == [
        list(range(8))
    ]
    sizes = np.array([len(atoms) for atoms in copper])
    for frames in frames_of(module.create_dataloader(dataset, True, max_atoms=10)):
        assert sizes[frames].sum() <= 10


def test_labels_are_in_float64_and_nan_where_there_is_none(copper):
    module = mt.FinetuneModuleBase(
        MorseBackboneConfig(
            properties=[mt.EnergyPropertyConfig(), mt.StressesPropertyConfig(missing="mask")]
        )
    )
    (batch,) = module.create_dataloader(copper, has_labels=True)
    labels = module.batch_to_labels(batch)
    assert set(labels) == {"energy", "stresses", "num_atoms", "index"}
    assert labels["energy"].dtype == torch.float64
    assert labels["energy"].tolist() == [a.get_potential_energy() for a in copper]
    assert labels["stresses"][:-1].numpy() == pytest.approx(
        np.array([a.get_stress() for a in copper[:-1]])
    )
    assert labels["stresses"][-1].isnan().all()  # the slab
    (batch,) = module.create_dataloader(copper, has_labels=False)
    assert batch.labels == {}


def test_workers_deliver_the_same_batches(module, copper):
    alone = list(module.create_dataloader(copper, has_labels=True, batch_size=3))
    loader = module.create_dataloader(copper, has_labels=True, batch_size=3, num_workers=1)
    for ours, theirs in zip(loader, alone, strict=True):
        assert torch.equal(ours.edge_index, theirs.edge_index)
        assert torch.equal(ours.labels["forces"], theirs.labels["forces"])
        assert torch.equal(ours.index, theirs.index)


def test_predictions_stand_in_the_order_of_the_data(chgnet):
    """Batches of so many atoms are filled and joined by size; without shuffling they keep their order."""
    rng = np.random.default_rng(0)
    structures = [bulk("Cu") * (int(n), 1, 1) for n in rng.integers(1, 9, size=40)]
    loader = chgnet.create_dataloader(structures, False, max_atoms=12, shuffle=False)
    assert [int(i) for batch in loader for i in batch.index] == list(range(40))
