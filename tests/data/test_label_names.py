"""What a name says is known for the field's names, and what cannot be told is asked and never guessed."""

from __future__ import annotations

import pytest

from mattertune_nb.data.labels.names import KNOWN, read_name


@pytest.mark.parametrize(("name", "label", "kind", "source"), KNOWN)
def test_each_name_of_the_table_is_told_in_any_case(name, label, kind, source):
    assert source
    for spelt in (name, name.upper(), name.title()):
        reading = read_name(spelt)
        assert (reading.label, reading.kind, reading.excluded, reading.doubt) == (
            label,
            kind,
            None,
            None,
        )


@pytest.mark.parametrize(
    "name",
    [
        "E_dft",
        "dftEnergy",
        "energy_pbe",
        "E_tot",
        "dft_total_energy",
        "TotalEnergy",
        "dft_energy_eV",
        "wb97x_dz.energy",
        "hf_tz.energy",
    ],
)
def test_a_total_energy_is_told_by_its_words(name):
    reading = read_name(name)
    assert (reading.label, reading.excluded, reading.doubt) == ("energy", None, None)


@pytest.mark.parametrize("name", ["forces_eV_per_A", "dft forces eV per Ang", "stress_eV_per_A3"])
def test_a_unit_may_be_written_with_per(name):
    reading = read_name(name)
    assert (reading.label is None, reading.excluded, reading.doubt) == (False, None, None)


@pytest.mark.parametrize(
    "name", ["wb97x_dz.forces", "atomForces", "lattice_stress", "stress_voigt"]
)
def test_a_word_that_excludes_an_energy_need_not_exclude_forces_or_a_stress(name):
    reading = read_name(name)
    assert (reading.label is None, reading.excluded, reading.doubt) == (False, None, None)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("d3_energy", "a correction or one term alone"),
        ("vdw_energy", "a correction or one term alone"),
        ("config_energy_weight", "a weight"),
        ("energy_cutoff", "a cut-off"),
        ("energy_tol", "a tolerance"),
        ("scf_energy_convergence", "a tolerance"),
        ("kinetic_energy", "a kinetic energy"),
        ("E_kin", "a kinetic energy"),
        ("energy_per_atom", "an energy per atom"),
        ("energy_peratom", "an energy per atom"),
        ("energy_eV/atom", "an energy per atom"),
        ("formation_energy", "an energy of formation or another difference"),
        ("adsorption_energy", "an energy of formation or another difference"),
        ("homo_energy", "a level of electrons"),
        ("energy_std", "an error or a spread"),
        ("mace_energy", "a prediction of a model"),
        ("forces_weight", "a weight"),
        ("gap_forces", "a prediction of a model"),
        ("d3_forces", "a correction or one term alone"),
    ],
)
def test_what_cannot_be_a_label_is_excluded_with_what_it_is(name, what):
    assert read_name(name).excluded == what


@pytest.mark.parametrize(
    "name",
    [
        *(
            "y",
            "E",
            "E0",
            "U0",
            "dft_d3_energy",
            "hydration_energy",
            "relaxed_energy",
            "hartree_energy",
        ),
        *("virial_stress", "vasp_stress", "spring_forces"),
    ],
)
def test_what_a_name_leaves_open_is_doubtful(name):
    assert read_name(name).doubt


@pytest.mark.parametrize(
    "name", ["charge", "temperature", "step", "config_type", "bandgap", "magmoms"]
)
def test_other_quantities_are_no_labels(name):
    assert read_name(name).label is None
