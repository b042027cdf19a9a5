"""Numbers of a structure or an atom that a user names, learnt by heads on a backbone's features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_backbone import HeadedMorseBackboneConfig, MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config import properties
from mattertune_nb.training.outcome.evaluation import evaluate

VOLUME = mt.GraphPropertyConfig(name="volume", key="V_per_atom", unit="Å³/atom")


@pytest.fixture(scope="module")
def crystals(copper):
    """Return crystals whose volume per atom, and the number of each atom's neighbours, are labels."""
    frames = [atoms.copy() for atoms in copper[:-1]]
    for atoms in frames:
        atoms.info["V_per_atom"] = atoms.get_volume() / len(atoms)
        distances = atoms.get_all_distances(mic=True)
        atoms.arrays["nearest"] = np.where(distances > 0, distances, np.inf).min(axis=1)
    return frames


def dataset(frames):
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()


def config(*learnt, lr=1e-2):
    return mt.CHGNetBackboneConfig(
        properties=list(learnt), optimizer=mt.AdamWConfig(lr=lr), lr_scheduler=None
    )


def fitted(model, frames, trainer):
    """Train without the graphs of other tests and return the model."""
    loader = model.create_dataloader(dataset(frames), has_labels=True, batch_size=7)
    trainer.fit(model, loader, loader)
    return model.eval()


@pytest.fixture(scope="module")
def tuned(crystals, tmp_path_factory):
    """Return a model that has learnt the volume alone."""
    from lightning.pytorch import Trainer

    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path_factory.mktemp("volume"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=40,
        limit_val_batches=0,
    )
    model = fitted(mt.FinetuneModuleBase(config(VOLUME)), crystals, trainer)
    return model, trainer


def test_a_number_of_the_structure_is_learnt_without_the_energy(tuned, crystals):
    model, _ = tuned
    labels = np.array([atoms.info["V_per_atom"] for atoms in crystals])
    found = [result["volume"] for result in model.property_predictor().predict(crystals)]
    np.testing.assert_allclose(found, labels, rtol=0.02)
    assert np.ptp(labels) / labels.mean() > 0.1


def test_its_errors_are_those_of_numpy_in_the_unit_of_the_labels(tuned, crystals):
    model, _ = tuned
    labels = np.array([atoms.info["V_per_atom"] for atoms in crystals])
    found = [result["volume"] for result in model.property_predictor().predict(crystals)]
    errors = evaluate(model, dataset(crystals))
    assert errors["volume_mae"] == pytest.approx(np.abs(found - labels).mean(), rel=1e-6)
    assert set(errors) == {"volume_mae", "volume_rmse"}


def test_a_calculator_has_it_beside_energy_and_forces(tuned, crystals):
    model, _ = tuned
    atoms = crystals[2].copy()
    atoms.calc = model.ase_calculator()
    assert np.isfinite(atoms.get_forces()).all()
    assert "volume" in atoms.calc.implemented_properties
    (predicted,) = model.property_predictor().predict([atoms], ["volume"])
    assert atoms.calc.get_property("volume", atoms) == pytest.approx(predicted["volume"], rel=1e-6)


def test_it_comes_back_from_a_checkpoint_to_the_bit(tuned, crystals, tmp_path):
    model, trainer = tuned
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.ckpt")
    for one, other in zip(
        *(m.property_predictor().predict(crystals, ["volume"]) for m in (model, loaded)),
        strict=True,
    ):
        assert one == other


def test_before_training_it_is_the_mean_of_the_training_labels(crystals, plain_trainer):
    model = fitted(mt.FinetuneModuleBase(config(VOLUME, lr=1e-12)), crystals, plain_trainer())
    labels = np.array([atoms.info["V_per_atom"] for atoms in crystals])
    spread = np.abs(labels - labels.mean()).mean()
    assert model.baseline["baseline/volume_mae"] == pytest.approx(spread, rel=1e-6)


