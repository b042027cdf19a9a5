"""What becomes of other structures is measured beside a fit, told, kept, and costs little."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from ase.io import read, write
from lightning.pytorch import Trainer

import mattertune_nb as mt
from mattertune_nb.physics.foreign import Predictor
from mattertune_nb.physics.kinds import OWN
from mattertune_nb.recipes.foreign import OF_ENERGY, OF_FORCES
from mattertune_nb.training.outcome.elsewhere import elsewhere
from mattertune_nb.training.outcome.verdict import verdict
from mattertune_nb.training.records.foreign import read_foreign
from mattertune_nb.training.records.summary import Summary, summary_of
from mattertune_nb.widgets.live.elsewhere_view import ElsewhereView
from mattertune_nb.widgets.live.series import CurveData


class Own(mt.FinetuneModuleBase):
    """Somebody's own module."""


def data() -> mt.MatterTuneDataModule:
    return mt.MatterTuneDataModule(
        mt.ManualSplitDataModuleConfig(
            train=mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":4"),
            validation=mt.XYZDatasetConfig(src=mt.demo_data("validation"), index=":2"),
            batch_size=2,
        )
    )


def test_under_any_trainer_it_logs_what_the_weights_have_changed(tmp_path):
    monitor = mt.ForeignMonitor(share=1000.0)
    model = Own(mt.CHGNetBackboneConfig())
    trainer = Trainer(
        max_epochs=2,
        callbacks=[monitor],
        logger=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(model, data())
    foreign = monitor.foreign
    assert len(foreign) > 40
    untuned = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig()).eval()
    predict = Predictor(foreign.frames, model.backbone)
    others = [i for i, kind in enumerate(foreign.kinds) if kind != OWN]
    before, after = (
        np.concatenate([f[i] for i in others]) for _, f in map(predict, (untuned, model.eval()))
    )
    change = np.abs(after - before).mean()
    assert float(trainer.callback_metrics[OF_FORCES]) == pytest.approx(change, rel=1e-3)
    assert change > 1e-3
    assert monitor.last.step == trainer.global_step
    assert float(trainer.callback_metrics[OF_ENERGY]) == pytest.approx(monitor.last.errors.energy)


@pytest.fixture
def oxide(tmp_path, copper_xyz):
    """Return a file with labelled structures that are not copper."""
    frames = read(copper_xyz, ":3")
    for atoms in frames:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.symbols[0] = "O"
        atoms.calc.atoms.symbols[0] = "O"
        atoms.calc.results = {"energy": energy + 100.0, "forces": forces}
    write(tmp_path / "oxide.xyz", frames)
    return tmp_path / "oxide.xyz"


@pytest.fixture
def run(morse_config, oxide):
    foreign = mt.ForeignSetConfig(file=oxide, share=1.0)
    return mt.MatterTuner(morse_config(foreign_set=foreign)).tune().run


def test_a_run_keeps_curve_untuned_line_and_what_the_best_weights_do(run, oxide):
    frames = read(oxide, ":")
    model = run.model()
    calculator = model.ase_calculator()
    wrong = [calculator.get_property("forces", a.copy()) - a.get_forces() for a in frames]
    error = np.abs(np.concatenate(wrong)).mean()
    record = read_foreign(run.directory)
    assert record.is_best
    assert record.tuned["forces"] == pytest.approx(error, rel=1e-4)
    assert record.counts == {
        frames[0].get_chemical_formula(): 2,
        frames[1].get_chemical_formula(): 1,
    }
    untuned = mt.FinetuneModuleBase(model.hparams).ase_calculator()
    before = [untuned.get_property("forces", a.copy()) - a.get_forces() for a in frames]
    before = np.abs(np.concatenate(before)).mean()
    (baseline,) = [r for r in run.metrics() if "baseline/" + OF_FORCES in r]
    assert baseline["step"] == 0
    assert baseline["baseline/" + OF_FORCES] == pytest.approx(before, rel=1e-4)
    curves = CurveData()
    curves.add(run.metrics())
    (panel,) = [p for p in curves.ordered() if p.title == "forces elsewhere"]
    assert panel.unit == "meV/Å"
    assert panel.lines["untuned"] == pytest.approx(1e3 * before, rel=1e-4)
    assert len(panel.series["in training"]) == 3


