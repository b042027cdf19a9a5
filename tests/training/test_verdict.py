"""The sentence about a run says what its record says, and never flatters."""

from __future__ import annotations

import json
import shutil

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.files import append_line
from mattertune_nb.training.outcome.stages import short
from mattertune_nb.training.outcome.verdict import Change, Verdict, verdict
from mattertune_nb.training.records.summary import Summary, checksum, summary_of
from mattertune_nb.training.run_dir import RunDirectory

BASELINE = {
    "baseline/forces_mae": 0.238,
    "baseline/energy_per_atom_mae": 0.9,
    "baseline/referenced_energy_per_atom_mae": 0.0046,
}
BEST = {"epoch": 11, "val/forces_mae": 0.044, "val/energy_per_atom_mae": 0.0017}


def summary(**changes) -> Summary:
    return Summary(**{"baseline": BASELINE, "best": BEST, "n_epochs": 12, "n_train": 240} | changes)


def test_a_run_that_is_better_in_all_is_told_as_one_would():
    judged = verdict(summary())
    assert str(judged) == (
        "Forces 238 → 44.0 meV/Å, 5.4 × better than untuned; energy 4.6 → 1.7 meV/atom, "
        "2.7 × better than untuned, energies re-referenced; best of 12 epochs: 12."
    )
    assert judged.is_gain
    assert judged.worse == ()
    # a notebook shows it where it is the last line of a cell
    assert f">✓ {unbroken(str(judged))}</div>" in judged._repr_html_()


def test_one_that_is_worse_in_anything_is_told_so_first_with_what_to_try():
    best = BEST | {"val/energy_per_atom_mae": 0.0206, "epoch": 5}
    baseline = BASELINE | {"baseline/referenced_energy_per_atom_mae": 0.0156}
    judged = verdict(summary(baseline=baseline, best=best, n_epochs=6, n_train=24))
    assert judged.worse == ("energy",)
    assert not judged.is_gain
    text = str(judged)
    assert text.startswith("Worse than before in energy: forces 238 → 44.0 meV/Å, 5.4 × better")
    assert "energy 15.6 → 20.6 meV/atom, 1.3 × worse than untuned, energies re-referenced" in text
    assert "Try: train longer" in text
    assert "a larger weight for the energy in the loss" in text
    assert "more frames than 24" in text


def test_what_is_worse_is_listed_as_people_do():
    two, three = (
        Verdict(tuple(Change(name, "eV", before=1.0, after=2.0, than="untuned") for name in names))
        for names in (("forces", "energy"), ("forces", "energy", "stress"))
    )
    assert str(two).startswith("Worse than before in forces and energy: ")
    assert str(three).startswith("Worse than before in forces, energy and stress: ")


def test_an_early_best_epoch_asks_for_a_lower_learning_rate():
    best = BEST | {"val/forces_mae": 0.3, "epoch": 0}
    assert "lower learning rate" in verdict(summary(best=best)).advice


def test_errors_far_above_those_before_ask_for_a_lower_learning_rate_than_that_of_the_run():
    best = BEST | {"val/forces_mae": 106.0, "epoch": 11}
    told = str(verdict(summary(best=best, settings={"model.optimizer.lr": 0.5})))
    assert told.startswith("Worse than before in forces: forces 238 → 106\u202f000 meV/Å")
    assert told.endswith("Try: a lower learning rate than 0.5, e.g. 0.05.")


def test_what_is_the_same_to_two_digits_is_no_gain():
    same = {"epoch": 0, "val/forces_mae": 0.236, "val/energy_per_atom_mae": 0.0046}
    judged = verdict(summary(best=same))
    assert "1.0 ×" not in str(judged)
    assert str(judged).count("no better than untuned") == 2
    assert not judged.is_gain
    assert not judged.worse


def test_without_a_baseline_or_a_validation_what_can_be_said_is_said():
    unmeasured = verdict(summary(baseline={}))
    assert str(unmeasured) == (
        "Forces 44.0 meV/Å; energy 1.7 meV/atom; best of 12 epochs: 12; the untuned model was not "
        "measured."
    )
    assert not unmeasured.is_gain
    unvalidated = verdict(summary(best={}, training_loss=(0.5, 0.125)))
    assert str(unvalidated) == (
        "No validation was recorded; the training loss went from 0.5 to 0.125."
    )
    assert str(verdict(Summary())) == "No validation has been recorded."
    own = Summary(best={"epoch": 0, "val/r2": 0.93}, n_epochs=1, monitor="val/r2", mode="max")
    assert str(verdict(own)) == "Best of 1 epoch: 1; val/r2 0.93."


