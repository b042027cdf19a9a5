"""Sources open as maps of clean structures; a list of structures survives in YAML to the last digit."""

from __future__ import annotations

import pickle

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.sources import configs as datasets
from mattertune_nb.data.sources.configs import (
    AtomsListDatasetConfig,
    DBDatasetConfig,
    XYZDatasetConfig,
)

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def test_a_structure_is_clean_and_its_labels_and_source_are_known(copper_xyz):
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    expected = ase.io.read(copper_xyz, 4)
    assert dataset[4] == expected
    assert dataset[4].calc is None
    assert set(dataset[4].arrays) == {"numbers", "positions"}
    assert dataset[4].info == {}
    assert dataset.labels(4)["energy"] == expected.calc.results["energy"]
    assert dataset.source(4) == f"{copper_xyz}, frame 4"


def test_labels_that_cannot_be_used_are_left_out_unless_they_are_required(copper):
    atoms = copper(1)[0]
    atoms.calc.results["energy"] = np.nan
    dataset = as_dataset([atoms])
    assert list(dataset.labels(0)) == ["forces", "stresses"]
    assert list(dataset.labels(0, {"energy": "mask", "forces": "error"})) == ["forces"]
    assert dataset.labels(0, {}) == {}
    with pytest.raises(DataError, match=r"structures, frame 0: energy \('energy'\) holds nan"):
        dataset.labels(0, {"energy": "error"})


def test_changing_a_structure_does_not_change_the_data_set(copper_xyz):
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    dataset[0].positions += 1
    assert dataset[0] == ase.io.read(copper_xyz, 0)


def test_keys_map_labels(copper_xyz):
    frames = ase.io.read(copper_xyz, ":2")
    for atoms in frames:
        atoms.arrays["REF_forces"] = atoms.calc.results["forces"] + 1
        atoms.info["REF_energy"] = 7.0
        atoms.info["REF_stress"] = np.ones(6)
    ase.io.write(copper_xyz, frames)
    config = XYZDatasetConfig(
        src=copper_xyz, energy_key="REF_energy", forces_key="REF_forces", stress_key="REF_stress"
    )
    labels = config.create_dataset().labels(0)
    assert labels["energy"] == 7.0
    np.testing.assert_allclose(labels["forces"], frames[0].calc.results["forces"] + 1)
    np.testing.assert_array_equal(labels["stresses"], np.ones(6))


@pytest.mark.parametrize(
    ("index", "expected"),
    [(":3", [0, 1, 2]), ("::4", [0, 4, 8]), ("-2:", [8, 9]), ("::-5", [9, 4])],
)
def test_an_index_takes_frames_and_keeps_their_numbers(copper_xyz, index, expected):
    dataset = XYZDatasetConfig(src=copper_xyz, index=index).create_dataset()
    assert dataset.indices.tolist() == expected
    assert dataset.source(1).endswith(f"frame {expected[1]}")


def test_an_index_that_is_none_or_leaves_nothing_is_refused(copper_xyz):
    with pytest.raises(ConfigError, match="index: expected a slice such as"):
        XYZDatasetConfig(src=copper_xyz, index="all")
    with pytest.raises(DataError, match="leaves none of its 10 frames"):
        XYZDatasetConfig(src=copper_xyz, index="20:").create_dataset()


def test_parts_share_frames_and_keep_their_numbers(copper_xyz):
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    part = dataset.take([7, 2, 5]).take([2, 0])
    assert part.indices.tolist() == [5, 7]
    assert part[1] == dataset[7]
    assert part.n_atoms().tolist() == [len(dataset[5]), len(dataset[7])]
    with pytest.raises(IndexError):
        part[2]


