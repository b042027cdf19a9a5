"""Ensembles: trained as one, used as one model, its spread compared with its errors."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.outcome.evaluation import evaluate_stages
from mattertune_nb.training.outcome.models import load_model
from mattertune_nb.training.outcome.predicted_file import predict_file
from mattertune_nb.training.outcome.spread import calibrate


@pytest.fixture
def trained(morse_config):
    return new_ensemble(morse_config("few", max_epochs=1), 2).train()


def test_its_folder_is_no_run_and_the_error_says_how_to_open_it(trained):
    with pytest.raises(mt.RunError, match=r"several runs.*few/1.*mt\.EnsembleRun"):
        mt.Run.attach(trained.path)


def test_predictor_and_calculator_give_mean_and_spread_of_members_of_other_seeds(
    trained, copper_xyz
):
    assert trained.is_done()
    assert [run.config().run.seed for run in trained.runs()] == [0, 1]
    first, other = (run.directory.splits_file.read_text() for run in trained.runs())
    assert other == first

    atoms = ase.io.read(copper_xyz, 0)
    model = trained.model()
    members = [run.model().property_predictor().predict([atoms])[0] for run in trained.runs()]
    (found,) = model.property_predictor().predict([atoms])
    for name in ("energy", "forces", "stresses"):
        each = np.stack([member[name] for member in members])
        assert found[name] == pytest.approx(each.mean(axis=0), rel=1e-5, abs=1e-7)
        spread = model.factors[name] * each.std(axis=0, ddof=1)
        assert found[f"{name}_std"] == pytest.approx(spread, rel=1e-3, abs=1e-6)
    assert found["forces_std"].max() > 0

    atoms.calc = mt.MatterTuneCalculator(trained.path)
    assert atoms.get_potential_energy() == pytest.approx(found["energy"])
    assert atoms.calc.results["energy_std"] == pytest.approx(found["energy_std"])
    assert atoms.calc.results["forces_std"] == pytest.approx(found["forces_std"])
    assert atoms.calc.get_property("stress_std", atoms).shape == (6,)
    atoms.pbc = False
    (found,) = model.property_predictor().predict([atoms])
    assert "stresses_std" not in found
    assert "energy_std" in found


def test_the_spread_is_multiplied_so_that_it_is_as_large_as_the_errors(trained, copper_xyz):
    data = mt.open_dataset(copper_xyz)
    trained.calibrate(data)
    found = calibrate(trained.model(), data)
    plain = calibrate(mt.Ensemble(trained.runs()), data)
    assert plain["forces"].factor == pytest.approx(found["forces"].factor, rel=1e-4)
    model = trained.model()
    predicted = model.property_predictor().predict([data.frame(i) for i in range(len(data))])
    errors = [p["forces"] - data.labels(i)["forces"] for i, p in enumerate(predicted)]
    spreads = [p["forces_std"] for p in predicted]
    assert np.square(np.vstack(spreads)).mean() == pytest.approx(
        np.square(np.vstack(errors)).mean()
    )


def test_a_member_that_was_stopped_is_resumed_and_the_others_follow(morse_config, monkeypatch):
    series = new_ensemble(morse_config("cut", max_epochs=4), 2)
    run_file = series.path / "1"
    from mattertune_nb.training.callbacks.supervisor import RunSupervisor

    reached = RunSupervisor.on_train_epoch_end

    def stop_at_first(self, trainer, pl_module):
        reached(self, trainer, pl_module)
        (run_file / "STOP").touch()

    with monkeypatch.context() as patch:
        patch.setattr(RunSupervisor, "on_train_epoch_end", stop_at_first)
        assert not series.train().is_done()
    assert [run.status().state for run in series.runs()] == ["stopped"]
    with pytest.raises(mt.RunError, match="an ensemble needs at least two"):
        series.model()
    assert mt.EnsembleRun(series.path).train().is_done()
    assert len(series.runs()) == 2


def test_its_folder_stands_for_a_run(trained, copper_xyz, tmp_path, morse_config):
    assert isinstance(load_model(trained.path), mt.Ensemble)
    stages = evaluate_stages(trained.path, mt.open_dataset(copper_xyz))
    assert set(stages) == {"untuned", "untuned, energies re-referenced", "tuned"}
    predict_file(trained.path, copper_xyz, tmp_path / "out.xyz")
    written = ase.io.read(tmp_path / "out.xyz", 0)
    assert written.info["energy_std"] > 0
    assert written.arrays["forces_std"].shape == (len(written), 3)
    with pytest.raises(mt.ConfigError, match="two members or more"):
        mt.Ensemble([trained.runs()[0]])
    with pytest.raises(mt.ConfigError, match="two or more, got 1"):
        new_ensemble(morse_config("one"), 1)
    with pytest.raises(mt.RunError, match="'few' is in use"):
        new_ensemble(morse_config("few"), 2)
    with pytest.raises(mt.RunError, match="contains no ensemble"):
        mt.EnsembleRun(trained.runs()[0].path)


def test_parity_and_viewer_show_the_spread(trained, copper_xyz, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "0")
    shown = mt.parity(trained)
    values = shown.data["forces"]
    assert values.has_spread
    assert "spread" in [name for name, _ in shown.color.options]
    assert "rank correlation" in shown._spread.words.value
    assert shown._spread.image.value
    assert "forces spread (meV/Å)" in shown.numbers()
    view = mt.view(copper_xyz, model=trained.model(), color="force_spread")
    (expected,) = trained.model().property_predictor().predict([view.frames[0]])
    norms = 1000 * np.linalg.norm(expected["forces_std"], axis=1)
    assert view.frame_shown.values == pytest.approx(norms)
    alone = mt.view(copper_xyz, model=trained.runs()[0].model(), color="force_spread")
    assert "needs an ensemble" in alone.text
