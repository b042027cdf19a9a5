"""What cannot be run is refused in the same words by tune, start and estimate, and nothing is written."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.training.estimate.trial import make_trial
from mattertune_nb.widgets.forms import advice

REFUSED_BY_SETTINGS = {
    "trainer.checkpoint.monitor=val/forces_maee": "will not exist",
    "trainer.loggers=[{type: imported, path: mlflow_of_nobody.Logger}]": "mlflow_of_nobody",
    "trainer.max_epochs=-1": "the run has no fixed length",
}
REFUSED_BY_MACHINE = {
    "trainer.devices=[0, 1]": "means GPUs",
    "trainer.precision=16-mixed": "needs a GPU",
    "trainer.additional_trainer_kwargs={no_such_thing: 1}": "no such argument",
    "trainer.additional_trainer_kwargs={limit_train_batches: 1.5}": "Lightning refuses",
    "model.checkpoint=gone.ckpt": "does not exist. Check the path; relative ones start at",
}


def refused(tmp_path, change) -> mt.MatterTunerConfig:
    config = mt.demo_config(tmp_path, "refused")
    config.trainer.accelerator = "cpu"
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig()
    return override_settings(config, [change])


@pytest.mark.parametrize(
    ("change", "reason"),
    [*REFUSED_BY_SETTINGS.items(), *REFUSED_BY_MACHINE.items()],
)
def test_tune_start_and_estimate_refuse_alike(tmp_path, change, reason):
    config = refused(tmp_path, change)
    said = set()
    for begin in (mt.MatterTuner(config).tune, mt.MatterTuner(config).start):
        with pytest.raises(mt.MatterTuneError, match=reason) as caught:
            begin()
        said.add(str(caught.value))
    with pytest.raises(mt.MatterTuneError) as caught:
        make_trial(config)
    assert said == {str(caught.value)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", REFUSED_BY_MACHINE)
def test_the_form_is_told_so_before_start(tmp_path, change):
    config = refused(tmp_path, change)
    settings = {"model": config.model.to_dict(), "trainer": config.trainer.to_dict()}
    known = advice.answer(settings)
    with pytest.raises(mt.MatterTuneError) as caught:
        mt.MatterTuner(config).start()
    assert known["refusal"] == str(caught.value)


def test_the_form_is_told_of_no_refusal_where_there_is_none(tmp_path):
    config = mt.demo_config(tmp_path)
    settings = {"model": config.model.to_dict(), "trainer": config.trainer.to_dict()}
    assert advice.answer(settings)["refusal"] is None
