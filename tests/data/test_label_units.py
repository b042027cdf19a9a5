"""Labels in other units, signs and shapes come out in eV, eV/Å and eV/Å³, or are refused by the unit."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.config.units import LabelUnitsConfig, canonical_unit
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.labels.reading import LabelKeys, read_labels

VOIGT = np.array([0.01, 0.02, 0.03, 0.003, 0.002, 0.001])  # xx yy zz yz xz xy
FULL = np.array([[0.01, 0.001, 0.002], [0.001, 0.02, 0.003], [0.002, 0.003, 0.03]])


def crystal(**values):
    atoms = bulk("Cu", cubic=True)
    for key, value in values.items():
        (atoms.arrays if np.shape(value) == (4, 3) else atoms.info)[key] = value
    return atoms


def stress(atoms, **keys):
    labels = read_labels(atoms, LabelKeys(**keys), {"stresses": "error"})
    return labels["stresses"]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("eV", 1.0),
        ("meV", 1e-3),
        ("Hartree", units.Hartree),
        ("Ry", units.Rydberg),
        ("kcal/mol", units.kcal / units.mol),
        ("kJ/mol", units.kJ / units.mol),
    ],
)
def test_energies_and_forces_are_converted_by_the_units_of_ase(unit, factor):
    length = {"Hartree": "Bohr", "Ry": "Bohr"}.get(unit, "Å")
    atoms = crystal(energy=-2.0, forces=np.ones((4, 3)))
    keys = LabelKeys(units=LabelUnitsConfig(energy=unit, forces=f"{unit}/{length}"))
    labels = read_labels(atoms, keys)
    assert labels["energy"] == pytest.approx(-2.0 * factor, rel=1e-12)
    expected = factor / (units.Bohr if length == "Bohr" else 1.0)
    np.testing.assert_allclose(labels["forces"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("stated", "factor"),
    [
        ({"energy_unit": "hartree"}, units.Hartree),
        ({"energy-unit": "Ha"}, units.Hartree),
        ({"energy_units": "kcal/mol"}, units.kcal / units.mol),
        ({"units": "real"}, units.kcal / units.mol),
        ({"unit": "atomic"}, units.Hartree),
        ({"energy_unit": "eV"}, 1.0),
    ],
)
def test_a_unit_that_the_file_states_is_used(stated, factor):
    in_angstrom = LabelKeys(units=LabelUnitsConfig(length="Å"))
    labels = read_labels(crystal(energy=-2.0, **stated), in_angstrom, {"energy": "error"})
    assert labels["energy"] == pytest.approx(-2.0 * factor)


@pytest.mark.parametrize(
    ("key", "value", "factor"),
    [
        ("energy", "-2.0 eV", 1.0),
        ("energy", "-2.0 Hartree", units.Hartree),
        ("energy_hartree", -2.0, units.Hartree),
        ("E_Ha", -2.0, units.Hartree),
        ("energy", "-2.0000D+00", 1.0),
        ("energy_per_atom", -2.0, 4.0),
    ],
)
def test_a_unit_behind_the_number_or_in_the_name_is_used(key, value, factor):
    atoms = crystal(**{key: value})
    labels = read_labels(atoms, LabelKeys(energy=key), {"energy": "error"})
    assert labels["energy"] == pytest.approx(-2.0 * factor)


@pytest.mark.parametrize(
    ("key", "factor"),
    [
        ("forces_kJ_mol_nm", units.kJ / units.mol / units.nm),
        ("forces_kcal_mol", units.kcal / units.mol),
        ("forces_eV_Bohr", 1 / units.Bohr),
        ("dft_forces_Ha_Ang", units.Hartree),
        ("Forces_Ha_Bohr", units.Hartree / units.Bohr),
        ("forces_Ha", units.Hartree / units.Bohr),
    ],
)
def test_the_length_in_a_name_of_forces_is_used(key, factor):
    labels = read_labels(crystal(**{key: np.ones((4, 3))}), LabelKeys(forces=key))
    np.testing.assert_allclose(labels["forces"], factor)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"energy": -2.0, "energy_unit": "furlong"}, "'energy_unit' is 'furlong'"),
        ({"energy": -2.0, "units": "lj"}, "'units' is 'lj'"),
        ({"energy": "-2.0 parsec"}, "has the unit 'parsec'"),
        (
            {"energy": -2.0, "forces": np.ones((4, 3)), "energy_unit": "hartree"},
            "set units.forces",
        ),
        ({"stress": VOIGT, "stress-unit": "kbar"}, "units.sign"),
    ],
)
def test_what_cannot_be_converted_is_refused_even_where_labels_may_be_missing(values, words):
    with pytest.raises(DataError, match=words):
        read_labels(
            crystal(**values), missing=dict.fromkeys(("energy", "forces", "stresses"), "mask")
        )


def test_what_the_config_says_comes_before_what_the_file_states():
    atoms = crystal(energy=-2.0, energy_unit="hartree")
    keys = LabelKeys(units=LabelUnitsConfig(energy="eV"))
    assert read_labels(atoms, keys, {"energy": "error"})["energy"] == -2.0


@pytest.mark.parametrize("key", ["stress", "dft_stress", "REF_stress", "sigma_tensor"])
@pytest.mark.parametrize("given", [VOIGT, FULL, FULL.ravel(), FULL[None]])
def test_a_stress_of_6_or_9_numbers_is_read_under_any_key(key, given):
    np.testing.assert_allclose(stress(crystal(**{key: given}), stress=key), VOIGT)


def test_a_stress_in_kbar_with_the_sign_of_vasp_is_that_of_ase():
    given = -VOIGT / (0.1 * units.GPa)
    read = stress(crystal(stress=given), units=LabelUnitsConfig(stress="kbar", sign="vasp"))
    np.testing.assert_allclose(read, VOIGT)
    read = stress(crystal(stress=VOIGT / units.GPa), units=LabelUnitsConfig(stress="GPa"))
    np.testing.assert_allclose(read, VOIGT)
    read = stress(crystal(stress_GPa=VOIGT / units.GPa), stress="stress_GPa")
    np.testing.assert_allclose(read, VOIGT)


@pytest.mark.parametrize("key", ["virial", "dft_virial", "virials"])
def test_a_virial_that_is_asked_for_is_divided_by_minus_the_volume(key):
    atoms = crystal(**{key: FULL})
    np.testing.assert_allclose(stress(atoms, stress=key), -VOIGT / atoms.get_volume())
    flipped = stress(atoms, stress=key, units=LabelUnitsConfig(sign="vasp"))
    np.testing.assert_allclose(flipped, VOIGT / atoms.get_volume())


def test_a_virial_under_another_name_and_in_another_unit_is_one_where_the_config_says_so():
    atoms = crystal(W=FULL)
    asked = LabelUnitsConfig(stress_as="virial", energy="Hartree")
    np.testing.assert_allclose(
        stress(atoms, stress="W", units=asked), -VOIGT * units.Hartree / atoms.get_volume()
    )


def test_a_gradient_that_is_asked_for_gives_its_negative():
    atoms = crystal(gradient=np.ones((4, 3)))
    labels = read_labels(atoms, LabelKeys(forces="gradient"), {"forces": "error"})
    np.testing.assert_array_equal(labels["forces"], -1.0)


@pytest.mark.parametrize(
    ("key", "given_as", "sign"),
    [("gradient", "forces", 1), ("F", "gradient", -1), ("dE/dx", None, -1), ("neg_grad", None, 1)],
)
def test_the_config_and_the_name_say_whether_values_are_a_gradient(key, given_as, sign):
    keys = LabelKeys(forces=key, units=LabelUnitsConfig(forces_as=given_as))
    labels = read_labels(crystal(**{key: np.ones((4, 3))}), keys, {"forces": "error"})
    np.testing.assert_array_equal(labels["forces"], sign)


def test_an_asymmetric_stress_is_averaged_and_said():
    atoms = crystal(stress=np.array([[0.01, 0.09, 0], [0, 0.02, 0], [0, 0, 0.03]]))
    summary = check_dataset(as_dataset([atoms]), {"stresses": "error"})
    assert stress(atoms)[5] == 0.045
    assert "asymmetric by up to 0.09 eV/Å³" in summary.notes[0]


def test_conversions_are_said():
    atoms = crystal(energy=-2.0, energy_unit="hartree")
    (note,) = check_dataset(as_dataset([atoms]), {"energy": "error"}).notes
    assert note == "energy: 'energy' is converted from Hartree."


def test_lengths_in_bohr_become_angstrom_and_labels_stay_with_their_frame(copper):
    frames = copper(2)
    config = mt.AtomsListDatasetConfig(atoms_list=frames, units=LabelUnitsConfig(length="Bohr"))
    dataset = config.create_dataset()
    np.testing.assert_allclose(dataset[0].positions, frames[0].positions * units.Bohr)
    np.testing.assert_allclose(dataset[0].cell.array, frames[0].cell.array * units.Bohr)
    assert dataset.labels(1)["energy"] == frames[1].get_potential_energy()


@pytest.mark.parametrize(
    ("spelt", "unit"),
    [
        ("ev/angstrom^3", "eV/Å³"),
        ("eV/A", "eV/Å"),
        ("Hartree/bohr", "Hartree/Bohr"),
        ("kcal/mol/A", "kcal/mol/Å"),
        ("kcal mol-1", "kcal/mol"),
        ("kB", "kbar"),
        ("a.u.", "Hartree"),
        ("stone", None),
    ],
)
def test_spellings_of_a_unit(spelt, unit):
    assert canonical_unit(spelt) == unit


def test_a_unit_that_is_none_is_refused_with_those_there_are():
    assert LabelUnitsConfig(forces="ev/angstrom").forces == "eV/Å"
    with pytest.raises(ConfigError, match=r"Hartree.*stone"):
        LabelUnitsConfig(energy="stone")


@pytest.mark.parametrize("stated", [{"length_unit": "bohr"}, {"units": "atomic"}])
def test_positions_stated_in_bohr_are_no_angstrom_in_silence(stated):
    atoms = crystal(energy=-2.0, **stated)
    with pytest.raises(DataError, match=r"lengths are stated to be in Bohr\. Set units\.length"):
        read_labels(atoms, source="a.xyz")
    for unit in ("Bohr", "Å"):
        assert "energy" in read_labels(atoms, LabelKeys(units=LabelUnitsConfig(length=unit)))


@pytest.mark.parametrize(
    ("key", "header"), [("stress_GPa", ""), ("stress", "stress_unit=GPa ")], ids=["name", "header"]
)
def test_a_stress_in_a_unit_that_the_file_states_is_no_finding_and_is_learnt(key, header, tmp_path):
    from mattertune_nb.training.template import first_config

    frame = (
        '2\nLattice="4.1 0 0 0 4.2 0 0 0 4.3" Properties=species:S:1:pos:R:3:forces:R:3 pbc="T T T" '
        f'energy=-6.{{k}} {header}{key}="1.6 3.2 4.8 0 0 0.{{k}}"\n'
        "Na 0.{k} 0 0 0.1 0 0\nCl 2 2 2 -0.1 0 0\n"
    )
    path = tmp_path / "a.xyz"
    path.write_text("".join(frame.format(k=k) for k in range(1, 7)))
    first = first_config(path, "chgnet")
    assert not first.notes
    assert "name: stresses" in first.text
    settings = {"energy": "error", "stresses": "error"}
    (note,) = check_dataset(mt.open_dataset(path, stress_key=key), settings).notes
    assert note == f"stresses: '{key}' is converted from GPa."
