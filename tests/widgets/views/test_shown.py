"""Scales of arrows and colours, compared with matplotlib's own and with sums done by hand."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from ase.build import bulk, molecule
from matplotlib.colors import to_rgb

from mattertune_nb.widgets.views.captions import color_bar_html
from mattertune_nb.widgets.views.shown import TWO_SIDED, Shown


def test_arrows_have_a_round_scale_by_which_they_can_be_seen():
    small = Shown(bulk("Cu"), np.array([[0.003, 0.0, 0.0]]))
    assert small.scale == 500
    assert small.scale * small.longest == pytest.approx(1.5)
    assert Shown(bulk("Cu"), np.zeros((1, 3))).scale == 1


def test_norms_are_coloured_from_zero_to_their_largest_as_matplotlib_does():
    values = np.array([1.0, 2.0, 5.0])
    shown = Shown(molecule("H2O"), values=values, label="force (meV/Å)")
    assert shown.limits == (0.0, 5.0)
    expected = mpl.colormaps["viridis"](mpl.colors.Normalize(0, 5)(values))[:, :3]
    # five colours of the map and straight lines between them
    assert np.abs(shown.colors() - expected).max() < 0.06
    assert shown.fractions() == pytest.approx(values / 5)


def test_zero_is_white_in_a_scale_for_both_signs():
    shown = Shown(molecule("H2O"), values=np.array([-0.8, 0.0, 0.4]))
    assert shown.limits == (-0.8, 0.8)
    assert shown.colormap == TWO_SIDED
    assert shown.colors()[0] == pytest.approx(to_rgb(TWO_SIDED[0]))
    assert shown.colors()[1] == pytest.approx(to_rgb("#f7f7f7"))
    # the redder half: as far above zero as half of the scale
    red, green, blue = shown.colors()[2]
    assert red > green
    assert red > blue


def test_negative_values_alone_use_the_scale_from_end_to_end():
    shown = Shown(molecule("H2O"), values=np.array([-3.0, -2.0, -1.0]))
    assert shown.limits == (-3.0, -1.0)
    assert shown.fractions().tolist() == [0.0, 0.5, 1.0]


def test_the_colour_bar_says_what_and_how_much():
    shown = Shown(molecule("H2O"), values=np.array([1.0, 2.0, 250.0]), label="force (meV/Å)")
    bar = color_bar_html(shown)
    assert "force (meV/Å)" in bar
    for tick in ("0", "125", "250"):
        assert f"<span>{tick}</span>" in bar
    assert color_bar_html(Shown(molecule("H2O"))) == ""


def test_the_numbers_of_a_structure_are_those_that_are_drawn():
    atoms = molecule("H2O")
    table = Shown(atoms, np.ones((3, 3)), np.arange(3.0), "charge (e)").numbers()
    assert list(table) == [
        "atom", "element", "x (Å)", "y (Å)", "z (Å)",
        "arrow x (eV/Å)", "arrow y (eV/Å)", "arrow z (eV/Å)", "charge (e)",
    ]  # fmt: skip
    assert table["y (Å)"].tolist() == atoms.positions[:, 1].tolist()