def test_a_sum_over_atoms_doubles_with_the_cell_and_a_mean_stays(crystals):
    for reduction, factor in {"sum": 2, "mean": 1}.items():
        learnt = mt.GraphPropertyConfig(name="gap", reduction=reduction)
        model = mt.FinetuneModuleBase(config(learnt)).eval()
        with torch.no_grad():
            for parameter in model.heads.parameters():
                parameter.normal_(generator=torch.Generator().manual_seed(0))
        one, two = model.property_predictor().predict([crystals[0], crystals[0] * (2, 1, 1)])
        assert two["gap"] == pytest.approx(factor * one["gap"], rel=1e-4)


def test_a_number_of_each_atom_is_learnt_beside_the_energy(crystals, copper, plain_trainer):
    frames = [atoms.copy() for atoms in crystals]
    for atoms, labelled in zip(frames, copper, strict=False):
        atoms.info["energy"] = labelled.get_potential_energy()
    nearest = mt.AtomPropertyConfig(name="nearest", unit="Å")
    model = mt.FinetuneModuleBase(config(mt.EnergyPropertyConfig(), nearest, lr=5e-3))
    fitted(model, frames, plain_trainer(max_epochs=40, check_val_every_n_epoch=40))
    after = evaluate(model, dataset(frames))
    assert after["nearest_mae"] < 0.8 * model.baseline["baseline/nearest_mae"]
    assert "energy_per_atom_mae" in after
    assert model.property_predictor().predict(frames[1:2])[0]["nearest"].shape == (8,)


def test_magnetic_moments_are_those_of_chgnets_own_head(crystals):
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    model = mt.FinetuneModuleBase(config(mt.AtomPropertyConfig(name="magmoms", unit="μB")))
    atoms = crystals[1].copy()
    atoms.numbers[::2] = 26
    (ours,) = model.eval().property_predictor().predict([atoms], ["magmoms"])
    atoms.calc = CHGNetCalculator(CHGNet.load(verbose=False, use_device="cpu"), use_device="cpu")
    np.testing.assert_allclose(ours["magmoms"], atoms.get_magnetic_moments(), atol=1e-4)
    assert len(model.heads) == 0
    assert model.backbone.model.site_wise.weight.requires_grad


def test_what_nobody_asked_for_is_neither_computed_nor_trained():
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    assert len(model.heads) == 0
    assert not model.backbone.model.site_wise.weight.requires_grad
    assert not any(name.startswith("heads") for name in model.state_dict())


def test_of_what_is_read_from_features_the_readout_of_the_energy_is_held():
    model = mt.FinetuneModuleBase(config(VOLUME))
    held = {name for name, p in model.backbone.named_parameters() if not p.requires_grad}
    assert any(name.startswith("model.mlp.") for name in held)
    assert not any(name.startswith("model.atom_conv_layers.") for name in held)


