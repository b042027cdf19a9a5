"""Where no value is called an energy, a person is asked about those that may be one."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.labels.search import LabelSearch
from mattertune_nb.training.template import first_config
from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller


def write(path, **values):
    """Write frames of copper with these values of one number, and random forces."""
    from ase.io import write as write_xyz

    rng, frames = np.random.default_rng(0), []
    for k in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.info = {name: value + 0.01 * k for name, value in values.items()}
        atoms.arrays["forces"] = rng.normal(size=(4, 3))
        frames.append(atoms)
    write_xyz(path, frames, format="extxyz")
    return path


ASKED = {
    "binding_energy": "an energy of formation or another difference",
    "cohesive_energy": "an energy of formation or another difference",
    "mace_energy_ref": "a prediction of a model",
    "d3_energy": "a correction or one term alone",
    "energy_per_atom": "an energy per atom, which would be multiplied by the number of atoms",
    "kinetic_energy": "a kinetic energy",
    "mbe": "an uninformative name",
    "DFT": "an uninformative name",
    "value": "an uninformative name",
    "enrgy": "an uninformative name",
}


@pytest.mark.parametrize(("name", "reason"), ASKED.items())
def test_what_may_be_meant_is_asked_by_init_form_check_and_fit(name, reason, tmp_path):
    path = write(tmp_path / "a.xyz", **{name: -3.4, "temperature": 300.0, "step": 7})
    asked = rf"no value is clearly the energy\. It may be '{name}' \(6 of 6 frames, .*; {reason}\)"
    first = first_config(path, "chgnet")
    assert "energy_key: null" in first.text
    (question,) = first.questions
    with pytest.raises(AssertionError, match=asked):
        raise AssertionError(question)
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=path)),
    )
    form = LabelKeyFiller()
    form.fill(config)
    assert [choice.label for choice in form.questions["dataset"]] == ["energy"]
    form.close()  # no model is asked
    (finding,) = [f for f in mt.check(path) if f.id == "label-candidates"]
    assert question.endswith(finding.message)
    with pytest.raises(DataError, match=asked):
        check_dataset(mt.open_dataset(path), {"energy": "error"})
    # a person's word counts
    config.data.dataset.energy_key = name
    form.fill(config)
    assert not form.questions["dataset"]
    check_dataset(config.data.dataset.create_dataset(), {"energy": "error"})


def test_forces_without_a_name_are_asked_for(tmp_path):
    search = LabelSearch()
    for k in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.info["energy"] = -3.0 - k
        for name in ("F", "velo", "gradient"):
            atoms.arrays[name] = np.full((4, 3), k + len(name))
        search.add(atoms)
    choice = search.choices()["forces"]
    assert [c.key for c in choice.open] == ["gradient", "F"]
    assert (
        "'gradient' (3 of 3 frames, 8 to 10 eV/Å; its negative (units.forces_as: forces keeps the sign) "
        "would be taken)" in choice.question
    )


def test_frames_that_have_nothing_of_the_kind_are_said_to_have_none(tmp_path):
    path = write(tmp_path / "a.xyz", temperature=300.0, time=1.5)
    first = first_config(path, "chgnet")
    assert not first.questions
    assert any("no energy under 'energy' (found: forces, t" in note for note in first.notes)


def test_a_plain_energy_is_taken_beside_values_without_a_name(tmp_path):
    path = write(tmp_path / "a.xyz", E_pot=-3.4, value=-7.0, binding_energy=-1.0)
    first = first_config(path, "chgnet")
    assert not first.questions
    assert "energy_key: E_pot" in first.text
