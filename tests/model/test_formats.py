"""Checkpoints of older formats open, newer ones are refused, and archives hold a model without a pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app
from mattertune_nb.model import archive
from mattertune_nb.model.archive import read_archive, save_archive
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.formats import FORMAT, MIGRATIONS, upgrade
from mattertune_nb.model.loading import contents_of

FILES = Path(__file__).parent / "formats"
"""Of each older format a checkpoint of a Morse potential, tuned on copper by a version that had it."""


def predictions() -> list[dict]:
    """Return structures with what the version that wrote the checkpoint predicted for them."""
    return json.loads((FILES / "predictions.json").read_text())


@pytest.fixture
def result(morse_config):
    return mt.MatterTuner(morse_config(max_epochs=1)).tune()


def test_there_is_a_migration_and_a_file_of_each_older_format():
    assert list(MIGRATIONS) == list(range(1, FORMAT))
    assert {f"format_{n}.ckpt" for n in MIGRATIONS} == {f.name for f in FILES.glob("*.ckpt")}


@pytest.mark.usefixtures("morse_installed")
def test_a_checkpoint_of_version_0_1_predicts_what_it_did():
    model = mt.FinetuneModuleBase.load_from_checkpoint(FILES / "format_1.ckpt")
    for known in predictions():
        atoms = Atoms(known["numbers"], known["positions"], cell=known["cell"], pbc=True)
        (found,) = model.property_predictor().predict([atoms])
        assert found["energy"] == pytest.approx(known["energy"], abs=1e-6)
        np.testing.assert_allclose(found["forces"], known["forces"], atol=1e-6)
    assert torch.equal(model.normalization.first_references, model.normalization.references)


def test_a_checkpoint_of_version_0_1_is_tuned_on(morse_config):
    config = morse_config(model={"checkpoint": FILES / "format_1.ckpt"}, max_epochs=1)
    again = mt.MatterTuner(config).tune()
    old = read_checkpoint(FILES / "format_1.ckpt")["state_dict"]
    assert again.model.start is not None
    assert again.model.backbone.depth.item() == pytest.approx(old["backbone.depth"].item(), abs=0.1)


def test_what_is_written_says_its_format(result):
    contents = torch.load(result.run.directory.best, weights_only=True)
    assert contents["format"] == FORMAT
    with pytest.raises(mt.TrainingError, match=r"in format 99 by a newer version.*pip install -U"):
        upgrade(contents | {"format": 99})


def test_a_newer_checkpoint_is_refused_by_its_name(result, tmp_path):
    contents = torch.load(result.run.directory.best, weights_only=True)
    torch.save(contents | {"format": FORMAT + 1}, tmp_path / "new.ckpt")
    with pytest.raises(mt.TrainingError, match=r"new\.ckpt: written in format"):
        mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "new.ckpt")


def same(one, other, frames):
    """Compare all predictions of two models to the last bit."""
    pairs = zip(*(m.property_predictor().predict(frames) for m in (one, other)), strict=True)
    for first, second in pairs:
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name])


def test_an_archive_has_the_same_predictions_and_no_pickle(result, tmp_path):
    written = result.run.export("safetensors")
    assert written.suffix == ".safetensors"
    again = mt.FinetuneModuleBase.load_from_checkpoint(written)
    frames = [bulk("Cu", cubic=True, a=3.6), bulk("Cu", a=3.5)]
    same(result.run.model(), again, frames)
    assert again.hparams == result.run.model().hparams
    assert again.baseline == result.run.model().baseline
    with safe_open(written, "pt") as file:
        about = json.loads(file.metadata()["about"])
    assert about["format"] == FORMAT
    assert about["hyper_parameters"]["name"] == "morse"
    assert "torch" in about["versions"]
    # wherever a checkpoint is taken
    same(again, mt.MatterTuneCalculator(written).model, frames)
    copper = tmp_path / "copper.xyz"
    told = CliRunner().invoke(app, ["evaluate", str(written), str(copper)])
    assert told.exit_code == 0, told.output
    told = CliRunner().invoke(app, ["export", str(result.run.path), "--to", "safetensors"])
    assert told.exit_code == 0, told.output


def test_an_archive_of_chgnet_is_tuned_on(tmp_path):
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig()).eval()
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter *= 1.01
    model.normalization.references[29] = -1.5
    save_archive(contents_of(model), tmp_path / "model.safetensors")
    frames = [bulk("Cu", cubic=True, a=3.6)]
    same(model, mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "model.safetensors"), frames)
    config = mt.CHGNetBackboneConfig(checkpoint=tmp_path / "model.safetensors")
    same(model, mt.FinetuneModuleBase(config).eval(), frames)


def test_what_an_architecture_holds_comes_back(tmp_path):
    kept = {
        "tuple": (1, 2.5, None),
        "by number": {1: "a", 2: [True]},
        "like ours": {"__tensor__": "no"},
        "tensor": torch.arange(3),
        "dtype": torch.float64,
        "infinite": float("inf"),
    }
    tensors: dict[str, torch.Tensor] = {}
    plain = json.loads(json.dumps(archive._plain(kept, tensors)))
    back = archive._restored(plain, tensors)
    assert torch.equal(back.pop("tensor"), kept.pop("tensor"))
    assert back == kept
    with pytest.raises(mt.TrainingError, match="a PosixPath of the model's settings"):
        archive._plain({"x": Path()}, {})


def test_other_files_of_safetensors_are_told_apart(tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, other)
    assert read_archive(other) is None
    with pytest.raises(mt.TrainingError, match="not a mattertune_nb checkpoint"):
        read_checkpoint(other)
    other.write_bytes(other.read_bytes()[:20])
    with pytest.raises(mt.TrainingError, match="damaged or incomplete"):
        read_checkpoint(other)
    save_file(
        {"a": torch.ones(2)},
        other,
        {"written_by": "mattertune_nb", "about": '{"a": {"__dtype__": "load"}}'},
    )
    with pytest.raises(mt.TrainingError, match="damaged"):
        read_checkpoint(other)
