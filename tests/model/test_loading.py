"""A checkpoint whose weights do not fit: one sentence, and what `strict` leaves."""

from __future__ import annotations

import pytest
import torch
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt


@pytest.fixture
def saved(tmp_path, plain_trainer, morse_installed):
    """Return a function that writes a checkpoint with changed weights."""

    def write(change):
        module = mt.FinetuneModuleBase(MorseBackboneConfig())
        trainer = plain_trainer()
        trainer.strategy.connect(module)
        path = tmp_path / "a.ckpt"
        trainer.save_checkpoint(path)
        contents = torch.load(path, weights_only=True)
        change(contents["state_dict"])
        torch.save(contents, path)
        return path

    return write


def test_missing_weights_are_one_sentence_and_strict_lets_them_be(saved):
    path = saved(lambda state: (state.pop("backbone.depth"), state["backbone.width"].fill_(9.0)))
    with pytest.raises(mt.TrainingError, match=r"a\.ckpt: .*'backbone\.depth' missing\.") as error:
        mt.FinetuneModuleBase.load_from_checkpoint(path)
    assert "\n" not in str(error.value)
    assert "strict=False" in str(error.value)
    model = mt.FinetuneModuleBase.load_from_checkpoint(path, strict=False)
    untuned = mt.FinetuneModuleBase(MorseBackboneConfig())
    assert model.backbone.depth.equal(untuned.backbone.depth)
    assert model.backbone.width.item() == 9.0


def test_weights_of_another_shape_do_not_fit_either_way(saved):
    path = saved(lambda state: state.update({"backbone.depth": torch.zeros(3)}))
    for strict in (True, False):
        with pytest.raises(mt.TrainingError, match=r"'backbone\.depth' of another shape") as error:
            mt.FinetuneModuleBase.load_from_checkpoint(path, strict=strict)
        assert "\n" not in str(error.value)
        assert "strict=False" not in str(error.value)
