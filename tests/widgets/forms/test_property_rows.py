"""Rows of properties in the form: energy, forces, stress, and those that a user names."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.forms.properties import OwnProperties

OWN = [
    mt.GraphPropertyConfig(name="band_gap", unit="eV"),
    mt.VectorPropertyConfig(name="dipole", key="mu", unit="eÅ"),
]


@pytest.fixture
def form(tmp_path):
    """Return a form on the shipped data, open on the model."""
    form = mt.TunerForm(mt.demo_config(root=tmp_path))
    form.editor.open("Model")
    return form


def own_of(form) -> OwnProperties:
    return form.editor.model.inner.properties.own


def test_a_config_with_own_properties_is_shown_and_comes_back_as_it_was(tmp_path):
    config = mt.demo_config(root=tmp_path)
    config.model.properties = [mt.ForcesPropertyConfig(), *OWN]
    form = mt.TunerForm(config)
    form.editor.open("Model")
    assert form.config == config
    assert [row.kind.value for row in own_of(form).rows] == ["graph_property", "vector_property"]
    assert own_of(form).rows[1].inner.editors["key"].get() == "mu"


def test_a_property_is_added_named_and_removed(form):
    before = form.config
    own = own_of(form)
    own.add_button.click()
    assert own.rows[0].inner.editors["name"].problem == "Name is required, e.g. band_gap"
    assert form.config == before
    own.rows[0].inner.editors["name"].control.value = "band_gap"
    own.rows[0].inner.editors["unit"].control.value = "eV"
    assert form.config.model.properties[-1] == OWN[0]
    own.rows[0].kind.value = "atom_property"
    own.rows[0].inner.editors["name"].control.value = "charges"
    assert form.config.model.properties[-1] == mt.AtomPropertyConfig(name="charges")
    own._remove(own.rows[0])
    assert form.config == before


def test_what_is_wrong_is_said_beside_the_field_it_is_wrong_in(form):
    own = own_of(form)
    own.add_button.click()
    name = own.rows[0].inner.editors["name"]
    name.control.value = "energy_per_atom"
    assert "already has another meaning" in name.problem
    name.control.value = "gap"
    assert not name.problem


def test_own_properties_alone_are_enough(form):
    rows = form.editor.model.inner.properties
    rows.own.add_button.click()
    rows.own.rows[0].inner.editors["name"].control.value = "gap"
    rows.rows["energy"].switch.value = rows.rows["forces"].switch.value = False
    assert form.config.model.property_names == ["gap"]
    assert not rows.problem
