"""Labels are told from all frames of a data set; where more than one value is left, it is asked."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.dataset import AtomsDataset, as_dataset
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.training.template import first_config


def crystals(n=5, **values):
    """Return rattled cells of copper; a value is called with the number of its frame, None is left out."""
    frames = []
    for i in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=i)
        for key, make in values.items():
            value = make(i)
            if value is not None:
                where = atoms.arrays if np.shape(value) == (4, 3) else atoms.info
                where[key] = value
        frames.append(atoms)
    return as_dataset(frames)


def falling(i):
    return -14.0 - 0.1 * i


def choice(label, **values):
    return search_labels(crystals(**values), at_most=10).choose(label)


def test_the_plain_candidate_is_taken_though_others_look_more_like_an_energy():
    found = choice("energy", d3_energy=lambda i: -0.2, energy_cutoff=lambda i: 520, toten=falling)
    assert found.key == "toten"
    assert set(found.excluded) == {"d3_energy", "energy_cutoff"}


def test_two_totals_that_differ_are_asked_with_their_ranges():
    found = choice("energy", pbe_energy=falling, scan_energy=lambda i: falling(i) - 3)
    assert found.key is None
    assert "'pbe_energy' (5 of 5 frames, -14.4 to -14 eV)" in found.question
    assert "'scan_energy'" in found.question
    assert "energy_key" in found.question


def test_one_value_under_two_names_is_no_question():
    found = choice("energy", TotEnergy=falling, energy=falling)
    assert (found.key, found.same) == ("energy", ["TotEnergy"])


def test_the_conserved_energy_of_a_trajectory_is_not_the_potential_energy():
    found = choice(
        "energy",
        potential_energy=falling,
        kinetic_energy=lambda i: 0.1 + 0.01 * i,
        total_energy=lambda i: falling(i) + 0.1 + 0.01 * i,
    )
    assert found.key == "potential_energy"
    assert "kinetic" in found.excluded["total_energy"]


def test_a_constant_is_no_label_where_another_value_moves():
    found = choice("energy", energy=lambda i: 0.0, REF_energy=falling)
    assert found.key == "REF_energy"
    with pytest.raises(DataError, match=r"'energy' is the same number .* energy_key='REF_energy'"):
        check_dataset(crystals(energy=lambda i: 0.0, REF_energy=falling), {"energy": "error"})


def test_names_that_complete_each_other_give_one_sentence_that_leads_out():
    values = {
        "energy": lambda i: falling(i) if i < 3 else None,
        "REF_energy": lambda i: falling(i) if i >= 3 else None,
    }
    dataset = crystals(**values)
    with pytest.raises(DataError) as error:
        check_dataset(dataset, {"energy": "error"})
    assert "'energy' in 3 and 'REF_energy' in 2 of 5" in str(error.value)
    assert "energy_key='energy|REF_energy'" in str(error.value)
    dataset.keys = LabelKeys(energy="energy|REF_energy")
    assert check_dataset(dataset, {"energy": "error"}).labels == {"energy": 5}


def test_a_run_is_refused_until_one_of_several_energies_is_named():
    dataset = crystals(energy=falling, dft_energy=lambda i: falling(i) - 1)
    with pytest.raises(DataError, match="which of these is the energy"):
        check_dataset(dataset, {"energy": "error"})
    dataset.keys = LabelKeys(energy="dft_energy")
    check_dataset(dataset, {"energy": "error"})


def test_the_free_energy_is_taken_and_said_where_both_stand_and_differ():
    values = {"energy": falling, "free_energy": lambda i: falling(i) - 0.012}
    found = choice("energy", **values)
    assert found.key == "free_energy"
    assert "12 meV" in found.notes[0]
    assert "gradients of the free energy" in found.notes[0]
    # a config that names none keeps what it meant before, and says so
    (note,) = check_dataset(crystals(**values), {"energy": "error"}).notes
    assert "'energy' is taken" in note


def test_a_missing_label_is_told_with_the_counts_of_all_frames():
    dataset = crystals(energy=falling, REF_forces=lambda i: np.ones((4, 3)) if i else None)
    with pytest.raises(DataError, match=r"Of the 5 frames checked: 'REF_forces' in 4\."):
        check_dataset(dataset, {"energy": "error", "forces": "error"})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"energy": lambda i: 0.0}, "'energy' is zero in all 5 frames"),
        ({"energy": lambda i: -7.5}, "'energy' is -7.5 eV in all 5 frames"),
        (
            {"energy": falling, "stress": lambda i: np.full(6, -251.0)},
            "'stress' reaches 251 eV/Å³",
        ),
        ({"energy": falling, "stress": lambda i: np.zeros(6)}, "'stress' is zero in all"),
    ],
)
def test_labels_that_can_hardly_be_labels_are_told(values, words):
    required = {"energy": "error"} | ({"stresses": "error"} if "stress" in values else {})
    notes = check_dataset(crystals(**values), required).notes
    assert any(words in note for note in notes)


def test_a_virial_and_a_gradient_are_never_taken_unasked():
    dataset = crystals(virial=lambda i: np.eye(3), gradient=lambda i: np.ones((4, 3)))
    search = search_labels(dataset, at_most=10)
    assert search.choose("stresses").key is None
    assert search.choose("forces").key is None
    assert [c.key for c in search.choose("stresses").other] == ["virial"]
    assert isinstance(dataset, AtomsDataset)


def written(path, dataset, *others):
    """Write the frames of a data set, after others, and return what `init` says of the file."""
    frames = [dataset.frame(i) for i in range(len(dataset))]
    ase.io.write(path, [*others, *frames], format="extxyz")
    return first_config(path, "chgnet").notes


def test_init_says_how_many_frames_lack_a_label_and_does_not_count_isolated_atoms(tmp_path):
    forces = {"forces": lambda i: None if i == 2 else np.full((4, 3), 0.1 * i)}
    atom = Atoms("Cu", info={"energy": -1.0, "config_type": "IsolatedAtom"})
    notes = written(tmp_path / "a.xyz", crystals(energy=falling, **forces), atom)
    (note,) = [note for note in notes if "usable" in note]
    assert note.startswith("1 of 5 frames has no usable 'forces'; a run stops at the first")


def test_init_says_of_a_unit_in_a_name_what_it_needs_instead_of_asking_for_the_unit(tmp_path):
    stress = {"stress_kbar": lambda i: np.eye(3) * (9.0 + i)}
    notes = written(tmp_path / "a.xyz", crystals(energy=falling, **stress))
    (note,) = [note for note in notes if "kbar, like VASP's" in note]
    assert "set units.sign" in note
    assert not [note for note in notes if "in another unit" in note]


def test_a_name_given_to_init_is_taken_as_it_is(tmp_path):
    frames = crystals(energy=falling, dft_energy=lambda i: falling(i) - 1)
    written(tmp_path / "a.xyz", frames)
    assert first_config(tmp_path / "a.xyz", "chgnet").questions
    given = ["data.dataset.energy_key=dft_energy", "data.dataset.skip_bad_files=true"]
    (tmp_path / "b.xyz").write_text("no structure")
    first = first_config(tmp_path, "chgnet", given)
    assert not [question for question in first.questions if "energy" in question]
    dataset = yaml.safe_load(first.text)["data"]["dataset"]
    assert dataset["energy_key"] == "dft_energy"
    assert dataset["skip_bad_files"]