def test_it_is_told_in_verdict_table_panel_and_report(run):
    record = read_foreign(run.directory)
    before, after = (1e3 * part["forces"] for part in (record.untuned, record.tuned))
    said = str(run.verdict())
    assert f"elsewhere (oxide.xyz, 3 structures) forces {before:.0f} → {after:.0f} meV/Å" in said
    (row,) = mt.runs(run.path.parent).rows
    assert float(row["forces elsewhere (meV/Å)"]) == pytest.approx(after, abs=0.06)
    view = ElsewhereView(run)
    view.refresh()
    assert f">{after:.1f}</td>" in view.text
    assert "the best weights" in view.text
    page = run.report().read_text()
    assert "oxide.xyz, which is not used for training" in page


def test_of_structures_that_were_made_changes_are_told():
    record = {
        "source": "",
        "counts": {"molecules": 2, "surfaces": 1},
        "untuned": {"forces": 0.0, "energy": 0.0},
        "tuned": {"forces": 0.0123, "energy": 0.0045},
        "is_best": True,
    }

    told = elsewhere(Summary(foreign=record))
    assert str(told) == (
        "elsewhere (3 structures) forces changed by 12.3 meV/Å, energies by 4.5 meV/atom"
    )
    own = record | {
        "counts": {"surfaces": 1, OWN: 2},
        "by_kind": {"surfaces": record["tuned"], OWN: {"forces": 0.2, "energy": 0.1}},
    }
    assert str(elsewhere(Summary(foreign=own))).startswith(
        "elsewhere (1 structure) forces changed by 12.3 meV/Å (of the target's elements alone by 200), "
    )
    assert elsewhere(Summary()) is None
    assert elsewhere(Summary(foreign={"tuned": 3})) is None
    damaged = record | {"tuned": {"forces": None, "energy": 1}}
    assert elsewhere(Summary(foreign=damaged)) is None
    judged = verdict(Summary(foreign=record, best={"epoch": 0, "val/forces_mae": 1.0}, n_epochs=1))
    assert "elsewhere (3 structures)" in str(judged)
    assert not judged.worse


def test_a_resumed_run_goes_on_with_the_labels_of_the_untuned_model(run, morse_config, oxide):
    before = json.loads(run.directory.foreign_file.read_text())
    oxide.unlink()
    config = run.config()
    config.trainer.max_epochs = 5
    again = mt.MatterTuner(config).resume(run.path).run
    after = json.loads(again.directory.foreign_file.read_text())
    assert after["untuned"] == before["untuned"]
    assert after["epoch"] > before["epoch"]
    assert after["tuned"] != before["tuned"]


def test_the_share_of_time_is_kept(morse_config, oxide, monkeypatch):
    """A measurement that takes long is made once, and the best weights are measured at the end."""
    from mattertune_nb.recipes import budget

    clock = iter(range(0, 10**6, 10))
    # its own clock alone: others ask theirs at each step
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    config = morse_config(foreign_set=mt.ForeignSetConfig(file=oxide, share=0.01), max_epochs=6)
    run = mt.MatterTuner(config).tune().run
    assert len([r for r in run.metrics() if OF_FORCES in r]) == 1
    assert read_foreign(run.directory).is_best


def test_without_it_nothing_is_measured(morse_config):
    run = mt.MatterTuner(morse_config(foreign_set=None, max_epochs=1)).tune().run
    assert read_foreign(run.directory) is None
    assert run.verdict().elsewhere is None
    assert "elsewhere" not in str(run.verdict())


def test_a_record_survives_a_damaged_file(run):
    assert dataclasses.asdict(read_foreign(run.directory)) == summary_of(run.directory).foreign
    run.directory.foreign_file.write_text("[")
    assert read_foreign(run.directory) is None
    assert run.verdict().elsewhere is None
