"""A model begins with the weights and the zero of energy of one that was tuned before."""

from __future__ import annotations

import pytest
import torch
from ase.build import bulk

import mattertune_nb as mt


def checkpoint_of(model: mt.FinetuneModuleBase, path) -> None:
    """Write what a Trainer writes of a model."""
    contents = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(contents)
    torch.save(contents, path)


def energy(model: mt.FinetuneModuleBase) -> float:
    (result,) = model.property_predictor().predict([bulk("Cu")], ["energy"])
    return result["energy"]


def moved(model: mt.FinetuneModuleBase) -> mt.FinetuneModuleBase:
    """Change a model as training does: its weights, and the zero of energy of copper."""
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.mul_(1.01)
    model.normalization.references[29] = -1700.0
    model.normalization.span[0, 29] = 1.0
    return model.eval()


@pytest.mark.parametrize("name", ["chgnet", "sevennet", "morse"])
def test_weights_and_zero_of_energy_are_those_of_the_checkpoint(name, tmp_path, morse_installed):
    if name == "sevennet":
        pytest.importorskip("sevenn")
    from mattertune_nb.backbones.registry import backbone_config_class

    config_class = backbone_config_class(name)
    tuned = moved(mt.FinetuneModuleBase(config_class()))
    checkpoint_of(tuned, tmp_path / "first.ckpt")
    second = mt.FinetuneModuleBase(config_class(checkpoint=tmp_path / "first.ckpt")).eval()
    assert energy(second) == pytest.approx(energy(tuned), abs=1e-6)
    assert -1710 < energy(second) < -1690
    checkpoint_of(moved(second), tmp_path / "second.ckpt")

    # neither the first nor the second needs the file that it began with
    (tmp_path / "first.ckpt").unlink()
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "second.ckpt")
    assert energy(loaded) == pytest.approx(energy(second), abs=1e-6)
    assert loaded.hparams == second.hparams
    third = mt.FinetuneModuleBase(config_class(checkpoint=tmp_path / "second.ckpt")).eval()
    assert energy(third) == pytest.approx(energy(second), abs=1e-6)


def test_a_backbone_is_not_started_from_another(tmp_path, morse_installed):
    from toy_backbone import MorseBackboneConfig

    checkpoint_of(mt.FinetuneModuleBase(MorseBackboneConfig()), tmp_path / "morse.ckpt")
    with pytest.raises(
        mt.ConfigError, match=r"morse\.ckpt was tuned with morse, and this is chgnet"
    ):
        mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=tmp_path / "morse.ckpt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(mt.ConfigError, match="contains no checkpoint of a run"):
        mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=tmp_path / "empty"))


def test_references_that_are_given_are_not_those_of_the_run(tmp_path, morse_installed):
    from toy_backbone import MorseBackboneConfig

    checkpoint_of(moved(mt.FinetuneModuleBase(MorseBackboneConfig())), tmp_path / "first.ckpt")
    given = mt.PerAtomReferencingNormalizerConfig(per_element_references={"Cu": -5.0})
    config = MorseBackboneConfig(
        checkpoint=tmp_path / "first.ckpt", normalizers={"energy": [given]}
    )
    assert float(mt.FinetuneModuleBase(config).normalization.references[29]) == -5.0


class Scaled(mt.FinetuneModuleBase):
    """A user's class with an argument of its own."""

    def __init__(self, config, factor=0.5, *, names=(), callback=None):
        super().__init__(config)
        self.factor = factor
        self.names = names
        self.callback = callback


def test_a_user_s_own_arguments_are_those_that_it_was_trained_with(tmp_path, morse_installed):
    from toy_backbone import MorseBackboneConfig

    model = Scaled(MorseBackboneConfig(), 0.7, names=["a", "b"])
    checkpoint_of(model, tmp_path / "own.ckpt")
    loaded = Scaled.load_from_checkpoint(tmp_path / "own.ckpt")
    assert (loaded.factor, loaded.names) == (0.7, ["a", "b"])
    assert Scaled.load_from_checkpoint(tmp_path / "own.ckpt", factor=0.9).factor == 0.9
    with pytest.warns(UserWarning, match="was made by Scaled"):
        mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "own.ckpt")


def test_an_argument_that_no_checkpoint_can_hold_is_asked_for(tmp_path, morse_installed):
    from toy_backbone import MorseBackboneConfig

    checkpoint_of(Scaled(MorseBackboneConfig(), callback=print), tmp_path / "own.ckpt")
    with pytest.raises(
        mt.ConfigError, match="Scaled was given callback, which a checkpoint cannot store"
    ):
        Scaled.load_from_checkpoint(tmp_path / "own.ckpt")
    loaded = Scaled.load_from_checkpoint(tmp_path / "own.ckpt", callback=len)
    assert loaded.callback is len


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_model_is_loaded_in_the_number_format_in_which_it_was_measured(
    dtype, tmp_path, morse_installed
):
    from toy_backbone import MorseBackboneConfig

    model = mt.FinetuneModuleBase(MorseBackboneConfig()).eval()
    model.backbone.to(dtype)
    checkpoint_of(model, tmp_path / "model.ckpt")
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.ckpt")
    assert {p.dtype for p in loaded.backbone.parameters()} == {dtype}
    assert energy(loaded) == energy(model)
