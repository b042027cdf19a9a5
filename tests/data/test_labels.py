"""Labels come out in one form, and a label that cannot be used is named with its remedy."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError
from mattertune_nb.data.labels.reading import LabelKeys, likely_keys, read_labels
from mattertune_nb.training.template import first_config

ERROR = {"energy": "error", "forces": "error"}


def test_the_standard_keys_of_ase_are_read_in_float64(copper):
    atoms = copper(1)[0]
    labels = read_labels(atoms)
    assert labels["energy"] == atoms.calc.results["energy"]
    np.testing.assert_array_equal(labels["forces"], atoms.calc.results["forces"])
    np.testing.assert_array_equal(labels["stresses"], atoms.calc.results["stress"])
    assert {labels[name].dtype for name in ("forces", "stresses")} == {np.dtype(np.float64)}


@pytest.mark.parametrize("shape", [(6,), (9,), (3, 3)])
def test_a_stress_of_6_or_9_numbers_gives_the_same_voigt_vector(shape):
    voigt = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])  # xx, yy, zz, yz, xz, xy
    full = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    atoms = bulk("Cu")
    atoms.info["REF_stress"] = voigt if shape == (6,) else full.reshape(shape)
    labels = read_labels(atoms, LabelKeys(stress="REF_stress"))
    np.testing.assert_array_equal(labels["stresses"], voigt)


def test_mapped_keys_are_read_from_info_and_arrays():
    atoms = bulk("Cu", cubic=True)
    atoms.info["REF_energy"] = np.float32(-3.5)
    atoms.arrays["REF_forces"] = np.ones((4, 3), dtype=int)
    labels = read_labels(atoms, LabelKeys("REF_energy", "REF_forces"), ERROR)
    assert labels["energy"] == -3.5
    assert labels["forces"].dtype == np.float64


def test_a_missing_label_lists_the_keys_found_and_the_likely_one():
    atoms = bulk("Cu", cubic=True)
    atoms.info["REF_energy"] = -3.5
    atoms.arrays["REF_forces"] = np.ones((4, 3))
    with pytest.raises(DataError) as error:
        read_labels(atoms, LabelKeys("REF_energy"), ERROR, source="a.xyz, frame 3")
    text = str(error.value)
    assert text.startswith("a.xyz, frame 3: no forces under 'forces'")
    assert "found: REF_forces, REF_energy" in text
    assert "forces_key='REF_forces'" in text
    assert 'missing="mask" in ForcesPropertyConfig' in text
    assert "\n" not in text


def test_a_masked_label_that_is_missing_or_unusable_is_left_out(water):
    water.calc.results["energy"] = np.nan
    labels = read_labels(water, missing={"energy": "mask", "forces": "error", "stresses": "mask"})
    assert list(labels) == ["forces"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("energy", np.inf, ["energy ('energy') holds inf"]),
        ("energy", "low", ["energy ('energy') is not made of numbers"]),
        ("energy", np.zeros(2), ["shape (2,)", "expected one number"]),
        ("forces", np.zeros((2, 3)), ["shape (2, 3)", "expected (4, 3)"]),
        ("forces", np.full((4, 3), np.nan), ["forces ('forces') holds nan at atom 0"]),
        ("stress", np.zeros(5), ["shape (5,)", "6 (Voigt) or 9"]),
    ],
)
def test_an_unusable_label_is_an_error_that_names_field_and_remedy(key, value, words):
    atoms = bulk("Cu", cubic=True)
    atoms.info[key] = value
    with pytest.raises(DataError, match=r"^b\.xyz, frame 0: ") as error:
        read_labels(atoms, source="b.xyz, frame 0")
    assert all(word in str(error.value) for word in words)
    assert 'missing="mask"' in str(error.value)
    label = "stresses" if key == "stress" else key
    assert read_labels(atoms, missing={label: "mask"}) == {}


def test_a_stress_needs_a_cell_periodic_in_three_directions(copper):
    atoms = copper(1)[0]
    atoms.pbc = [True, True, False]
    atoms.info["stress"] = np.zeros(6)
    with pytest.raises(DataError, match="not periodic in all three directions"):
        read_labels(atoms, missing={"stresses": "error"})
    assert read_labels(atoms, missing={"stresses": "mask"}) == {}


def test_results_of_a_shared_calculator_count_only_for_their_own_frame():
    calc, frames = EMT(), [bulk("Cu"), bulk("Cu", a=3.7)]
    for atoms in frames:
        atoms.calc = calc
        atoms.get_potential_energy()
    assert "energy" in read_labels(frames[1])
    with pytest.raises(DataError, match="only for the positions at which they were computed"):
        read_labels(frames[0], missing={"energy": "error"})


def test_likely_keys_prefer_the_standard_name_and_leave_other_quantities_out():
    atoms = bulk("Cu", cubic=True)
    atoms.info |= {
        "free_energy": -1.0,
        "energy": -1.1,
        "energy_per_atom": -0.3,
        "virial": np.eye(3),
    }
    atoms.info |= {"energy_unit": "eV", "dft_stress": np.zeros(9)}
    atoms.arrays["force"] = np.ones((4, 3))
    atoms.arrays["force_norm"] = np.ones(4)
    assert likely_keys(atoms) == {
        "energy": ["energy", "free_energy"],
        "forces": ["force"],
        "stresses": ["dft_stress"],
    }


def test_a_virial_is_pointed_out_where_a_stress_is_missing():
    atoms = bulk("Cu")
    atoms.info["virial"] = np.eye(3)
    with pytest.raises(DataError, match="stress = -virial / volume"):
        read_labels(atoms, missing={"stresses": "error"})


def test_the_water_set_has_its_forces_under_two_keys(shared_data):
    atoms = ase.io.read(shared_data / "train_30_water_1000_eVAng.xyz", index=3)
    assert likely_keys(atoms)["forces"] == ["forces", "force"]
    one, two = read_labels(atoms), read_labels(atoms, LabelKeys("TotEnergy", "force"))
    assert one["energy"] == two["energy"]
    np.testing.assert_array_equal(one["forces"], two["forces"])


@pytest.mark.parametrize(
    ("header", "label", "cause"),
    [
        ("", "energy", "second line of the frame is empty"),
        ("-6.8", "energy", r"begins with -6\.8, a number without a name: write energy=-6\.8"),
        ("energy=-6.8", "forces", "atoms have 7 columns and its header no 'Properties'"),
    ],
)
def test_what_stands_in_a_file_without_a_name_is_told(header, label, cause, tmp_path):
    text = f"2\n{header}\nNa 0 0 0 0.1 0 -0.2\nCl 0 0 2.4 -0.1 0 0.2\n"
    (tmp_path / "unnamed.xyz").write_text(text)
    data = mt.open_dataset(tmp_path / "unnamed.xyz")
    with pytest.raises(DataError, match=rf"unnamed\.xyz, frame 0: no {label} under.*{cause}"):
        data.labels(0, {label: "error"})


def test_energies_of_atoms_make_the_energy_where_a_person_says_so(tmp_path):
    text = "2\nProperties=species:S:1:pos:R:3:energies:R:1\nNa 0 0 0 -3.5\nCl 0 0 2.4 -3.25\n"
    (tmp_path / "parts.xyz").write_text(text)
    with pytest.raises(DataError, match="energy_key='energies' takes the sum over the atoms"):
        mt.open_dataset(tmp_path / "parts.xyz").labels(0, {"energy": "error"})
    assert (
        mt.open_dataset(tmp_path / "parts.xyz", energy_key="energies").labels(0)["energy"] == -6.75
    )
    (question,) = first_config(tmp_path / "parts.xyz", "chgnet").questions
    assert (
        "'energies' (1 of 1 frames, -6.75 to -6.75 eV; the sum over the atoms would be" in question
    )