@pytest.mark.parametrize(
    ("value", "text"),
    [(238.2, "238"), (99.96, "100"), (44.04, "44.0"), (1.7, "1.7"), (0.0312, "0.031"), (0.0, "0")],
)
def test_errors_are_written_as_people_write_them(value, text):
    assert short(value) == text


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a run of two epochs on real ethanol, whose model is at hand."""
    config = mt.demo_config(tmp_path_factory.mktemp("runs"), "judged")
    config.data.train.index = config.data.validation.index = ":6"
    config.data.batch_size = 2
    config.trainer.max_epochs = 2
    model, _ = mt.MatterTuner(config).tune()
    return RunDirectory(config.run.root / "judged"), model


def test_the_numbers_are_those_of_ase_and_numpy_on_the_validation_set(trained):
    run, model = trained
    frames = ase.io.read(mt.demo_data("validation"), ":6")
    untuned = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    expected = {}
    for name, one in (("before", untuned), ("after", model)):
        calculator = one.ase_calculator()
        wrong = []
        for atoms in frames:
            copy = atoms.copy()
            copy.calc = calculator
            wrong.append(copy.get_forces() - atoms.get_forces())
        expected[name] = 1000 * np.abs(wrong).mean()
    forces = verdict(summary_of(run)).changes[0]
    assert (forces.name, forces.unit) == ("forces", "meV/Å")
    assert forces.before == pytest.approx(expected["before"], rel=1e-3)
    assert forces.after == pytest.approx(expected["after"], rel=1e-3)


def test_a_summary_is_written_at_the_end_and_read_only_as_long_as_it_is_true(trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained[0].path, tmp_path / "run"))
    file = run.path / "summary.json"
    written = json.loads(file.read_text())
    assert written["n_epochs"] == 2
    assert (written["n_train"], written["n_validation"]) == (6, 6)
    assert written["sources"] == [str(run.config().data.train.src)]
    about = {name: written.pop(name) for name in ("of", "checksum")}
    other = written | {"seconds": 12345.0}
    file.write_text(json.dumps(about | {"checksum": checksum(other)} | other))
    assert summary_of(run).seconds == 12345.0
    for damaged in ({"seconds": 12345.0}, {"baseline": 3.0}, {"holes": ["none"]}):
        file.write_text(json.dumps(about | written | damaged))
        assert summary_of(run).seconds < 1000
        assert verdict(summary_of(run)).changes
    append_line(run.metrics_file, {"kind": "metrics", "time": 1e12, "epoch": 2, "step": 9})
    assert summary_of(run).n_epochs == 3
    file.write_text("{")
    assert summary_of(run).n_epochs == 3


@pytest.mark.parametrize(("mode", "best"), [("min", 0), ("max", 1)])
def test_the_best_is_that_of_the_mode(mode, best, trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained[0].path, tmp_path / "run"))
    config = run.config()
    config.trainer.checkpoint.monitor, config.trainer.checkpoint.mode = "val/r2", mode
    run.config_file.write_text(config.to_yaml())
    run.metrics_file.unlink()
    for epoch, value in enumerate((0.2, 0.9, 0.5)):
        run.append_metrics("metrics", epoch, epoch, {"val/r2": value, "val/forces_mae": value})
    assert summary_of(run).best["epoch"] == best
    assert verdict(summary_of(run)).best == (best + 1, 3)


def test_time_between_a_stop_and_a_resume_is_not_time_in_training(trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained[0].path, tmp_path / "run"))
    run.metrics_file.unlink()
    for kind, time in [("m", 100.0), ("m", 110.0), ("resumed", 5000.0), ("m", 5004.0)]:
        append_line(run.metrics_file, {"kind": kind, "time": time, "epoch": 0, "step": int(time)})
    found = summary_of(run)
    assert (found.started, found.seconds) == (100.0, 14.0)


def test_a_property_that_a_user_named_is_told_in_its_unit():
    settings = {"model.properties.0.name": "band_gap", "model.properties.0.unit": "eV"}
    settings |= {"model.properties.1.name": "charges", "model.properties.1.unit": ""}
    best = {"epoch": 3, "val/band_gap_mae": 0.3, "val/charges_mae": 0.05}
    baseline = {"baseline/band_gap_mae": 0.9, "baseline/charges_mae": 0.04}
    found = verdict(summary(settings=settings, best=best, baseline=baseline))
    assert "band gap 0.9 → 0.3 eV, 3.0 × better than untuned" in str(found)
    assert "charges 0.04 → 0.05," in str(found)
    assert found.worse == ("charges",)
