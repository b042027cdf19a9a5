"""A run with replay and L2-SP that is stopped and resumed ends as one that never was."""

from __future__ import annotations

import pytest
import torch
from ase.io import read, write
from stopping import NoisyModule, StopAfter, assert_same

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize(("hook", "calls"), [("on_train_batch_end", 3), ("on_train_epoch_end", 1)])
def test_a_resume_is_exact(hook, calls, morse_config, copper_xyz, tmp_path):
    frames = [atoms.copy() for atoms in read(copper_xyz, ":6")]
    for atoms in frames:
        atoms.symbols[0] = "O"
    write(tmp_path / "oxide.xyz", frames)
    settings = {
        "replay": mt.ReplayConfig(file=tmp_path / "oxide.xyz", share=0.5),
        "l2_sp": mt.L2SPConfig(weight=0.1),
        "ewc": mt.EWCConfig(weight=0.1, file=tmp_path / "oxide.xyz"),
        "foreign_set": None,
    }
    mt.MatterTuner(morse_config("never", **settings), module_class=NoisyModule).tune()
    config = morse_config("stopped", **settings)
    run = RunDirectory(config.run.root / "stopped")
    mt.MatterTuner(config, module_class=NoisyModule).tune([StopAfter(run, hook, calls)])
    assert run.status().state == "stopped"
    (tmp_path / "oxide.xyz").unlink()  # a checkpoint has the structures
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert_same(run, RunDirectory(config.run.root / "never"))


def test_a_resume_with_updates_of_low_rank_is_exact(tmp_path):
    """So is one of their running average, and of blocks that are set free one after the other."""

    def config(name: str) -> mt.MatterTunerConfig:
        config = mt.demo_config(tmp_path / "runs", name)
        config.data.train.index, config.data.validation.index = ":8", ":2"
        config.data.batch_size = 4
        config.model.lora = mt.LoRAConfig(rank=2)
        config.trainer = mt.TrainerConfig(
            max_epochs=3,
            accelerator="cpu",
            foreign_set=None,
            walls=False,
            log_every_n_steps=1,
            ema=mt.EMAConfig(decay=0.5),
            unfreezing=mt.UnfreezingConfig(),
        )
        return config

    mt.MatterTuner(config("never")).tune()
    run = RunDirectory(tmp_path / "runs" / "stopped")
    mt.MatterTuner(config("stopped")).tune([StopAfter(run, "on_train_batch_end", 3)])
    assert run.status().state == "stopped"
    mt.MatterTuner(config("stopped")).resume(run)
    assert_same(run, RunDirectory(tmp_path / "runs" / "never"))
    kept = torch.load(run.last, weights_only=True)
    assert any("updates" in name for name in kept["lora"])
