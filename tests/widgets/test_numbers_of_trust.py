"""Numbers by which people judge data, spread and what a model has forgotten, computed once more here."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.data.contents import Contents
from mattertune_nb.doctor.finding import Finding, Report
from mattertune_nb.model.calibration import calibration
from mattertune_nb.model.novelty import Novelty
from mattertune_nb.training.outcome.elsewhere import Elsewhere
from mattertune_nb.training.records.foreign import ForeignRecord
from mattertune_nb.widgets.forms.contents_view import contents_html
from mattertune_nb.widgets.forms.split_view import expected_html
from mattertune_nb.widgets.live.distance_view import distance_html
from mattertune_nb.widgets.live.elsewhere_view import foreign_html


def finding(severity):
    """Return a finding of a kind."""
    return Finding("an-id", severity, "Something is odd.", "Look at it.", source="a.xyz")


def test_findings_are_counted_by_how_bad_they_are():
    report = Report((finding("error"), finding("error"), finding("warning")), 70, 12)
    assert report.summary() == "70 frames looked at, 12 of them predicted: 2 errors, 1 warning."


def test_labels_of_a_file_are_counted_among_the_frames_that_were_read():
    labels = {"energy": 50, "forces": 20, "stresses": 0}
    found = Contents(
        1200, 50, ("H", "O"), (3, 9), labels, {"energy": "e", "forces": "f", "stresses": "s"}
    )
    html = contents_html(found)
    assert "<b>1\u202f200</b> frames" in html
    assert "<b>3–9</b> atoms per frame" in html
    assert '<b>energy</b> <span class="mt-unit">(eV)</span> under &#x27;e&#x27;: all frames' in html
    assert (
        '<b>forces</b> <span class="mt-unit">(eV/Å)</span> under &#x27;f&#x27;: 20 of 50 frames'
        in html
    )
    assert "no stresses" in html
    assert "Read 50 of 1200 frames" in html


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        ({"train_split": 0.75}, "about 30 training · 10 validation"),
        (
            {"train_split": 0.75, "train_share": 0.5},
            "about 15 training · 10 validation · 15 not used",
        ),
        (
            {"train_split": 20, "validation_split": 6},
            "about 20 training · 6 validation · 14 not used",
        ),
        ({"train_split": 0.5, "test_split": 0.25}, "about 20 training · 10 validation · 10 test"),
    ],
)
def test_a_split_is_drawn_as_the_split_itself_reckons(settings, drawn):
    dataset = mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":40")
    data = mt.AutoSplitDataModuleConfig(dataset=dataset, split="order", **settings)
    html, _ = expected_html(data, {"dataset": 40})
    assert f'aria-label="{drawn}"' in html
    # taken in their order, the frames are just so many
    taken = {stage: len(part) for stage, part in data.create_datasets().items()}
    assert data.expected_counts({"dataset": 40}) == taken


def test_the_usual_distance_is_the_middle_one():
    far = {"validation": Novelty(np.arange(5), np.array([0.5, 0.6, 0.7, 0.8, 9.0]))}
    assert "Medians: validation 0.7." in distance_html(far)


def test_errors_are_compared_with_the_spread_by_their_size():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.1, 1.0, 400)
    error = 3 * spread * rng.choice([-1, 1], 400)
    found = calibration(error, spread)
    assert found.factor == pytest.approx(3.0)
    assert found.correlation == pytest.approx(1.0)
    assert str(found) == "errors are 3 × the spread; rank correlation 1.00"


def test_models_that_are_all_but_alike_say_nothing_of_their_errors():
    errors, spreads = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    assert str(calibration(errors, spreads)).endswith("rank correlation −1.00")
    said = str(calibration(errors, 1e-5 * spreads))
    assert (
        said == "the spread is less than 1/100 of the errors, and carries no information about them"
    )


def record(**changed):
    """Return what a run knows of a file of other structures, errors in eV/Å and eV/atom."""
    known = {
        "source": "/somewhere/oxide.xyz",
        "counts": {"frames": 8},
        "untuned": {"forces": 0.080, "energy": 0.0100},
        "tuned": {"forces": 0.200, "energy": 0.0040},
        "by_kind": {"frames": {"forces": 0.200, "energy": 0.0040}},
        "is_best": True,
    }
    return ForeignRecord(**known | changed)


def test_errors_elsewhere_are_those_of_the_record_in_the_units_that_are_told():
    told = Elsewhere(record())
    assert (told.forces, told.energy) == pytest.approx((1000 * 0.200, 1000 * 0.0040))
    assert str(told) == (
        "elsewhere (oxide.xyz, 8 structures) forces 80.0 → 200 meV/Å, 2.5 × worse than untuned, "
        "energy 10.0 → 4.0 meV/atom, 2.5 × better than untuned"
    )


def test_the_panel_elsewhere_shows_the_same():
    html = foreign_html(record())
    assert ">200.0</td>" in html
    assert ">4.0</td>" in html
    assert unbroken("80.0 meV/Å, 10.0 meV/atom") in html
    assert all(f"({prop.shown_unit})" in html for prop in (FORCES, ENERGY))


def test_a_learning_curve_promises_what_its_power_law_says():
    from mattertune_nb.training.learning_curve import power_law

    law = power_law([10, 20, 40], [80.0, 40.0, 20.0])
    assert law.after(2.0)[0] == pytest.approx(10.0)
    assert law.exponent == pytest.approx(1.0)
    assert math.isclose(law.exponent_error, 0.0, abs_tol=1e-9)


def test_the_suggested_rate_is_where_the_loss_falls_and_not_where_it_rises():
    from mattertune_nb.training.estimate.searches import steepest

    rates = np.geomspace(1e-6, 1e-1, 60)
    falls, rises = np.log10(rates) + 3.5, np.log10(rates) + 1.5
    losses = 1 / (1 + np.exp(6 * falls)) + 5 / (1 + np.exp(-6 * rises))
    assert math.log10(steepest(rates.tolist(), losses.tolist())) == pytest.approx(-3.5, abs=0.4)


def test_spreads_of_chosen_structures_are_told_in_their_unit():
    from mattertune_nb.training.selection import Selection

    pool = mt.open_dataset(mt.demo_data("test"))
    spread = np.linspace(0.01, 0.09, len(pool))
    chosen = Selection(
        pool, np.array([3, 7]), "uncertainty", spread, None, np.zeros((len(pool), 2))
    )
    assert chosen.table()["largest force spread (meV/Å)"] == [
        round(1000 * spread[3], 1),
        round(1000 * spread[7], 1),
    ]
