"""The module under a plain Trainer: numbers, labels that are missing, precision, checkpoints."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from lightning.pytorch import Callback, seed_everything
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config.properties import metric_names
from mattertune_nb.training.run_dir import RunDirectory

ALL = [mt.EnergyPropertyConfig, mt.ForcesPropertyConfig, mt.StressesPropertyConfig]


def masked() -> list:
    return [kind(missing="mask") for kind in ALL]


def without(atoms, *names: str):
    """Return a structure that lacks some labels."""
    out = atoms.copy()
    kept = {k: v for k, v in atoms.calc.results.items() if k not in names}
    out.calc = SinglePointCalculator(out, **kept)
    return out


def morse(**fields) -> mt.FinetuneModuleBase:
    return mt.FinetuneModuleBase(MorseBackboneConfig(**fields))


def gradients(module, frames) -> list[torch.Tensor]:
    """Return the gradients of the total loss of one batch."""
    (batch,) = module.create_dataloader(frames, has_labels=True, batch_size=len(frames))
    module.train().zero_grad()
    loss = module.training_step(batch, 0)
    assert loss.isfinite()
    loss.backward()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


# -- the same under any Trainer ------------------------------------------------------------------


def test_a_plain_trainer_gives_the_numbers_references_and_baseline_of_a_tuner(
    copper, plain_trainer, tmp_path
):
    config = mt.MatterTunerConfig(
        model=MorseBackboneConfig(optimizer=mt.AdamWConfig(lr=1e-2)),
        data=mt.AutoSplitDataModuleConfig(
            dataset=mt.AtomsListDatasetConfig(atoms_list=copper), train_split=0.6, batch_size=2
        ),
        trainer=mt.TrainerConfig(max_epochs=3, accelerator="cpu"),
        run=mt.RunConfig(name="run", root=tmp_path),
    )
    mt.MatterTuner(config).tune()
    tuned = torch.load(RunDirectory(tmp_path / "run").last, weights_only=True)
    record = RunDirectory(tmp_path / "run").metrics()

    seed_everything(config.run.seed, verbose=False)
    module = mt.FinetuneModuleBase(config.model)
    trainer = plain_trainer(max_epochs=3)
    trainer.fit(module, datamodule=mt.MatterTuneDataModule(config.data))

    assert module.baseline == tuned["baseline"]
    assert "baseline/referenced_energy_per_atom_mae" in module.baseline
    for name, value in module.state_dict().items():
        assert torch.equal(value, tuned["state_dict"][name]), name
    last = [r for r in record if "val/forces_mae" in r][-1]
    for name in metric_names(["energy", "forces"]):
        assert float(trainer.callback_metrics[name]) == pytest.approx(last[name], abs=1e-12)


def test_the_errors_are_those_of_the_predictions_whatever_the_batch_size(copper, plain_trainer):
    module = morse(properties=masked(), normalizers={})
    found = []
    for size in (1, 3, 8):
        loader = module.create_dataloader(copper, has_labels=True, batch_size=size)
        (values,) = plain_trainer().validate(module, loader, verbose=False)
        found.append(values)
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] == pytest.approx(found[2], rel=1e-6)

    results = module.property_predictor().predict(copper)
    energy = np.array(
        [r["energy"] - a.get_potential_energy() for r, a in zip(results, copper, strict=True)]
    )
    forces = np.concatenate(
        [r["forces"] - a.get_forces() for r, a in zip(results, copper, strict=True)]
    )
    stresses = np.array(
        [r["stresses"] - a.get_stress() for r, a in zip(results[:-1], copper[:-1], strict=True)]
    )
    per_atom = energy / [len(a) for a in copper]
    for name, errors in [
        ("energy", energy),
        ("energy_per_atom", per_atom),
        ("forces", forces),
        ("stresses", stresses),
    ]:
        assert found[0][f"val/{name}_mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
        assert found[0][f"val/{name}_rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert found[0]["val/energy_loss"] == pytest.approx(np.abs(per_atom).mean(), rel=1e-5)
    assert found[0]["val/total_loss"] == pytest.approx(
        sum(p.loss_coefficient * found[0][f"val/{p.name}_loss"] for p in module.hparams.properties),
        rel=1e-6,
    )
    assert set(found[0]) == set(metric_names(["energy", "forces", "stresses"]))


def test_forces_are_the_same_inside_and_outside_of_inference_mode(copper, plain_trainer):
    module = morse(properties=masked())
    loader = module.create_dataloader(copper, has_labels=True)
    (inside,) = plain_trainer(inference_mode=True).validate(module, loader, verbose=False)
    (outside,) = plain_trainer(inference_mode=False).validate(module, loader, verbose=False)
    assert inside == outside


def test_testing_and_predicting(copper, plain_trainer):
    module = morse(properties=masked())
    trainer = plain_trainer()
    loader = module.create_dataloader(copper, has_labels=True, batch_size=3)
    (tested,) = trainer.test(module, loader, verbose=False)
    (validated,) = trainer.validate(module, loader, verbose=False)
    assert tested == {k.replace("val/", "test/"): v for k, v in validated.items()}

    batches = trainer.predict(module, module.create_dataloader(copper, False, batch_size=3))
    assert [result["index"] for batch in batches for result in batch] == list(range(len(copper)))
    for ours, theirs in zip(
        [result for batch in batches for result in batch],
        module.property_predictor().predict(copper),
        strict=True,
    ):
        assert ours.keys() == {"index", *theirs}
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, abs=1e-6)


def test_several_validation_loaders_count_as_one_set(copper, plain_trainer):
    module = morse(properties=masked())
    parts = [
        module.create_dataloader(part, has_labels=True, batch_size=2)
        for part in (copper[:3], copper[3:])
    ]
    whole = module.create_dataloader(copper, has_labels=True)
    values = plain_trainer().validate(module, parts, verbose=False)
    assert values[0] == pytest.approx(plain_trainer().validate(module, whole, verbose=False)[0])

    module = morse(properties=masked())
    plain_trainer().fit(module, whole, parts)
    errors = [error for *_, error in module.sample.worst()]
    assert errors == sorted(errors, reverse=True)
    assert {loader for loader, *_ in module.sample.worst()} == {0, 1}
    assert len(plain_trainer().predict(module, parts)) == 2


def test_a_validation_in_every_second_epoch_has_its_baseline_before_the_first(copper, fit):
    module, other = morse(), morse()
    fit(module, copper, check_val_every_n_epoch=2, max_epochs=2)
    fit(other, copper)
    assert module.baseline == other.baseline != {}


# -- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_any_property_can_be_learnt_alone(copper, fit, kind):
    module = morse(properties=[kind()], optimizer=mt.AdamWConfig(lr=0.01))
    name = module.hparams.property_names[0]
    trainer = fit(module, copper[:-1], max_epochs=8)
    assert (
        float(trainer.callback_metrics[f"val/{name}_mae"]) < module.baseline[f"baseline/{name}_mae"]
    )


def test_a_frame_trains_on_the_labels_that_it_has(copper):
    module = morse(properties=masked(), normalizers={})
    # no label of the second frame: its zeros would enter here
    bare = without(copper[1], "energy", "forces", "stress")
    assert_same(gradients(module, [copper[0], bare]), gradients(module, [copper[0]]))
    # the forces are a mean over the frame that has some
    module.hparams.properties[0].loss_coefficient = 0.0
    part = without(copper[1], "forces", "stress")
    assert_same(gradients(module, [copper[0], part]), gradients(module, [copper[0]]))


def test_a_molecule_without_a_stress_spoils_no_gradient(copper):
    module = morse(properties=masked(), normalizers={})
    water = molecule("H2O")
    water.symbols[:] = "O"
    water.calc = SinglePointCalculator(water, energy=0.0, forces=np.zeros((3, 3)))
    assert all(g.isfinite().all() for g in gradients(module, [copper[0], water]))
    assert all(g.isfinite().all() for g in gradients(module, [water]))
    module.hparams.properties[0].loss_coefficient = 0.0
    module.hparams.properties[1].loss_coefficient = 0.0
    assert_same(gradients(module, [copper[0], water]), gradients(module, [copper[0]]))


def test_a_batch_where_nobody_has_a_label_changes_nothing(copper, fit):
    bare = without(copper[0], "energy", "forces", "stress")
    module = morse(properties=masked(), optimizer=mt.SGDConfig(lr=0.1), normalizers={})
    before = [p.clone() for p in module.parameters()]
    trainer = fit(module, [bare, bare], copper)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    assert float(trainer.callback_metrics["train/total_loss"]) == 0
    assert "train/energy_loss" not in trainer.callback_metrics


def test_a_frame_without_a_label_is_an_error_unless_masked(copper):
    loader = morse().create_dataloader([copper[0], without(copper[1], "forces")], True)
    with pytest.raises(mt.DataError, match=r'structures, frame 1: no forces .*missing="mask"'):
        next(iter(loader))


def test_the_energy_loss_is_per_atom_by_default(copper):
    losses = []
    for per_atom in (True, False):
        module = morse(properties=[mt.EnergyPropertyConfig(per_atom=per_atom)], normalizers={})
        (batch,) = module.create_dataloader(copper[:1], has_labels=True)
        losses.append(float(module.training_step(batch, 0)))
    assert losses[1] == pytest.approx(len(copper[0]) * losses[0])


def test_a_coefficient_weighs_the_loss_and_zero_keeps_the_metric(copper, fit):
    def total(coefficient: float) -> dict[str, float]:
        module = morse(
            properties=[
                mt.EnergyPropertyConfig(loss_coefficient=coefficient),
                mt.ForcesPropertyConfig(loss_coefficient=2.0),
            ],
            optimizer=mt.SGDConfig(lr=1e-12),
        )
        return {k: float(v) for k, v in fit(module, copper).callback_metrics.items()}

    for coefficient in (0.0, 3.0):
        values = total(coefficient)
        assert values["val/energy_mae"] > 0
        assert values["val/total_loss"] == pytest.approx(
            coefficient * values["val/energy_loss"] + 2 * values["val/forces_loss"], rel=1e-5
        )


def test_a_final_coefficient_weighs_the_loss_late_in_the_run_only(copper, fit):
    module = morse(
        properties=[
            mt.EnergyPropertyConfig(loss_coefficient=1.0, final_loss_coefficient=50.0),
            mt.ForcesPropertyConfig(final_loss_coefficient=0.0),
        ],
        final_stage=0.5,
        optimizer=mt.SGDConfig(lr=1e-12),
    )
    weights = []

    class Weights(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            energy, forces = (
                trainer.callback_metrics[f"train/{n}_loss"] for n in ("energy", "forces")
            )
            total = trainer.callback_metrics["train/total_loss"]
            weights.append("first" if total.isclose(energy + forces) else "final")
            assert total.isclose(energy + forces if weights[-1] == "first" else 50 * energy)

    trainer = fit(module, copper, max_epochs=2, callbacks=[Weights()])  # four steps per epoch
    assert weights == ["first"] * 4 + ["final"] * 4
    values = trainer.callback_metrics
    assert values["val/total_loss"].isclose(values["val/energy_loss"] + values["val/forces_loss"])


# -- settings ------------------------------------------------------------------------------------


def test_the_hparams_are_the_typed_config_and_plain_data_in_a_checkpoint(
    copper, plain_trainer, tmp_path, morse_installed
):
    config = MorseBackboneConfig(optimizer=mt.SGDConfig(lr=0.5))
    module = mt.FinetuneModuleBase(config)
    assert module.hparams is config
    assert module.hparams.optimizer.lr == 0.5
    trainer = plain_trainer(enable_checkpointing=True)
    trainer.fit(module, module.create_dataloader(copper, True))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"] == config.to_dict()
    assert mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "a.ckpt").hparams == config


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("validation_epoch_end", "on_validation_epoch_end"),
        ("training_epoch_end", "on_train_epoch_end"),
        ("test_epoch_end", "on_test_epoch_end"),
    ],
)
def test_a_hook_that_lightning_dropped_is_refused_with_its_new_name(old, new):
    with pytest.raises(mt.ConfigError, match=rf"Mine\.{old}: .*name it '{new}\(self\)'"):
        type("Mine", (mt.FinetuneModuleBase,), {old: lambda self, outputs: None})
    mixin = type("Mixin", (), {old: lambda self, outputs: None})
    with pytest.raises(mt.ConfigError, match=rf"Mine\.{old}: "):
        type("Mine", (mixin, mt.FinetuneModuleBase), {})


def test_callbacks_of_a_subclass_come_beside_ours(copper, fit):
    class Mine(mt.FinetuneModuleBase):
        def configure_callbacks(self):
            stop = mt.EarlyStoppingConfig(monitor="val/forces_mae", patience=1, min_delta=9.0)
            return stop.create_callback()

    class More(Mine):
        def configure_callbacks(self):
            return [super().configure_callbacks()[0]]

    for kind in (Mine, More):
        module = kind(MorseBackboneConfig())
        trainer = fit(module, copper, max_epochs=5)
        assert trainer.current_epoch == 2
        assert module.baseline
        assert len({type(c) for c in trainer.callbacks}) == len(trainer.callbacks)


def test_an_overridden_forward_enters_the_baseline(copper, fit):
    class Shifted(mt.FinetuneModuleBase):
        def forward(self, batch):
            output = super().forward(batch)
            output["predicted_properties"]["forces"] = 0 * output["predicted_properties"]["forces"]
            return output

    module = Shifted(MorseBackboneConfig())
    fit(module, copper)
    forces = np.concatenate([a.get_forces() for a in copper])
    assert module.baseline["baseline/forces_mae"] == pytest.approx(np.abs(forces).mean())


def test_frozen_parameters_keep_their_bits_and_the_others_move(copper, fit):
    module = morse(freeze=["de*"], optimizer=mt.AdamWConfig(lr=0.1, weight_decay=0.5))
    before = {name: p.clone() for name, p in module.backbone.named_parameters()}
    fit(module, copper)
    moved = {n for n, p in module.backbone.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"width", "r0"}


@pytest.mark.parametrize(
    ("patterns", "message"),
    [(["dpeth"], "'dpeth' matches no parameter of the backbone, e.g. 'depth'"), (["*"], "nothing")],
)
def test_a_freeze_that_cannot_be_meant_is_refused(patterns, message):
    with pytest.raises(mt.ConfigError, match=message):
        morse(freeze=patterns)


@pytest.mark.parametrize(
    ("precision", "dtype", "tolerance"),
    [("64-true", torch.float64, 1e-5), ("bf16-mixed", torch.float32, 0.02)],
)
def test_precision_changes_the_digits_and_not_the_physics(
    copper, fit, chgnet, precision, dtype, tolerance
):
    module = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(properties=masked()))
    fit(module, copper[:3], precision=precision)
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert module.normalization.references.dtype == torch.float64
    other = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(properties=masked()))
    fit(other, copper[:3])
    for name, value in other.baseline.items():
        assert module.baseline[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name
        assert module.baseline[name] != value


def test_a_number_format_too_small_for_the_model_is_told(copper, fit):
    module = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    with pytest.raises(mt.TrainingError, match=r"structures, frame \d: .*precision to '32-true'"):
        fit(module, copper, precision="bf16-true")


def test_the_graph_that_a_backbone_cannot_make_is_named(chgnet, copper):
    bad = copper[0].copy()
    bad.cell[2] = 0
    with pytest.raises(mt.DataError, match="structures, frame 1: the cell has no volume"):
        list(chgnet.create_dataloader([copper[0], bad], has_labels=False))


# -- checkpoints ---------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(copper, fit, tmp_path):
    """Return the checkpoint of CHGNet after a few steps, with references and baseline."""
    module = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    trainer = fit(module, copper[:4], max_epochs=1)
    trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    return tmp_path / "tuned.ckpt", module.eval()


def test_a_checkpoint_knows_its_backbone_references_and_baseline(checkpoint, copper):
    path, module = checkpoint
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(path)
    assert isinstance(loaded.hparams, mt.CHGNetBackboneConfig)
    assert loaded.baseline == module.baseline != {}
    assert not loaded.training
    assert loaded.normalization.references[29] != 0
    results = [m.property_predictor().predict(copper) for m in (loaded, module)]
    for ours, theirs in zip(*results, strict=True):
        for name, value in theirs.items():
            assert np.array_equal(ours[name], value)


def test_a_subclass_loads_as_itself(checkpoint):
    class Mine(mt.FinetuneModuleBase):
        pass

    assert type(Mine.load_from_checkpoint(checkpoint[0])) is Mine


def test_a_tuned_model_that_is_tuned_further_is_measured_anew(checkpoint, copper, fit):
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(checkpoint[0])
    references, first = loaded.normalization.references.clone(), dict(loaded.baseline)
    fit(loaded, copper[:4])
    # as it is means with the references that it has
    assert loaded.baseline["baseline/energy_mae"] < first["baseline/energy_mae"]
    assert loaded.normalization.references[29].item() == pytest.approx(
        references[29].item(), abs=0.1
    )


def test_a_tuned_model_finds_the_zero_of_energy_of_other_data(checkpoint, copper, fit):
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(checkpoint[0])
    before = float(loaded.normalization.references[29])
    shifted = [atoms.copy() for atoms in copper]
    for atoms, labelled in zip(shifted, copper, strict=True):
        energy = labelled.get_potential_energy() - 1000.0 * len(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=labelled.get_forces())
    fit(loaded, shifted)
    assert float(loaded.normalization.references[29]) == pytest.approx(before - 1000, abs=0.5)
    assert loaded.baseline["baseline/energy_per_atom_mae"] == pytest.approx(1000, abs=1)
    assert loaded.baseline["baseline/referenced_energy_per_atom_mae"] < 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "no such run or checkpoint"),
        ("cut in half", "damaged or incomplete"),
        ("one bit flipped", "damaged or incomplete"),
        ("hostile", "refused"),
        ("foreign", "not a mattertune_nb checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_of_ours(checkpoint, damage, message, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    path, _ = checkpoint
    match damage:
        case "missing":
            path.unlink()
        case "cut in half":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "one bit flipped":  # the first one: it is taken for a file of a torch before 1.6
            content = path.read_bytes()
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "hostile":
            torch.save({"state_dict": {}, "hyper_parameters": Hostile()}, path)
        case "foreign":
            torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(mt.TrainingError, match=message) as info:
        mt.FinetuneModuleBase.load_from_checkpoint(path)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "owned").exists()