@pytest.mark.parametrize(
    ("learnt", "words"),
    [
        ({"name": "energy_per_atom"}, "already has another meaning"),
        ({"name": "band gap"}, "Name"),
        ({"name": "gap", "reduction": "max"}, "Reduction"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(learnt, words):
    with pytest.raises(mt.ConfigError, match=words):
        mt.GraphPropertyConfig(**learnt)


def test_a_backbone_without_features_says_so():
    with pytest.raises(mt.ConfigError, match="Morse gives no features of atoms to learn 'volume'"):
        mt.FinetuneModuleBase(MorseBackboneConfig(properties=[VOLUME]))


def test_a_missing_label_is_named_with_its_key(crystals):
    learnt = mt.GraphPropertyConfig(name="gap", key="band_gap")
    model = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=[learnt]))
    loader = model.create_dataloader(dataset(crystals), has_labels=True)
    with pytest.raises(mt.DataError, match=r"no gap under 'band_gap'.*GraphPropertyConfig"):
        next(iter(loader))


def test_a_config_round_trips_with_its_own_properties(tmp_path):
    learnt = [VOLUME, mt.ForcesPropertyConfig(), mt.AtomPropertyConfig(name="charges", unit="e")]
    model = mt.CHGNetBackboneConfig(properties=learnt)
    model.to_yaml(tmp_path / "model.yaml")
    assert mt.CHGNetBackboneConfig.from_yaml(tmp_path / "model.yaml") == model
    names: dict[str, object] = {}
    exec(model.to_python(), names)
    assert names["config"] == model


@pytest.fixture
def outside_package(tmp_path, monkeypatch):
    """Install a package that brings a property: a class of settings and an entry point."""
    (tmp_path / "densities.py").write_text(
        "from typing import Literal\n"
        "from mattertune_nb.config.base import setting\n"
        "from mattertune_nb.config.own_properties import GraphPropertyConfig\n"
        "class DensityPropertyConfig(GraphPropertyConfig):\n"
        "    '''Mass density of a crystal, in g/cm³.'''\n"
        "    type: Literal['density'] = setting('density', 'Kind of property.')\n"
        "    name: str = setting('density', 'Its name.')\n"
        "    unit: str = setting('g/cm³', 'Its unit.')\n"
    )
    info = tmp_path / "densities-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: densities\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{properties.GROUP}]\ndensity = densities:DensityPropertyConfig\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    caches = properties.outside_kinds, properties.outside_config_class
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("outside_package")
def test_another_package_brings_a_property_by_its_entry_point(crystals, plain_trainer, tmp_path):
    frames = [atoms.copy() for atoms in crystals]
    for atoms in frames:
        atoms.info["density"] = 1.66054 * atoms.get_masses().sum() / atoms.get_volume()
    (tmp_path / "model.yaml").write_text("name: chgnet\nproperties:\n- type: density\n")
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig.from_yaml(tmp_path / "model.yaml"))
    assert model.hparams.learnt[0].unit == "g/cm³"
    trainer = plain_trainer(max_epochs=5)
    fitted(model, frames, trainer)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.ckpt")
    (found,) = loaded.property_predictor().predict(frames[:1])
    assert found["density"] == pytest.approx(frames[0].info["density"], rel=0.2)


def test_a_kind_that_no_package_brings_is_told_with_those_there_are():
    with pytest.raises(mt.ConfigError, match=r"unknown property 'force'.*'forces'"):
        mt.CHGNetBackboneConfig(properties=[{"name": "force"}])


@pytest.mark.parametrize(
    ("field", "value"),
    [("loss", mt.MSELossConfig()), ("loss_coefficient", 3.0), ("key", "other"), ("name", "other")],
)
def test_each_setting_changes_the_loss(crystals, field, value):
    frames = [atoms.copy() for atoms in crystals]
    for atoms in frames:
        atoms.info |= {"gap": atoms.info["V_per_atom"], "other": 7.0 + len(atoms)}

    def loss(**changed):
        learnt = mt.GraphPropertyConfig(**{"name": "gap"} | changed)
        model = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=[learnt]))
        (batch,) = model.create_dataloader(dataset(frames), has_labels=True, batch_size=7)
        return float(model.training_step(batch, 0).detach())

    assert loss(**{field: value}) != loss()
    assert loss() == loss()


def test_frames_without_a_label_may_be_masked(crystals):
    frames = [atoms.copy() for atoms in crystals]
    frames[0].info.pop("V_per_atom")
    learnt = VOLUME.model_copy(update={"missing": "mask"})
    model = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=[learnt]))
    (batch,) = model.create_dataloader(dataset(frames), has_labels=True, batch_size=7)
    assert torch.isnan(batch.labels["volume"]).tolist() == [True] + [False] * 6
    assert torch.isfinite(model.training_step(batch, 0))


@pytest.mark.parametrize("kind", [mt.ForcesPropertyConfig, mt.StressesPropertyConfig])
def test_a_head_and_the_gradient_each_predict_and_are_trained(kind, copper):
    found = {}
    for conservative in (True, False):
        learnt = [kind(conservative=conservative)]
        model = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=learnt, normalizers={}))
        (batch, *_) = model.create_dataloader(dataset(copper[:4]), has_labels=True, batch_size=4)
        model.train().training_step(batch, 0).backward()
        moved = {n for n, p in model.backbone.named_parameters() if p.grad is not None}
        assert moved == {n for n, p in model.backbone.named_parameters() if p.requires_grad}
        name = learnt[0].name
        found[conservative] = model.eval()(batch)["predicted_properties"][name], moved
    head = "push" if kind is mt.ForcesPropertyConfig else "pull"
    assert head in found[False][1]
    assert head not in found[True][1]
    assert not torch.allclose(found[True][0], found[False][0])
