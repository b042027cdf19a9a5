"""Copies of the last interaction block: one run, one model, and a spread that says where it is unsure."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import torch
from toy_backbone import MorseBackbone, MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.backbones.members import Members
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.outcome.models import load_model, untuned_of
from mattertune_nb.training.outcome.spread import calibrate


def apart(config, n=3):
    """Return a model whose copies differ, as those of training do."""
    model = mt.FinetuneModuleBase(config(last_block_copies=n)).eval()
    own = dict(model.backbone.named_parameters())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in model.backbone.members.names:
            noise = torch.randn(own[name].shape, generator=generator)
            own[name] *= 1 + 0.05 * noise.to(own[name])
    return model


def batch_of(model, frames):
    return model.backbone.collate([model.backbone.graph(atoms) for atoms in frames])


@pytest.fixture(scope="module")
def frames():
    return ase.io.read(mt.demo_data("train"), ":12")


@pytest.fixture(params=["CHGNetBackboneConfig", "SevenNetBackboneConfig"])
def backbone(request):
    config = getattr(mt, request.param)
    if not config.is_installed():
        pytest.skip(config.install_hint())
    return config


@pytest.fixture
def blocks(monkeypatch):
    """Let r0 be the only interaction block of the Morse potential, which has no readout."""
    monkeypatch.setattr(MorseBackbone, "block_pattern", r"^r(\d)")
    monkeypatch.delattr(MorseBackbone, "__deepcopy__")  # its own, which knows of no copies


def test_before_training_it_is_the_vendors_model(backbone, frames):
    one, many = (mt.FinetuneModuleBase(backbone(last_block_copies=n)).eval() for n in (1, 3))
    (alone,), (joined,) = (m.property_predictor().predict(frames[:1]) for m in (one, many))
    for name, value in alone.items():
        assert joined[name] == pytest.approx(value, rel=1e-6, abs=1e-6)
        assert np.max(joined[f"{name}_std"]) == 0


def test_mean_and_spread_are_those_of_the_members_and_forces_their_gradients(backbone, frames):
    model = apart(backbone)
    model.factors["forces"] = 2.5
    found = model.property_predictor().predict(frames[:2])
    members = [model.member(k).property_predictor().predict(frames[:2]) for k in range(3)]
    for i, one in enumerate(found):
        for name in ("energy", "forces"):
            each = np.stack([member[i][name] for member in members])
            assert one[name] == pytest.approx(each.mean(0), rel=1e-5, abs=2e-5)
            spread = model.factors[name] * each.std(0, ddof=1)
            assert one[f"{name}_std"] == pytest.approx(spread, rel=1e-2, abs=2e-4)
        assert one["energy_std"] > 0.01
    # without spreads one gradient is taken, of the mean
    plain = model.property_predictor().predict(frames[:2], ["energy", "forces"])
    assert plain[0]["forces"] == pytest.approx(found[0]["forces"], abs=1e-4)
    calculator = model.ase_calculator()
    calculator.get_property("energy", frames[0])
    assert calculator.results["energy_std"] == pytest.approx(found[0]["energy_std"], rel=1e-3)
    assert calculator.results["forces_std"] == pytest.approx(
        found[0]["forces_std"], rel=1e-2, abs=2e-4
    )


def test_a_structure_trains_the_copy_that_is_drawn_for_it_and_no_other(backbone, frames):
    model = apart(backbone)
    batch = batch_of(model, frames[:4])
    model.train()
    out = model(batch)["predicted_properties"]
    drawn = model.backbone.members.drawn(batch)
    assert len(set(drawn.tolist())) > 1
    starts = np.cumsum([0, *batch.n_atoms.tolist()])
    for b, k in enumerate(drawn.tolist()):
        (alone,) = model.member(k).eval().property_predictor().predict([frames[b]])
        assert float(out["energy"][b].detach()) == pytest.approx(alone["energy"], abs=1e-4)
        forces = out["forces"][starts[b] : starts[b + 1]].detach().numpy()
        assert forces == pytest.approx(alone["forces"], abs=1e-4)
    out["forces"][: starts[1]].square().sum().backward()
    names = [n for n, p in model.backbone.named_parameters() if p.grad is not None and p.grad.any()]
    copied = [n for n in names if n in model.backbone.members.names]
    assert copied
    assert len(names) > len(copied)
    for name in copied:
        per_copy = dict(model.backbone.named_parameters())[name].grad.flatten(1).abs().sum(1)
        assert per_copy.nonzero().flatten().tolist() == [drawn[0]], name


def test_what_comes_before_the_last_block_is_computed_once(backbone, frames):
    model = apart(backbone)
    calls = {"first": 0, "last": 0}
    layers = {
        mt.CHGNetBackboneConfig: ("atom_conv_layers.0", "atom_conv_layers.3"),
        mt.SevenNetBackboneConfig: ("0_convolution", "4_convolution"),
    }
    for what, name in zip(calls, layers[backbone], strict=True):
        module = model.backbone.model.get_submodule(name)
        module.register_forward_hook(lambda *_, w=what: calls.__setitem__(w, calls[w] + 1))
    model.property_predictor().predict(frames[:1])
    assert calls == {"first": 1, "last": 3}


def test_draws_are_bootstrap_samples_that_come_again(frames):
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(last_block_copies=4))
    members, batch = model.backbone.members, batch_of(model, frames)
    epochs = []
    for members.epoch in range(8):
        epochs.append(members.drawn(batch).tolist())
    assert epochs[:4] == epochs[4:]
    assert len(set(map(tuple, epochs))) == 4
    # it is the structure that counts, wherever it stands
    assert members.drawn(batch_of(model, frames[::-1])).tolist() == epochs[3][::-1]
    members.seed += 1
    assert members.drawn(batch).tolist() != epochs[3]
    many = ase.io.read(mt.demo_data("train"), ":")
    counts = np.zeros((len(many), 4))
    batch = batch_of(model, many)
    for members.epoch in range(4):
        counts[np.arange(len(many)), members.drawn(batch)] += 1
    # of binomial numbers with 4 draws at 1/4: mean 1, variance 3/4
    assert counts.sum(0) == pytest.approx(len(many), rel=0.25)
    assert counts.var() == pytest.approx(0.75, rel=0.25)


def test_what_cannot_have_copies_says_why():
    with pytest.raises(mt.ConfigError, match=r"last_block_copies: Morse does not tell"):
        mt.FinetuneModuleBase(MorseBackboneConfig(last_block_copies=2))
    with pytest.raises(mt.ConfigError, match="LoRA holds the weights"):
        mt.CHGNetBackboneConfig.from_dict({"name": "chgnet", "last_block_copies": 2, "lora": {}})
    with pytest.raises(mt.ConfigError, match="is held, so that copies would stay alike"):
        mt.FinetuneModuleBase(
            mt.CHGNetBackboneConfig(
                last_block_copies=2, freeze=["*atom_conv_layers.3*", "*mlp.layers*", "*readout*"]
            )
        )
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    with pytest.raises(mt.ConfigError, match="has no copies"):
        model.member(0)


@pytest.fixture
def copies_config(morse_config, blocks):
    def make(name, copies=2, **trainer):
        config = morse_config(name, **trainer)
        config.model = config.model.model_copy(update={"last_block_copies": copies})
        return config

    return make


def test_a_run_trains_them_and_its_spread_is_as_large_as_its_errors(copies_config, copper_xyz):
    result = mt.MatterTuner(copies_config("few", max_epochs=3)).tune()
    run = result.run
    model = load_model(run.path)
    assert model.backbone.r0.shape == (2,)
    assert model.backbone.r0[0] != model.backbone.r0[1]
    assert model.backbone.width.shape == ()
    for again in (result.model, mt.FinetuneModuleBase.load_from_checkpoint(run.directory.best)):
        assert again.factors == pytest.approx(model.factors)
        assert again.backbone.members.seed == model.backbone.members.seed
    assert model.factors["forces"] > 0
    assert model.factors["forces"] != 1
    validation = mt.open_dataset(copper_xyz)
    again = calibrate(model, validation)
    assert again["forces"].n > 0
    assert "the spread" in run.directory.log_file.read_text()
    # an archive holds all of it
    archive = mt.FinetuneModuleBase.load_from_checkpoint(run.export("safetensors"))
    assert archive.factors == pytest.approx(model.factors)
    assert torch.equal(archive.backbone.r0, model.backbone.r0)
    # a run that goes on from it has as many
    config = copies_config("next", max_epochs=1)
    config.model.checkpoint = run.path
    started = mt.FinetuneModuleBase(config.model)
    assert torch.equal(started.backbone.r0, model.backbone.r0)
    assert torch.equal(untuned_of(model).backbone.r0, torch.tensor([2.4, 2.4]))
    config.model.last_block_copies = 3
    with pytest.raises(
        mt.ConfigError, match=r"has 2 copies of its last block\. Set last_block_copies to 2"
    ):
        mt.FinetuneModuleBase(config.model)


def test_parity_viewer_and_selection_take_its_spread(copies_config, copper_xyz, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "0")
    run = mt.MatterTuner(copies_config("shown", max_epochs=1)).tune().run
    shown = mt.parity(run)
    assert shown.data["forces"].has_spread
    assert "rank correlation" in shown._spread.words.value
    view = mt.view(copper_xyz, model=run.model(), color="force_spread")
    assert view.frame_shown.values.max() > 0
    chosen = mt.select(copper_xyz, 2, by="uncertainty", model=run, known=[])
    assert len(chosen.positions) == 2
    both = mt.Ensemble([run, run])
    assert {"forces_std"} == {name for name in both.properties if name.startswith("forces_")}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(copies_config, monkeypatch):
    drawn, epochs = Members.drawn, []
    with monkeypatch.context() as patch:
        patch.setattr(
            Members, "drawn", lambda *given: (epochs.append(given[0].epoch), drawn(*given))[1]
        )
        whole = mt.MatterTuner(copies_config("whole", copies=3, max_epochs=4)).tune()
    assert sorted(set(epochs)) == [0, 1, 2, 3]
    reached = RunSupervisor.on_train_epoch_end

    def stop_at_second(self, trainer, pl_module):
        reached(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            (trainer_run / "STOP").touch()

    config = copies_config("cut", copies=3, max_epochs=4)
    trainer_run = config.run.root / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(RunSupervisor, "on_train_epoch_end", stop_at_second)
        cut = mt.MatterTuner(config).tune().run
    assert cut.status().state == "stopped"
    resumed = mt.MatterTuner(config).resume(cut.path)
    for part, other in zip(
        whole.trainer.model.parameters(), resumed.trainer.model.parameters(), strict=True
    ):
        assert torch.equal(part, other)


def test_other_programs_get_one_of_them(tmp_path, frames):
    model = apart(mt.CHGNetBackboneConfig, 2)
    alone = model.member(1)
    with pytest.raises(mt.ConfigError, match="no copies of its last block"):
        alone.member(0)
    assert alone.hparams.last_block_copies == 1
    assert model.hparams.last_block_copies == 2
    alone.backbone.save_vendor(tmp_path / "one.pth", np.zeros(119))
    from chgnet.model import CHGNet

    vendor = CHGNet.from_file(str(tmp_path / "one.pth"))
    boxed = frames[0].copy()
    boxed.set_cell([20, 20, 20])
    boxed.pbc = True
    from chgnet.model.dynamics import CHGNetCalculator

    boxed.calc = CHGNetCalculator(vendor, use_device="cpu")
    (expected,) = alone.property_predictor().predict([boxed])
    assert boxed.get_forces() == pytest.approx(expected["forces"], abs=1e-4)


def test_export_asks_which_of_them(copies_config):
    run = mt.MatterTuner(copies_config("sent", max_epochs=1)).tune().run
    with pytest.raises(mt.ConfigError, match=r"mean over 2 copies .* member=0 to 1"):
        run.export("vendor")
    with pytest.raises(
        mt.ConfigError, match=r"member 2: there are 2 copies of the last block, 0 to 1"
    ):
        run.export("safetensors", member=2)
    one = mt.FinetuneModuleBase.load_from_checkpoint(run.export("safetensors", member=1))
    assert torch.equal(one.backbone.r0, run.model().backbone.r0[1])
