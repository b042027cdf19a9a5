"""The live viewers, as far as they can be seen from Python: what each is told to draw."""

from __future__ import annotations

import json
import re
import sys

import ipywidgets
import numpy as np
import pytest
from ase.build import bulk

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, MissingExtraError
from mattertune_nb.widgets.views import viewers
from mattertune_nb.widgets.views.scene import MARK_COLOR, scene_of
from mattertune_nb.widgets.views.shown import Shown
from mattertune_nb.widgets.views.viewers import VIEWERS, chosen_viewer, new_viewer


@pytest.fixture
def scene():
    """Return rock salt with arrows, colours and a marked atom."""
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    arrows = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    return scene_of(Shown(atoms, arrows, np.array([1.0, 5.0]), "x", marked=1))


@pytest.mark.parametrize("name", VIEWERS)
def test_every_viewer_can_be_filled_again_and_leaves_no_widget(name, scene):
    if name == "weas":
        pytest.importorskip("weas_widget", reason="weas-widget is not installed")
    # what ipywidgets makes once for all is made by the first
    new_viewer(name).dispose()
    before = set(ipywidgets.widgets.widget._instances)
    viewer = new_viewer(name)
    viewer.fill(scene, center=True)
    viewer.fill(scene, center=False, dark=True)
    viewer.dispose()
    assert set(ipywidgets.widgets.widget._instances) == before


def test_nglview_is_told_where_everything_is(scene):
    viewer = new_viewer("nglview")
    viewer.fill(scene, center=True)
    told = json.loads(re.search(r"draw\(this, NGL, (.*), true\);$", viewer.widget.code)[1])
    assert np.array(told["positions"]) == pytest.approx(scene.positions, abs=1e-3)
    assert np.array(told["colors"]) == pytest.approx(scene.colors, abs=1e-3)
    assert np.array(told["arrows"]) == pytest.approx(scene.arrows, abs=1e-3)
    assert told["bonds"] == scene.bonds.tolist()
    assert told["names"] == ["Na 0: 1", "Cl 1: 5"]
    assert told["marked"] == 1
    assert [axis[0] for axis in told["axes"]] == ["a", "b", "c"]
    viewer.dispose()


def test_a_page_that_asks_again_is_told_the_same(scene, monkeypatch):
    viewer = new_viewer("nglview")
    viewer.fill(scene, center=False)
    told = []
    monkeypatch.setattr(viewer.widget, "send", told.append)
    viewer.widget._handle_custom_msg({"type": "request_loaded", "data": True}, [])
    assert told[0]["args"] == [viewer.widget.code]
    viewer.dispose()


def test_rods_of_weas_point_where_they_should(scene):
    pytest.importorskip("weas_widget", reason="weas-widget is not installed")
    from scipy.spatial.transform import Rotation

    viewer = new_viewer("weas")
    viewer.fill(scene, center=True)
    meshes = {mesh["type"]: mesh for mesh in viewer.widget.instancedMeshPrimitive}
    # three axes of the cell, then the arrows, of which one points straight down along y
    expected = np.concatenate(
        [[end for _, _, end in scene.axes], np.diff(scene.arrows, axis=1)[:, 0]]
    )
    for cone, direction in zip(meshes["cone"]["instances"], expected, strict=True):
        along = Rotation.from_euler("XYZ", cone["rotation"]).apply([0, 1, 0])
        assert along == pytest.approx(direction / np.linalg.norm(direction), abs=1e-6)
    halo = viewer.widget.instancedMeshPrimitive[-1]["instances"][0]
    assert halo["color"] == MARK_COLOR
    assert halo["position"] == pytest.approx(scene.positions[1])
    viewer.dispose()


def test_the_viewer_is_nglview_or_what_is_asked_for(monkeypatch):
    assert chosen_viewer() == "nglview"
    monkeypatch.setenv("MATTERTUNE_NB_VIEWER", "picture")
    assert chosen_viewer() == "picture"
    shown = mt.view(bulk("Cu"))
    assert shown.viewer is None
    shown.wake()
    assert shown.viewer is None
    monkeypatch.setenv("MATTERTUNE_NB_VIEWER", "vesta")
    with pytest.raises(ConfigError, match=r"'vesta' is unknown\. Allowed: nglview, weas, picture"):
        chosen_viewer()


def test_a_viewer_that_is_not_installed_is_a_sentence_under_the_picture(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_VIEWER", "weas")
    monkeypatch.setattr(viewers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mattertune-nb\[weas\]'"):
        chosen_viewer()
    shown = mt.view(bulk("Cu"))
    assert shown.viewer is None
    assert "pip install" in shown._caption.value


def test_weas_is_chosen_where_no_extension_is_loaded(monkeypatch):
    pytest.importorskip("weas_widget", reason="weas-widget is not installed")
    monkeypatch.setenv("VSCODE_PID", "1")
    assert chosen_viewer() == "weas"
    monkeypatch.delenv("VSCODE_PID")
    monkeypatch.setitem(sys.modules, "marimo", sys)
    assert chosen_viewer() == "weas"
