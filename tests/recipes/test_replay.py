"""What keeps a model near what it was adds to its loss what numpy and ASE say, and keeps it there."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.io import read, write
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.physics import foreign
from mattertune_nb.physics.foreign import ForeignSet, made_here
from mattertune_nb.physics.prototypes import foreign_structures
from mattertune_nb.recipes.l2_sp import DistancePenalty, start_of_backbone
from mattertune_nb.recipes.replay import ReplayPenalty, replay_set


@pytest.fixture
def oxide(tmp_path, copper_xyz):
    """Return a file with structures that are not copper, without labels."""
    frames = [atoms.copy() for atoms in read(copper_xyz, ":6")]
    for atoms in frames:
        atoms.symbols[0] = "O"
        atoms.rattle(0.1, seed=len(atoms))
    write(tmp_path / "oxide.xyz", frames)
    return tmp_path / "oxide.xyz"


def morse() -> mt.FinetuneModuleBase:
    properties = [
        mt.EnergyPropertyConfig(loss=mt.MAELossConfig(), loss_coefficient=1.0),
        mt.ForcesPropertyConfig(loss=mt.L2MAELossConfig(), loss_coefficient=10.0),
    ]
    model = mt.FinetuneModuleBase(MorseBackboneConfig(properties=properties))
    model.normalization.references[29] = -5.0
    return model


def changed(model: mt.FinetuneModuleBase) -> mt.FinetuneModuleBase:
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter *= 1.1
    model.normalization.references[29] = -7.0
    return model.train()


def test_what_it_adds_to_the_loss_is_the_change_that_ase_and_numpy_find(oxide):
    model = morse()
    foreign = replay_set(model.eval(), [], oxide)
    penalty = ReplayPenalty(foreign, model.backbone, share=1.0, weight=3.0, seed=0)
    for loss, _ in penalty.losses(model.train(), 3).values():
        assert float(loss) == pytest.approx(0, abs=1e-6)
    tuned = changed(model)
    found = penalty.losses(tuned, 3)
    frames = [read(oxide, ":")[i] for i in penalty.draw(3)]
    energies, forces = [], []
    for one in (model, tuned):
        calculator = copy.deepcopy(one).eval().ase_calculator()
        references = one.normalization.references.numpy()
        energies.append(
            [calculator.get_potential_energy(a) - references[a.numbers].sum() for a in frames]
        )
        forces.append(np.concatenate([calculator.get_property("forces", a) for a in frames]))
    n = np.array([len(atoms) for atoms in frames])
    of_energy, of_forces = np.diff(energies, axis=0)[0] / n, np.diff(forces, axis=0)[0]

    expected = {
        "replay_energy": (np.abs(of_energy).mean(), 3.0),
        "replay_forces": (np.linalg.norm(of_forces, axis=1).mean(), 30.0),
    }
    for name, (loss, weight) in expected.items():
        assert float(found[name][0]) == pytest.approx(loss, rel=1e-3)
        assert found[name][1] == weight
    assert float(penalty.errors["forces"]) == pytest.approx(np.abs(of_forces).mean(), rel=1e-3)
    assert float(penalty.errors["energy_per_atom"]) == pytest.approx(
        np.abs(of_energy).mean(), rel=1e-3
    )


def test_the_total_is_the_sum_with_weights(oxide, copper_xyz):
    model = morse()
    batch = next(
        iter(model.create_dataloader(read(copper_xyz, ":4"), has_labels=True, batch_size=4))
    )
    tuned = changed(model)
    without = float(tuned.training_step(batch, 0))
    foreign = replay_set(model.eval(), [], oxide)
    tuned.penalties["replay"] = ReplayPenalty(foreign, model.backbone, 0.5, 2.0, 0)
    tuned.penalties["l2_sp"] = DistancePenalty("l2_sp", start_of_backbone(model), 0.25)
    parts = [part for p in tuned.penalties.values() for part in p.losses(tuned, 4).values()]
    assert len(parts) == 3
    added = sum(float(loss) * weight for loss, weight in parts)
    assert float(tuned.training_step(batch, 0)) == pytest.approx(without + added, rel=1e-5)
    assert float(tuned.eval().training_step(batch, 0)) == pytest.approx(without, rel=1e-5)


def test_the_draw_follows_from_seed_and_place_alone(oxide):
    model = morse().eval()
    foreign = replay_set(model, [], oxide)
    penalty = ReplayPenalty(foreign, model.backbone, share=0.5, weight=1.0, seed=7)
    draws = {}
    for moment in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)] * 2:
        penalty.moment = moment
        drawn = penalty.draw(6)
        assert len(set(drawn)) == 3
        assert draws.setdefault(moment, drawn) == drawn
    assert len({tuple(d) for d in draws.values()}) > 2
    assert [len(penalty.draw(n)) for n in (1, 2, 4, 100)] == [1, 1, 2, len(foreign)]


def test_a_files_energies_lose_their_zero_and_nothing_else(oxide):
    model = morse().eval()
    labelled = replay_set(model, [], oxide)
    frames = read(oxide, ":")
    own = [
        model.ase_calculator().get_potential_energy(a) + 5.0 * list(a.symbols).count("Cu")
        for a in frames
    ]
    np.testing.assert_allclose(labelled.energies, own, atol=1e-4)


def test_replay_sees_no_composition_that_forgetting_is_measured_on(chgnet):
    target = [molecule("CH3CH2OH")]
    trained = foreign_structures(chgnet.backbone.elements, target, for_replay=True)
    measured = foreign_structures(chgnet.backbone.elements, target)
    formulas = [
        {str(a.symbols.formula.reduce()[0].format("metal")) for a in f} for f in (trained, measured)
    ]
    assert not formulas[0] & formulas[1]
    assert len(trained) > 100
    for atoms in trained:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        assert distances[np.triu_indices(len(atoms), 1)].min() > 0.6
        assert not set(atoms.symbols) <= {"C", "H", "O"}
    assert isinstance(made_here(chgnet, target), ForeignSet)


def test_a_run_that_replays_forgets_less_and_records_it(morse_config, oxide, tmp_path):
    runs = {}
    measured = mt.ForeignSetConfig(file=tmp_path / "measured.xyz", share=1.0)
    frames = read(oxide, ":")
    for atoms in frames:
        atoms.rattle(0.05, seed=1)
    write(tmp_path / "measured.xyz", frames)
    for name, replay in (
        ("plain", None),
        ("replay", mt.ReplayConfig(file=oxide, share=2.0, weight=10.0)),
    ):
        config = morse_config(name, foreign_set=measured, replay=replay, max_epochs=3)
        runs[name] = mt.MatterTuner(config).tune().run
    changed_by = {name: run.verdict().elsewhere.forces for name, run in runs.items()}
    assert changed_by["replay"] < 0.7 * changed_by["plain"]
    recorded = {name for record in runs["replay"].metrics() for name in record}
    assert recorded >= {
        "train/replay_energy_loss",
        "train/replay_forces_loss",
        "train/replay_forces_mae",
        "train/replay_energy_per_atom_mae",
    }
    assert runs["replay"].model().penalties == {}


def test_where_nothing_can_be_made_a_file_is_asked_for(morse_config, monkeypatch):
    monkeypatch.setattr(foreign, "foreign_structures", lambda *args, **kwargs: [])
    with pytest.raises(
        mt.DataError, match=r"replay: no structures can be generated .*trainer\.replay\.file"
    ):
        mt.MatterTuner(morse_config(replay=mt.ReplayConfig())).tune()


def test_what_is_trained_on_measures_no_forgetting():
    with pytest.raises(
        mt.ConfigError, match="Replay trains on the same file on which forgetting is measured"
    ):
        mt.TrainerConfig(replay={"file": "a.xyz"}, foreign_set={"file": "a.xyz"})


def test_weights_are_held_by_half_their_squared_distance():
    model = morse()
    tuned = changed(model)
    ((loss, weight),) = (
        DistancePenalty("l2_sp", start_of_backbone(model), 0.5).losses(tuned, 1).values()
    )
    pairs = zip(model.backbone.parameters(), tuned.backbone.parameters(), strict=True)
    distance = sum(float(((a - b) ** 2).sum()) for a, b in pairs if a.requires_grad)
    assert float(loss) == pytest.approx(distance / 2)
    assert weight == 0.5


def test_a_heavy_penalty_holds_them_and_a_light_one_does_not(morse_config):
    untuned = mt.FinetuneModuleBase(morse_config().model)
    moved = {}
    for weight in (1e-9, 1e4):
        config = morse_config(f"run-{weight}", l2_sp=mt.L2SPConfig(weight=weight))
        model, _ = mt.MatterTuner(config).tune()
        pairs = zip(untuned.backbone.parameters(), model.backbone.parameters(), strict=True)
        moved[weight] = sum(float((a - b).abs().sum()) for a, b in pairs)
    assert moved[1e4] < 0.3 * moved[1e-9]