def test_the_cache_is_used_and_bounded(copper_xyz, monkeypatch):
    dataset = XYZDatasetConfig(src=copper_xyz, cache_mb=0.02).create_dataset()
    reader = dataset._frames
    for i in range(10):
        dataset[i]
        assert reader.kept.bytes <= 20_000
    monkeypatch.setattr(type(reader.frames), "__getitem__", lambda *_: pytest.fail("read again"))
    assert dataset[9].get_chemical_symbols()[0] == "Cu"


def test_without_a_cache_each_frame_is_read_when_asked_for(copper_xyz):
    dataset = XYZDatasetConfig(src=copper_xyz, cache_mb=0).create_dataset()
    assert dataset.frame(0) is not dataset.frame(0)
    assert dataset._frames.kept.bytes == 0


def test_a_pickled_data_set_leaves_its_cache_behind(copper_xyz):
    dataset = XYZDatasetConfig(src=copper_xyz).create_dataset()
    dataset[0]
    copied = pickle.loads(pickle.dumps(dataset))
    assert copied._frames.kept.bytes == 0
    assert copied[0] == dataset[0]


def test_a_database_is_read_row_by_row(copper, tmp_path):
    path = tmp_path / "copper.db"
    frames = copper(6)
    with ase.db.connect(path) as db:
        for i, atoms in enumerate(frames):
            db.write(
                atoms,
                good=i % 2,
                ref_energy=float(i),
                data={"ref_forces": np.ones((len(atoms), 3))},
            )
    dataset = DBDatasetConfig(src=path).create_dataset()
    assert len(dataset) == 6
    assert dataset[3] == frames[3]
    np.testing.assert_allclose(dataset.labels(3)["stresses"], frames[3].calc.results["stress"])

    config = DBDatasetConfig(
        src=path, selection="good=1", energy_key="ref_energy", forces_key="ref_forces"
    )
    chosen = config.create_dataset()
    assert [chosen.labels(i)["energy"] for i in range(len(chosen))] == [1.0, 3.0, 5.0]
    assert chosen.labels(0)["forces"].shape == (len(frames[1]), 3)
    assert chosen.source(2) == f"{path}, row id 6"
    assert chosen.n_atoms().tolist() == [len(frames[i]) for i in (1, 3, 5)]
    assert pickle.loads(pickle.dumps(chosen))[2] == frames[5]


def test_a_database_without_rows_or_with_a_wrong_selection_is_refused(copper, tmp_path):
    path = tmp_path / "copper.db"
    with ase.db.connect(path) as db:
        db.write(copper(1)[0])
    with pytest.raises(DataError, match="no row fits"):
        DBDatasetConfig(src=path, selection="natoms>100").create_dataset()
    with pytest.raises(DataError, match="cannot select"):
        DBDatasetConfig(src=path, selection="natoms>>many").create_dataset()
    (tmp_path / "no.db").write_text("not a database")
    with pytest.raises(DataError, match="cannot select"):
        DBDatasetConfig(src=tmp_path / "no.db").create_dataset()
    with pytest.raises(DataError, match="no such file"):
        DBDatasetConfig(src=tmp_path / "missing.db").create_dataset()


@st.composite
def structures(draw):
    """Structures with labels and other entries, of any finite numbers."""
    n = draw(st.integers(1, 4))
    atoms = Atoms(
        draw(st.lists(st.integers(1, 94), min_size=n, max_size=n)),
        positions=draw(arrays(float, (n, 3), elements=FLOATS)),
        cell=draw(arrays(float, (3, 3), elements=FLOATS)),
        pbc=draw(st.tuples(st.booleans(), st.booleans(), st.booleans())),
    )
    atoms.info["REF_energy"] = draw(
        st.floats()
    )  # NaN is kept, to be refused by the check of the data
    atoms.info["note"] = draw(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))
    )
    atoms.info["converged"] = draw(st.booleans())
    atoms.arrays["REF_forces"] = draw(arrays(float, (n, 3), elements=FLOATS))
    if draw(st.booleans()):
        stress = draw(arrays(float, 6, elements=FLOATS))
        atoms.calc = SinglePointCalculator(atoms, energy=draw(FLOATS), stress=stress)
    return atoms


