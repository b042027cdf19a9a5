"""Three stages with three names, the errors of evaluate, and a gain that is told as it is."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from test_parity_data import forces

import mattertune_nb as mt
from mattertune_nb.training.outcome.evaluation import evaluate_stages
from mattertune_nb.widgets.views.before_after import error_table_html

STAGES = ("untuned", "untuned, energies re-referenced", "tuned")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run of a few epochs, and frames it has not seen."""
    folder = tmp_path_factory.mktemp("runs")
    config = mt.demo_config(folder, "run")
    config.data.train.index = config.data.validation.index = ":8"
    config.data.batch_size = 4
    config.trainer.max_epochs = 3
    mt.MatterTuner(config).tune()
    test = mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":6").create_dataset()
    return folder / "run", test


def cells(table: str) -> list[list[str]]:
    """Return the text of an HTML table by rows."""
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def test_the_errors_of_each_stage_are_those_of_evaluate(run):
    path, test = run
    expected = evaluate_stages(path, test)
    view = mt.before_after(mt.Run.attach(path), test)
    view.wait(120)
    assert tuple(view.stages) == tuple(expected) == STAGES
    for stage, data in view.stages.items():
        errors = expected[stage]
        assert data["energy"].mae == pytest.approx(1000 * errors["energy_per_atom_mae"], rel=1e-5)
        assert data["forces"].mae == pytest.approx(1000 * errors["forces_mae"], rel=1e-5)
    head, *rows = cells(view._table.value)
    assert head == ["mean absolute error", *STAGES, "gain"]
    assert [row[0] for row in rows] == ["energy (meV/atom)", "forces (meV/Å)"]
    shown = [float(cell) for cell in rows[1][1:4]]
    maes = [1000 * expected[stage]["forces_mae"] for stage in STAGES]
    assert shown == pytest.approx(maes, rel=5e-3)
    assert shown[2] < shown[1]
    assert rows[1][4] == f"{maes[1] / maes[2]:.1f} × smaller"
    view.close()


def test_it_is_written_to_files_exactly(run, tmp_path):
    path, test = run
    view = mt.before_after(path, test)
    view.wait(120)
    for kind in ("png", "svg"):
        assert view.save(tmp_path / f"stages.{kind}").stat().st_size > 1000
    with view.save(tmp_path / "stages.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["component"].startswith("F")]
    for stage in STAGES:
        read = [float(row[f"{stage}: forces prediction (meV/Å)"]) for row in rows]
        assert np.array_equal(read, view.stages[stage]["forces"].prediction)
    assert view._repr_mimebundle_()["text/plain"].startswith(
        f"mean absolute error, {STAGES[0]} -> "
    )
    view.close()


def test_without_a_front_end_it_is_a_table_and_a_picture(run, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    bundle = mt.before_after(*run)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    for stage in STAGES:
        assert f">{stage}</th>" in bundle["text/html"]


@pytest.mark.parametrize(
    ("after", "words", "color"),
    [
        (20.0, "5.0 × smaller", "#2ca02c"),
        (97.0, "no better", "#7d828a"),
        (130.0, "1.3 × larger", "#d9534f"),
    ],
)
def test_a_gain_is_told_as_it_is_in_words_and_colour(after, words, color):
    stages = {
        stage: {"forces": forces([0.0, 0.0], [error, -error])}
        for stage, error in zip(STAGES, (500.0, 100.0, after), strict=True)
    }
    table = error_table_html(stages)
    assert cells(table)[1] == ["forces (meV/Å)", "500", "100", f"{after:.3g}", words]
    assert f'color:{color}">{words}' in table


def test_without_structures_those_of_the_validation_are_shown(run):
    path, _ = run
    validation = mt.XYZDatasetConfig(src=mt.demo_data("validation"), index=":8").create_dataset()
    expected = evaluate_stages(path, validation)
    view = mt.before_after(path)
    view.wait(120)
    for stage, errors in expected.items():
        forces = view.stages[stage]["forces"]
        assert forces.mae == pytest.approx(1000 * errors["forces_mae"], rel=1e-5)
    view.close()
    assert "give a file" in mt.parity(mt.Run.attach(path).model()).text


def test_a_composition_that_the_references_do_not_determine_is_told(run):
    path, test = run
    oxide = bulk("MgO", "rocksalt", a=4.3, cubic=True)
    oxide.rattle(0.05, seed=0)
    oxide.calc = SinglePointCalculator(oxide, energy=-40.0, forces=np.ones((len(oxide), 3)))
    words = "undetermined for the composition of 1 of 1 structures (first: Mg4O4)"
    for frames, told in (([oxide], True), (test, False)):
        before = mt.before_after(mt.Run.attach(path), frames)
        before.wait(120)
        assert (words in before._table.value) == told
        before.close()
        parity = mt.parity(path, frames)
        parity.wait(120)
        for name, data in parity.data.items():
            legend = parity._legend_html(data, "density").replace("\xa0", " ")
            # the forces do not depend on references
            assert (words in legend) == (told and name == "energy")
        parity.close()
