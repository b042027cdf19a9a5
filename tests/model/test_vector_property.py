"""Vectors of a structure, learnt by a head that turns with it."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import torch
from ase.build import molecule
from scipy.spatial.transform import Rotation

import mattertune_nb as mt
from mattertune_nb.training.outcome.evaluation import evaluate
from mattertune_nb.training.outcome.predicted_file import predict_file

CHARGES = {1: 0.1, 6: -0.2, 8: -0.2}
"""In e; of ethanol, C2H6O, they add up to nothing, so that no origin is told from others."""
DIPOLE = mt.VectorPropertyConfig(name="dipole", key="mu", unit="eÅ")


@pytest.fixture(scope="module")
def ethanol():
    """Return bent and stretched molecules with the dipole moment of point charges."""
    frames = []
    for seed in range(24):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=seed)
        atoms.rotate(37 * seed, (1, seed, 2))
        charges = np.array([CHARGES[z] for z in atoms.numbers])
        assert charges.sum() == pytest.approx(0, abs=1e-12)
        atoms.info["mu"] = charges @ atoms.positions
        frames.append(atoms)
    return frames


def dataset(frames):
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()


def model_with(prop, lr=1e-2, config=mt.CHGNetBackboneConfig):
    settings = config(properties=[prop], optimizer=mt.AdamWConfig(lr=lr), lr_scheduler=None)
    return mt.FinetuneModuleBase(settings)


@pytest.fixture
def untrained():
    """Return a model whose head says something, as its last layer does not start at zero here."""
    model = model_with(DIPOLE).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


@pytest.mark.parametrize("pbc", [False, True])
def test_a_vector_turns_with_the_structure_and_does_not_move_with_it(untrained, ethanol, pbc):
    atoms = ethanol[0].copy()
    if pbc:
        atoms.set_cell([6.0, 7.0, 8.0])
        atoms.pbc = True
    turned = atoms.copy()
    rotation = Rotation.from_rotvec([0.3, -1.1, 0.7])
    turned.positions = rotation.apply(atoms.positions)
    turned.set_cell(rotation.apply(atoms.cell.array))
    moved = atoms.copy()
    moved.translate([1.0, 2.0, -3.0])
    found = untrained.property_predictor().predict([atoms, turned, moved], ["dipole"])
    one, after, elsewhere = (result["dipole"] for result in found)
    assert np.linalg.norm(one) > 1e-3
    np.testing.assert_allclose(rotation.apply(one), after, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one, elsewhere, rtol=1e-4, atol=1e-6)


def test_it_fades_smoothly_at_the_cutoff(untrained):
    (cutoff,) = {untrained.backbone.cutoff}
    pairs = [molecule("CO") for _ in range(2)]
    for atoms, distance in zip(pairs, (cutoff - 1e-4, cutoff + 1e-4), strict=True):
        atoms.set_distance(0, 1, distance)
    inside, outside = untrained.property_predictor().predict(pairs, ["dipole"])
    np.testing.assert_allclose(inside["dipole"], outside["dipole"], atol=1e-6)


def test_a_dipole_moment_is_learnt_without_the_energy(ethanol, plain_trainer, tmp_path):
    torch.manual_seed(0)
    model = model_with(DIPOLE, lr=5e-3)
    train, unseen = ethanol[:12], ethanol[18:]
    loader = model.create_dataloader(dataset(train), has_labels=True, batch_size=6)
    trainer = plain_trainer(max_epochs=20, limit_val_batches=0)
    trainer.fit(model, loader)
    model.eval()
    labels = np.array([atoms.info["mu"] for atoms in unseen])
    found = np.array([r["dipole"] for r in model.property_predictor().predict(unseen)])
    errors = evaluate(model, dataset(unseen))
    assert errors["dipole_mae"] == pytest.approx(np.abs(found - labels).mean(), rel=1e-6)
    assert errors["dipole_mae"] < 0.3 * np.abs(labels).mean()
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.ckpt")
    (again,) = loaded.property_predictor().predict(unseen[:1])
    np.testing.assert_allclose(again["dipole"], found[0], rtol=1e-5)


def test_before_training_it_is_zero_as_no_direction_is_told_from_others(ethanol):
    model = model_with(DIPOLE)
    model.heads.fit(dataset(ethanol))
    (found,) = model.eval().property_predictor().predict(ethanol[:1])
    assert found["dipole"].tolist() == [0, 0, 0]


def test_a_label_of_another_shape_is_refused_with_what_was_expected(ethanol):
    atoms = ethanol[0].copy()
    atoms.info["mu"] = [1.0, 2.0]
    loader = model_with(DIPOLE).create_dataloader(dataset([atoms]), has_labels=True)
    with pytest.raises(mt.DataError, match=r"dipole \('mu'\) has shape \(2,\), expected 3 numbers"):
        next(iter(loader))


def test_predictions_are_written_as_three_numbers_under_the_labels_key(
    ethanol, tmp_path, plain_trainer
):
    ase.io.write(tmp_path / "all.xyz", ethanol[:4], format="extxyz")
    config = mt.MatterTunerConfig(
        model=model_with(DIPOLE).hparams,
        data=mt.ManualSplitDataModuleConfig(
            train=mt.XYZDatasetConfig(src=tmp_path / "all.xyz", index=":3"),
            validation=mt.XYZDatasetConfig(src=tmp_path / "all.xyz", index="3:"),
        ),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(root=tmp_path / "runs", name="dipole"),
    )
    result = mt.MatterTuner(config).tune()
    predict_file(result.run.path, tmp_path / "all.xyz", tmp_path / "out.xyz")
    written = ase.io.read(tmp_path / "out.xyz", 0)
    (expected,) = result.model.property_predictor().predict(ethanol[:1], ["dipole"])
    np.testing.assert_allclose(written.info["mu"], expected["dipole"], atol=1e-7)
