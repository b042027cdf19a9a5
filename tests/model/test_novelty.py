"""Distances to training are zero for what is trained on, and large for what is not."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.model.loader import GraphDataset
from mattertune_nb.model.novelty import Novelty, describe, measure_novelty, too_near


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def frames():
    """Return 24 frames of ethanol, every third of a trajectory."""
    return ase.io.read(mt.demo_data("train"), ":72:3")


def graphs(frames, module):
    return GraphDataset(AtomsDataset(frames, "ethanol"), module.backbone)


def test_what_is_trained_on_is_at_zero_and_what_is_torn_apart_is_far(frames, chgnet):
    torn = frames[0].copy()
    torn.positions *= 1.3
    others = [frames[3], frames[23], torn]
    sets = {"train": graphs(frames[:20], chgnet), "validation": graphs(others, chgnet)}
    found = measure_novelty(sets, chgnet.backbone)["validation"]
    assert found.positions.tolist() == [0, 1, 2]
    assert found.distances[0] == pytest.approx(0, abs=1e-4)
    assert 0.1 < found.distances[1] < 1
    assert found.distances[2] > 2


def test_a_description_does_not_depend_on_turning_numbering_or_the_batch(frames, chgnet, tmp_path):
    alone = describe(graphs(frames[:1], chgnet), np.array([0]), chgnet.backbone)
    turned = frames[0][::-1]
    turned.rotate(50, (1, 2, 3))
    together = describe(graphs([*frames[1:4], turned], chgnet), np.arange(4), chgnet.backbone)
    assert together[3] == pytest.approx(alone[0], abs=1e-4)
    assert np.abs(together[2] - alone[0]).max() > 1e-3


def test_descriptions_are_kept_and_belong_to_their_weights(frames, chgnet, monkeypatch):
    positions = np.arange(3)
    first = describe(graphs(frames[:3], chgnet), positions, chgnet.backbone)
    backbone = type(chgnet.backbone)
    monkeypatch.setattr(backbone, "features", None)
    assert (describe(graphs(frames[:3], chgnet), positions, chgnet.backbone) == first).all()
    with pytest.raises(TypeError):
        describe(graphs(frames[1:4], chgnet), positions, chgnet.backbone)
    tuned = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    next(tuned.backbone.parameters()).data += 1e-3
    with pytest.raises(TypeError):
        describe(graphs(frames[:3], tuned), positions, tuned.backbone)


def test_a_split_of_copies_that_were_shaken_is_said_and_one_of_a_molecule_s_frames_is_not(
    frames, chgnet
):
    rng, copies = np.random.default_rng(0), []
    for i in range(40):
        atoms = frames[i % 4].copy()
        atoms.positions += rng.normal(scale=0.003, size=atoms.positions.shape)
        copies.append(atoms)
    for given, said in ((copies, True), (frames, False)):
        sets = {"train": graphs(given[:-6], chgnet), "validation": graphs(given[-6:], chgnet)}
        found = measure_novelty(sets, chgnet.backbone)["validation"]
        assert (too_near(found) is not None) == said, found.median
    near = too_near(Novelty(np.arange(2), np.array([0.01, 0.03])))
    assert "their distance to the nearest one is 0.02 of that between two training frames" in near


def test_nothing_is_said_where_training_frames_are_all_alike_or_there_are_no_features(
    frames, chgnet, monkeypatch
):
    sets = {"train": graphs([frames[0]] * 3, chgnet), "validation": graphs(frames[1:2], chgnet)}
    assert measure_novelty(sets, chgnet.backbone) == {}
    monkeypatch.setattr(chgnet.backbone, "n_features", None)
    assert measure_novelty(sets, chgnet.backbone) == {}
