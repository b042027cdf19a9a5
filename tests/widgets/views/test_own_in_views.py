"""Numbers and vectors that a user names, in parity, comparison and report."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_backbone import HeadedMorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.training.outcome.evaluation import evaluate
from mattertune_nb.training.outcome.models import untuned_of
from mattertune_nb.widgets.report.predictions import Predictions, parity, worst
from mattertune_nb.widgets.views.before_after import BeforeAfter
from mattertune_nb.widgets.views.pairs import parity_data
from mattertune_nb.widgets.views.parity import ParityView

LEARNT = [
    mt.GraphPropertyConfig(name="volume", key="V", unit="Å³/atom"),
    mt.AtomPropertyConfig(name="near_by"),
    mt.VectorPropertyConfig(name="dipole", unit="eÅ"),
]


@pytest.fixture
def frames(copper_xyz):
    """Return frames with labels of all three kinds, two of them without one."""
    import ase.io

    frames = ase.io.read(copper_xyz, ":6")
    for i, atoms in enumerate(frames):
        atoms.info |= {"V": atoms.get_volume() / len(atoms) + i, "dipole": np.arange(3.0) + i}
        atoms.arrays["near_by"] = np.arange(len(atoms)) / 7
    del frames[0].info["V"], frames[1].info["dipole"]
    return frames


@pytest.fixture
def model(frames):
    """Return a model whose heads have been moved away from the mean of the labels."""
    torch.manual_seed(0)
    learnt = [p.model_copy(update={"missing": "mask"}) for p in LEARNT]
    model = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=learnt)).eval()
    model.heads.fit(dataset(frames))
    for parameter in model.heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def dataset(frames):
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()


def test_pairs_are_labels_and_predictions_in_the_unit_of_the_labels(model, frames):
    data = parity_data(model, dataset(frames))
    predicted = model.property_predictor().predict(frames)
    expected = {
        "volume": ([a.info["V"] for a in frames[1:]], [r["volume"] for r in predicted[1:]]),
        "near_by": tuple(
            np.concatenate(parts)
            for parts in zip(
                *(
                    (a.arrays["near_by"], r["near_by"])
                    for a, r in zip(frames, predicted, strict=True)
                ),
                strict=True,
            )
        ),
        "dipole": tuple(
            np.concatenate([rows[i] for i in range(len(frames)) if i != 1])
            for rows in ([a.info.get("dipole") for a in frames], [r["dipole"] for r in predicted])
        ),
    }
    for name, (label, prediction) in expected.items():
        np.testing.assert_allclose(data[name].label, label)
        np.testing.assert_allclose(data[name].prediction, prediction, rtol=1e-5)
    assert data["dipole"].place(4) == "dipole y"
    assert data["near_by"].place(2) == "Cu 2, near by"
    assert data["near_by"].axis_titles() == ("label", "prediction")


def test_parity_offers_them_with_their_unit_and_saves_them(model, frames):
    view = ParityView(model, dataset(frames), parity_data(model, dataset(frames)))
    assert {"Volume", "Near by", "Dipole"} <= {title for title, _ in view.property.options}
    view.property.value = "volume"
    assert "volume (Å³/atom)" in view._errors.value
    assert view.plot.widget.layout.xaxis.title.text == "label (Å³/atom)"
    assert "dipole error (eÅ)" in view.numbers()


def test_before_training_a_head_says_the_mean_of_the_training_labels(model, frames):
    untuned = untuned_of(model)
    view = BeforeAfter(untuned, model, dataset(frames))
    view.work.start()
    before, *_, after = view.stages.values()
    labels = np.array([atoms.info["V"] for atoms in frames[1:]])
    np.testing.assert_allclose(before["volume"].prediction, labels.mean())
    assert before["volume"].mae == pytest.approx(np.abs(labels - labels.mean()).mean())
    assert np.std(after["volume"].prediction) > 0
    assert "volume (Å³/atom)" in view._table.value


def test_evaluation_has_the_same_untuned_numbers(model, frames):
    labels = np.array([atoms.info["V"] for atoms in frames[1:]])
    spread = np.abs(labels - labels.mean()).mean()
    assert evaluate(untuned_of(model), dataset(frames))["volume_mae"] == pytest.approx(spread)


def test_the_report_has_their_parity_and_worst_structures(model, frames):
    data = parity_data(model, dataset(frames))
    predictions = Predictions(dataset(frames), data, len(frames), model.hparams.learnt)
    assert "dipole (eÅ)" in parity(predictions)
    errors = [np.nan if i == 0 else 0.0 for i in range(len(frames))]
    np.testing.assert_array_equal(np.isnan(predictions.errors()), np.isnan(errors))
    assert "error of the volume" in worst(predictions)


def test_explore_plots_them_beside_energy_and_forces(frames):
    view = mt.explore(frames, [LEARNT[0], "near_by", "dipole"])
    view.wait()
    told = view.numbers()
    volumes = [np.nan, *(a.info["V"] for a in frames[1:])]
    np.testing.assert_allclose(told["volume (Å³/atom)"], volumes)
    np.testing.assert_allclose(
        told["largest near by"], [np.abs(a.arrays["near_by"]).max() for a in frames]
    )
    lengths = [np.linalg.norm(a.info.get("dipole", [np.nan] * 3)) for a in frames]
    np.testing.assert_allclose(told["length of dipole"], lengths)
    assert "volume (Å³/atom) 5" in view.children[0].value
    assert view.plots.trace("volume (Å³/atom)").y.tolist() == [1, 2, 3, 4, 5]
    assert "'near_by'?" in mt.explore(frames, ["near_b"]).text


def test_explore_reads_a_key_that_only_later_frames_have(frames):
    assert "V" in mt.explore(frames, ["V"]).numbers()