def assert_same(one: Atoms, two: Atoms) -> None:
    """Assert that two structures agree to the last bit in all that is kept."""
    for key in ("numbers", "positions", "REF_forces"):
        np.testing.assert_array_equal(one.arrays[key], two.arrays[key])
    np.testing.assert_array_equal(one.cell, two.cell)
    np.testing.assert_array_equal(one.pbc, two.pbc)
    assert {k: repr(v) for k, v in one.info.items()} == {k: repr(v) for k, v in two.info.items()}
    one_results = one.calc.results if one.calc else {}
    two_results = two.calc.results if two.calc else {}
    assert one_results.keys() == two_results.keys()
    for key, value in one_results.items():
        np.testing.assert_array_equal(value, two_results[key])


@settings(max_examples=40)
@given(st.lists(structures(), min_size=1, max_size=3))
def test_a_list_of_structures_round_trips_exactly(tmp_path_factory, frames):
    config = AtomsListDatasetConfig(atoms_list=frames, energy_key="REF_energy")
    path = tmp_path_factory.mktemp("yaml") / "c.yaml"
    config.to_yaml(path)
    from_json = AtomsListDatasetConfig.model_validate_json(config.model_dump_json())
    for again in (AtomsListDatasetConfig.from_yaml(path), from_json):
        assert again.to_yaml() == config.to_yaml()
        for before, kept, after in zip(frames, config.atoms_list, again.atoms_list, strict=True):
            assert_same(before, kept)
            assert_same(before, after)


def test_a_list_is_a_data_set_and_is_plain_in_python_code(copper):
    frames = copper(2)
    config = AtomsListDatasetConfig(atoms_list=frames)
    dataset = config.create_dataset()
    assert dataset.labels(1)["energy"] == frames[1].calc.results["energy"]
    assert dataset.source(1) == "atoms_list, frame 1"
    frames[0].positions += 1  # after the config was made
    assert dataset[0] != frames[0]
    names: dict[str, object] = {"mt": datasets}
    exec(config.to_python().replace("import mattertune_nb as mt", ""), names)
    assert names["config"] == config


def test_lists_that_differ_in_labels_alone_are_not_equal(copper):
    frames = copper(1)
    one = AtomsListDatasetConfig(atoms_list=frames)
    frames[0].calc.results["energy"] += 1
    assert one != AtomsListDatasetConfig(atoms_list=frames)
    assert one == AtomsListDatasetConfig.from_dict(one.to_dict())


def test_results_of_another_geometry_do_not_become_labels():
    calc, frames = EMT(), [bulk("Cu"), bulk("Cu", a=3.7)]
    for atoms in frames:
        atoms.calc = calc
        atoms.get_potential_energy()
    kept = AtomsListDatasetConfig(atoms_list=frames).atoms_list
    assert kept[0].calc is None
    assert kept[1].calc.results["energy"] == calc.results["energy"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("Cu", "expected an ase.Atoms, got str"),
        ({"numbers": [29]}, "missing ['positions']"),
        ({"numbers": [29], "positions": [[0, 0, 0]], "colour": 1}, "unknown ['colour']"),
        ({"numbers": [29], "positions": [[0, 0]]}, "not a structure"),
    ],
)
def test_what_is_no_structure_is_refused_with_its_place(entry, words):
    with pytest.raises(ConfigError) as error:
        AtomsListDatasetConfig(atoms_list=[bulk("Cu"), entry])
    assert "atoms_list.1" in str(error.value)
    assert words in str(error.value)


def test_structures_in_memory_are_a_data_set(water):
    dataset = as_dataset([water])
    assert as_dataset(dataset) is dataset
    assert dataset.labels(0)["energy"] == -14.2
    assert dataset.source(0) == "structures, frame 0"
