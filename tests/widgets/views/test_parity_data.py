"""Numbers of a parity view against formulas written out here, from the file's own labels."""

from __future__ import annotations

import csv
import io

import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.data import chemical_symbols

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES
from mattertune_nb.data.sources.configs import XYZDatasetConfig
from mattertune_nb.widgets.page.export import csv_text
from mattertune_nb.widgets.views.parity_data import (
    ParityData,
    frame_pairs,
    parity_numbers,
)


def forces(label, prediction, element=None, frame=None) -> ParityData:
    """Return pairs of forces with these values."""
    label = np.asarray(label, float)
    n = len(label)
    return ParityData(
        FORCES,
        label,
        np.asarray(prediction, float),
        frame=np.zeros(n, int) if frame is None else np.asarray(frame),
        component=np.arange(n) % 3,
        atom=np.arange(n) // 3,
        element=np.ones(n, int) if element is None else np.asarray(element),
        norm=np.abs(label),
    )


def energies(label, prediction) -> ParityData:
    """Return pairs of energies with these values."""
    n = len(label)
    return ParityData(
        ENERGY,
        np.asarray(label, float),
        np.asarray(prediction, float),
        frame=np.arange(n),
        component=np.zeros(n, int),
        atom=np.full(n, -1),
        element=np.zeros(n, int),
        norm=np.ones(n),
    )


@pytest.fixture
def copper(copper_xyz):
    """Return frames with labels, and predictions that are known to be off by what is added here."""
    frames, rng = ase.io.read(copper_xyz, ":"), np.random.default_rng(1)
    pairs = []
    for i, atoms in enumerate(frames):
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = EMT()
        labels["stresses"] = atoms.get_stress()
        prediction = {
            "energy": labels["energy"] + 0.02 * len(atoms),
            "forces": labels["forces"] + rng.normal(scale=0.05, size=(len(atoms), 3)),
            "stresses": labels["stresses"] - 0.001,
        }
        found = frame_pairs(i, atoms.numbers, labels, prediction, PROPERTIES.values())
        pairs.append((labels, prediction, found))
    return frames, pairs


def test_errors_are_those_of_the_textbook():
    rng = np.random.default_rng(0)
    label = rng.normal(scale=300, size=500)
    prediction = 0.9 * label + rng.normal(scale=40, size=500) + 5
    values = forces(label, prediction)
    off = [p - t for p, t in zip(prediction.tolist(), label.tolist(), strict=True)]
    mean = sum(label.tolist()) / 500
    assert values.mae == pytest.approx(sum(abs(e) for e in off) / 500, rel=1e-12)
    assert values.rmse == pytest.approx((sum(e * e for e in off) / 500) ** 0.5, rel=1e-12)
    residual = sum(e * e for e in off)
    total = sum((t - mean) ** 2 for t in label.tolist())
    assert values.r2 == pytest.approx(1 - residual / total, rel=1e-12)
    assert 0.9 < values.r2 < 1
    assert values.error == pytest.approx(off)


def test_a_perfect_model_has_r2_of_one_and_a_mean_of_zero():
    label = np.array([1.0, 5.0, -2.0])
    assert forces(label, label).r2 == 1
    assert forces(label, np.full(3, label.mean())).r2 == pytest.approx(0)
    assert forces(label, -label).r2 < 0


def test_units_are_mev_and_energies_are_per_atom(copper):
    frames, pairs = copper
    for atoms, (labels, _, found) in zip(frames, pairs, strict=True):
        assert found["energy"].label == pytest.approx([1000 * labels["energy"] / len(atoms)])
        assert found["energy"].error == pytest.approx([20.0])
        assert found["forces"].label == pytest.approx(1000 * labels["forces"].ravel())
        assert found["stresses"].error == pytest.approx([-1.0] * 6)
        norms = 1000 * np.sqrt((labels["forces"] ** 2).sum(axis=1))
        assert pytest.approx(np.tile(norms, (3, 1))) == found["forces"].norm.reshape(-1, 3).T
        assert found["energy"].norm == pytest.approx([norms.max()])
    units = [pairs[0][2][name].title() for name in ("energy", "forces", "stresses")]
    for title, unit in zip(units, ("meV/atom", "meV/Å", "meV/Å³"), strict=True):
        assert f" {unit}\n" in title
    assert pairs[0][2]["stresses"].axis_titles() == ("label (meV/Å³)", "prediction (meV/Å³)")
    assert pairs[0][2]["forces"].axis_titles() == ("label (meV/Å)", "prediction (meV/Å)")


def test_a_component_is_told_in_words():
    element = [1] * 18
    values = forces([812.0] * 18, [790.0] * 18, element)
    assert values.sentence(15) == "H 5, Fx: label 812, prediction 790, error −22 meV/Å"
    assert values.sentence(17).startswith("H 5, Fz: ")
    assert energies([-3.0, 4.0], [-3.5, 4.0]).sentence(0) == (
        "energy: label −3, prediction −3.5, error −0.5 meV/atom"
    )


def test_stress_components_are_in_voigt_order(copper):
    _, pairs = copper
    places = [pairs[0][2]["stresses"].place(i) for i in range(6)]
    assert places == [f"stress {pair}" for pair in ("xx", "yy", "zz", "yz", "xz", "xy")]


def test_errors_by_element_are_of_its_atoms_alone():
    element = [1, 1, 1, 8, 8, 8]
    values = forces([0.0] * 6, [1.0, -2.0, 3.0, 10.0, 10.0, -40.0], element)
    by = values.elements()
    assert {chemical_symbols[z]: part.mae for z, part in by.items()} == {"H": 2.0, "O": 20.0}
    assert by[8].place(0) == "O 1, Fx"
    assert energies([1.0, 2.0], [1.0, 2.0]).elements() == {}


def test_energies_of_many_kev_are_read_as_differences():
    label = -30_000_000 + np.array([0.0, 5.0, 9.0])
    far = energies(label, label + 40_000 + [1, 0, -1])
    x, y = far.points()
    assert np.abs(x).max() < 10
    assert np.abs(y).max() < 10
    assert "shifted by −40\u202f000" in far.axis_titles()[1]
    near = energies(label, label + 1.0)
    assert near.shift == 0
    assert near.points()[1] - near.points()[0] == pytest.approx(1.0)


def test_labels_that_are_all_the_same_have_no_r2():
    same = forces(np.ones(3), np.arange(3.0))
    assert np.isnan(same.r2)
    assert "R² not defined" in same.title()


def test_the_numbers_in_a_file_are_those_of_the_view_to_the_last_digit(copper, copper_xyz):
    _, pairs = copper
    data = {
        name: ParityData.joined([found[name] for *_, found in pairs])
        for name in ("energy", "forces", "stresses")
    }
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    rows = list(csv.DictReader(io.StringIO(csv_text(parity_numbers(data, dataset)))))
    assert len(rows) == sum(len(values) for values in data.values())
    for name, title, unit in (
        ("energy", "energy", "meV/atom"),
        ("forces", "forces", "meV/Å"),
        ("stresses", "stress", "meV/Å³"),
    ):
        own = [row for row in rows if row[f"{title} label ({unit})"]]
        for what in ("label", "prediction", "error"):
            read = np.array([float(row[f"{title} {what} ({unit})"]) for row in own])
            assert np.array_equal(read, getattr(data[name], what))
    atom = next(row for row in rows if row["component"] == "Fy")
    assert (atom["element"], atom["atom"]) == ("Cu", "0")
    assert atom["frame"].endswith("copper.xyz, frame 0")
