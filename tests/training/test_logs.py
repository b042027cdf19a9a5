"""What stands in a run's log, which people read."""

from __future__ import annotations

import mattertune_nb as mt


def said(run):
    """Return the log's lines without their times."""
    return [line[20:] for line in run.directory.log_file.read_text().splitlines()]


def test_the_log_is_about_the_run_and_not_about_lightning(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=2)).tune().run
    lines = said(run)
    assert lines[0].startswith("Training on the CPU (")
    assert [line[:7] for line in lines if line.startswith("epoch ")] == ["epoch 1", "epoch 2"]
    assert lines[-1] == "Finished at step 10."
    config = run.config()
    config.trainer.max_epochs = 3
    mt.MatterTuner(config).resume(run.path)
    later = said(run)[len(lines) :]
    assert any(line.endswith("), on from step 10.") for line in later[:2])
    assert later[-1] == "Finished at step 15."
    for word in ("GPU", "TPU", "Trainer", "dataloader", "Tip", "checkpoint path"):
        assert not [line for line in said(run) if word in line], word
