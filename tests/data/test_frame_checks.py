"""Each kind of bad frame is refused before training, with file, frame, field and remedy."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.sources.configs import XYZDatasetConfig

ALL = {"energy": "error", "forces": "error", "stresses": "error"}
MASKED = dict.fromkeys(ALL, "mask")


def test_good_data_are_summed_up(copper, water):
    dataset = as_dataset([*copper(2), water])
    summary = check_dataset(dataset, {"energy": "error", "stresses": "mask"}, ["H", "O", "Cu"])
    assert summary.n_frames == 3
    assert summary.elements == ("H", "O", "Cu")
    assert summary.n_atoms.tolist() == [4, 2, 3]
    assert summary.composition.tolist() == [[0, 0, 4], [0, 0, 2], [2, 1, 0]]
    assert summary.labels == {"energy": 3, "stresses": 2}


@pytest.mark.parametrize(
    ("name", "required", "elements"),
    [
        ("Li_electrode_finetune.xyz", ALL, ("Li", "O", "Mn")),
        ("Li_electrode_val.xyz", ALL, ("Li", "O", "Mn")),
        ("train_30_water_1000_eVAng.xyz", {"energy": "error", "forces": "error"}, ("H", "O")),
    ],
)
def test_the_shared_data_pass(shared_data, name, required, elements):
    dataset = XYZDatasetConfig(src=shared_data / name).create_dataset()
    summary = check_dataset(dataset, required, elements)
    assert summary.elements == elements
    assert set(summary.labels.values()) == {len(dataset)}


def test_no_label_is_needed_for_prediction():
    summary = check_dataset(as_dataset([molecule("H2O")]), {})
    assert summary.labels == {}
    assert summary.n_atoms.tolist() == [3]


def test_the_first_frame_without_a_label_is_named(copper_xyz):
    frames = ase.io.read(copper_xyz, ":")
    del frames[6].calc.results["forces"]
    ase.io.write(copper_xyz, frames)
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    with pytest.raises(DataError, match=r"copper\.xyz, frame 6: no forces .*missing=\"mask\""):
        check_dataset(dataset, ALL)
    summary = check_dataset(dataset, {**ALL, "forces": "mask"})
    assert summary.labels == {"energy": 10, "forces": 9, "stresses": 10}


def test_a_part_of_a_split_names_frames_of_the_file(copper_xyz):
    frames = ase.io.read(copper_xyz, ":")
    frames[6].calc.results["energy"] = np.nan
    ase.io.write(copper_xyz, frames)
    part = XYZDatasetConfig(src=copper_xyz).create_dataset().take([2, 6])
    with pytest.raises(DataError, match=r"frame 6: energy \('energy'\) holds nan"):
        check_dataset(part, ALL)


def test_a_label_that_no_frame_has_is_an_error_even_if_masked(water):
    water.info["REF_stress"] = np.zeros(9)
    with pytest.raises(DataError) as error:
        check_dataset(as_dataset([water, water]), MASKED)
    assert "none of the 2 structures has a usable label 'stresses'" in str(error.value)
    assert "stress_key='REF_stress'" in str(error.value)


def test_stresses_of_molecules_are_masked_beside_those_of_crystals(copper, water):
    water.calc.results["stress"] = np.zeros(6)
    dataset = as_dataset([*copper(3), water])
    assert check_dataset(dataset, MASKED).labels["stresses"] == 3
    with pytest.raises(DataError, match=r"structures, frame 3: stresses .*not periodic"):
        check_dataset(dataset, ALL)


def broken(**changes):
    atoms = bulk("Cu", cubic=True)
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms(), "has no atoms"),
        (broken(positions=np.full((4, 3), np.nan)), "position of atom 0 is not finite"),
        (broken(cell=np.full((3, 3), np.inf)), "the cell is not finite"),
        (
            broken(cell=np.zeros((3, 3))),
            "no volume although it is periodic (pbc=[True, True, True])",
        ),
        (broken(cell=[[1, 0, 0], [2, 0, 0], [0, 0, 3]]), "no volume"),
        (broken(cell=[[3, 0, 0], [3, 0, 0], [0, 0, 9]], pbc=[1, 1, 0]), "no volume"),
        (broken(numbers=[29, 29, 94, 29]), "does not know element 'Pu' (atom 2); it knows O, Cu"),
        (broken(numbers=[29, 0, 29, 29]), "does not know element 'X' (atom 1)"),
        (broken(positions=np.zeros((4, 3))), "are in the same place"),
    ],
)
def test_a_structure_that_cannot_be_is_named_with_what_is_wrong(atoms, words):
    with pytest.raises(DataError) as error:
        check_dataset(as_dataset([bulk("Cu"), atoms]), {}, ["Cu", "O"])
    assert str(error.value).startswith("structures, frame 1: ")
    assert words in str(error.value)


def test_periodic_images_count_as_the_same_place():
    atoms = bulk("Cu", cubic=True)
    atoms.positions[3] = atoms.positions[0] + atoms.cell[0] - atoms.cell[2] + 1e-9
    with pytest.raises(DataError, match="atoms 0 and 3 are in the same place"):
        check_dataset(as_dataset([atoms]), {})
    atoms.pbc = False
    check_dataset(as_dataset([atoms]), {})


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_slabs_wires_and_molecules_with_any_cell_are_fine(pbc):
    wire = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]], cell=[[9, 0, 0], [0, 9, 0], [0, 0, 5]], pbc=pbc)
    bare = Atoms("Cu2", wire.positions, cell=wire.cell.array * np.array(pbc)[:, None], pbc=pbc)
    assert check_dataset(as_dataset([wire, bare, bulk("Cu")]), {}).n_frames == 3


def test_a_label_that_is_nowhere_is_not_to_be_masked(copper):
    frames = copper(3)
    for atoms in frames:
        atoms.calc = None
        atoms.info["energy"] = 1.0
    dataset = as_dataset(frames)
    with pytest.raises(DataError, match="remove the forces from the properties") as info:
        check_dataset(dataset, {"energy": "error", "forces": "mask"})
    assert "mask" not in str(info.value)


def test_a_label_that_may_be_missing_may_be_so_in_all_held_out_frames(copper, water):
    required = {"energy": "error", "stresses": "mask"}
    with pytest.raises(DataError, match="none of the 1 structures"):
        check_dataset(as_dataset([water]), required)
    summary = check_dataset(as_dataset([water]), required, is_held_out=True)
    assert summary.labels == {"energy": 1, "stresses": 0}
    assert summary.notes == (
        "structures: no held-out frame has stresses, so its errors are not reported.",
    )
    with pytest.raises(DataError, match="no stresses under 'stress'"):
        check_dataset(as_dataset([water]), {"stresses": "error"}, is_held_out=True)
