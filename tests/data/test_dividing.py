"""What belongs together stays together, whatever is added, in files like those that people have."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.division.dividing import Units, block_length, place
from mattertune_nb.data.division.part_sizes import Sizes
from mattertune_nb.data.division.similar import clusters
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.division.trajectory import is_trajectory
from mattertune_nb.data.near import near_structures
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig, XYZDatasetConfig
from mattertune_nb.demo import demo_data


def rattled(n, seed=0):
    """Return `n` unlike frames of ethanol."""
    rng, frames = np.random.default_rng(seed), []
    for _ in range(n):
        atoms = molecule("CH3CH2OH")
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        frames.append(atoms)
    return frames


def division(frames, **fields):
    config = AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src="a.xyz"), **fields)
    return config.divide(AtomsDataset(frames, "a.xyz"))


def sides(frames, **fields):
    """Return the part of each frame."""
    parts = division(frames, **fields).parts
    return {int(k): stage for stage, part in parts.items() for k in part}


@pytest.fixture(scope="module")
def trajectory():
    """Return 80 frames of ethanol that follow one another."""
    return ase.io.read(demo_data("train"), ":80")


@pytest.mark.parametrize("rule", ["random", "blocks", "groups", "composition", "similarity"])
def test_a_frame_that_is_added_at_the_end_moves_no_other(rule):
    frames = [*rattled(20), *(a * (1, 1, 1) for a in rattled(20, 1))]
    for i, atoms in enumerate(frames):
        atoms.info["set"] = i // 4
        atoms.symbols[0] = ["C", "N", "O", "Si", "S", "P", "B", "F"][i // 5]
    fields = {"split": rule, "group_key": "set", "block_length": 3}
    before = sides(frames, **fields)
    assert set(before.values()) == {"train", "validation"}
    (added,) = rattled(1, 2)
    added.info["set"] = 3
    after = sides([*frames, added], **fields)
    assert {i: after[i] for i in before} == before


def test_the_place_of_a_frame_is_its_content_s_and_not_its_number_s():
    frames = rattled(40)
    before = sides(frames, split="random")
    order = np.random.default_rng(1).permutation(40)
    after = sides([frames[i] for i in order], split="random")
    assert {int(order[i]): stage for i, stage in after.items()} == before
    longer = sides(rattled(3, 5) + frames, split="random")
    assert {i - 3: stage for i, stage in longer.items() if i >= 3} == before


def test_another_size_of_training_leaves_the_test_where_it_is():
    frames = rattled(60)
    large, small = (
        division(
            frames, split="random", train_split=part, validation_split=0.2, test_split=0.2
        ).parts
        for part in (0.6, 0.3)
    )
    assert large["test"].tolist() == small["test"].tolist()
    assert large["validation"].tolist() == small["validation"].tolist()
    assert set(small["train"]) < set(large["train"])


def test_a_number_of_structures_is_just_that():
    parts = division(rattled(30), split="random", train_split=17, test_split=4).parts
    assert [len(part) for part in parts.values()] == [17, 9, 4]


@pytest.mark.parametrize(
    "rule", ["random", "blocks", "groups", "composition", "similarity", "order", "permutation"]
)
def test_duplicates_are_on_one_side_whatever_their_labels(rule):
    frames = rattled(30)
    repeated = [atoms.copy() for atoms in frames[:10]]
    for i, atoms in enumerate(repeated):
        atoms.positions += 1e-7  # as another number of digits does
        atoms.info["energy"] = float(i)
    frames = repeated + frames
    for i, atoms in enumerate(frames):
        atoms.info["set"] = i % 7
        if i % 10 > 4:
            atoms.symbols[0] = "Si"
    found = division(frames, split=rule, group_key="set")
    where = {int(k): stage for stage, part in found.parts.items() for k in part}
    assert all(where[i] == where[10 + i] for i in range(10))
    assert [note for note in found.notes if "10 of 40 frames repeat others" in note]
    sizes = [note for note in found.notes if "frames instead of 32 + 8" in note]
    assert all(note.endswith("stays whole and repeated frames stay together.") for note in sizes)
    assert bool(sizes) == (rule in ("blocks", "groups", "composition", "similarity"))


def test_it_is_said_where_a_number_takes_parts_nearer_to_those_asked_for():
    def frames(*counts):
        found = rattled(sum(counts))
        for k, atoms in enumerate(found):
            atoms.info["set"] = int(np.searchsorted(np.cumsum(counts), k, side="right"))
        return found

    def told(found):
        return [note for note in found.notes if "as a number" in note]

    ten = [
        division(frames(*[4] * 10), split="groups", group_key="set", shuffle_seed=k)
        for k in range(8)
    ]
    far = [found for found in ten if len(found.parts["train"]) != 32]
    assert far
    assert all("train_split: 32 takes 32" in told(found)[0] for found in far)
    assert not told(division(frames(38, 2), split="groups", group_key="set"))


def as_written(atoms, digits):
    """Return a structure as another program writes it: rounded, wrapped, with its atoms in another order."""
    again = atoms.copy()
    again.positions = np.round(again.positions + 1e-5, digits)
    again.wrap()
    return again[::-1]


@pytest.mark.parametrize("digits", [4, 5, 8])
@pytest.mark.parametrize("rule", ["random", "blocks", "composition"])
def test_rounding_has_no_edge_between_equal_structures(rule, digits):
    rng, frames = np.random.default_rng(1), []
    for k in range(40):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (2, 1, 1)
        atoms.symbols[: k % 7] = "Br"
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(atoms)
    again = [as_written(atoms, digits) for atoms in frames]
    where = sides([*frames, *again], split=rule, block_length=4)
    assert all(where[k] == where[40 + k] for k in range(40))
    assert sides(frames, split="random").items() <= sides([*frames, *again], split="random").items()
    assert len(set(near_structures(keys_of([*frames, *again]))[0].tolist())) == 40


def test_small_displacements_are_structures_of_their_own():
    crystal, frames = bulk("Si", cubic=True) * (3, 3, 3), []
    for k in range(40):
        frames.append(crystal.copy())
        frames[-1].positions[5 * k, k % 3] += 0.01
    assert len(set(near_structures(keys_of(frames))[0].tolist())) == 40


def test_equal_structures_of_two_sets_have_one_key():
    frames = rattled(12)
    again = [as_written(atoms, 5) for atoms in frames[4:]]
    one, other = near_structures(keys_of(frames), keys_of([*again, *rattled(3, 5)]))
    assert one.tolist() == keys_of(frames).structure.tolist()
    assert other[:8].tolist() == one[4:].tolist()
    assert not np.isin(other[8:], one).any()
    assert [len(part) for part in near_structures(keys_of([]), keys_of(frames))] == [0, 12]


def test_a_molecule_is_the_same_wherever_it_is():
    rng, frames = np.random.default_rng(2), []
    for _ in range(12):
        atoms = molecule("CH3CH2OH")
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(atoms)
    again = [atoms.copy() for atoms in frames]
    for atoms in again:
        atoms.positions = np.round(atoms.positions + rng.uniform(-9, 9, 3), 6)
    (joined,) = near_structures(keys_of([*frames, *again]))
    assert len(set(joined.tolist())) == 12
    assert joined[:12].tolist() == joined[12:].tolist()


def keys_of(frames):
    return frame_keys(AtomsDataset(frames, ""))


def test_twenty_equal_frames_cannot_be_divided():
    with pytest.raises(DataError, match="all frames are one structure, which cannot be split"):
        division(rattled(1) * 20, split="random")
    with pytest.raises(
        DataError, match=r"no structure is left for validation, because 19 of 20 frames"
    ):
        division(rattled(1) * 20, split="order")


def test_groups_are_not_taken_apart():
    frames = rattled(40)
    for i, atoms in enumerate(frames):
        atoms.info["source"] = f"set {i % 8}"
    where = sides(frames, split="groups", group_key="source")
    for group in range(8):
        assert len({where[i] for i in range(40) if i % 8 == group}) == 1
    assert set(where.values()) == {"train", "validation"}


def test_a_group_that_a_frame_lacks_is_refused_with_what_it_has():
    frames = rattled(4)
    for atoms in frames:
        atoms.info["source"] = 1
    with pytest.raises(DataError, match=r"frame 0: has no 'sorce'.*it has source\. Did you mean"):
        division(frames, split="groups", group_key="sorce")
    with pytest.raises(DataError, match="all frames are one group"):
        division(frames, split="groups", group_key="source")


def test_fewer_groups_than_parts_are_refused_and_as_many_as_frames_are_said():
    frames = rattled(10)
    for i, atoms in enumerate(frames):
        atoms.info["two"], atoms.info["own"] = i % 2, i
    with pytest.raises(
        DataError, match=r"there are 2 groups, which cannot be split into train and"
    ):
        division(frames, split="groups", group_key="two", train_split=0.6, test_split=0.2)
    found = division(frames, split="groups", group_key="own")
    assert found.notes == ("a.xyz: each frame is a separate group.",)


def test_a_cell_and_its_supercell_are_one_composition():
    keys = frame_keys(
        AtomsDataset([molecule("H2O"), Atoms("H4O2", np.eye(6, 3)), molecule("OH")], "")
    )
    assert keys.composition[0] == keys.composition[1] != keys.composition[2]


def test_a_trajectory_is_told_from_frames_that_were_drawn(trajectory):
    def judged(frames):
        dataset = AtomsDataset(frames, "a.xyz")
        return is_trajectory(dataset, frame_keys(dataset).species)

    assert judged(trajectory)
    shuffled = [trajectory[i] for i in np.random.default_rng(0).permutation(80)]
    assert not judged(shuffled)
    assert not judged(rattled(80))
    assert not judged(trajectory[:5])
    assert not judged([a for pair in zip(trajectory, rattled(80), strict=True) for a in pair][::9])


def test_atoms_that_cross_the_cell_s_edge_do_not_hide_a_trajectory():
    rng = np.random.default_rng(0)
    atoms, frames = Atoms("Cu8", rng.uniform(0, 6, (8, 3)), cell=[6, 6, 6], pbc=True), []
    for _ in range(60):
        atoms.positions += rng.normal(scale=0.15, size=(8, 3))
        wrapped = atoms.copy()
        wrapped.wrap()
        frames.append(wrapped)
    dataset = AtomsDataset(frames, "a.xyz")
    assert is_trajectory(dataset, frame_keys(dataset).species)


def test_a_trajectory_is_divided_by_blocks_and_that_is_said(trajectory):
    found = division(trajectory)
    assert found.rule == "blocks"
    assert "follow one another in time, so they are divided by blocks" in found.notes[0]
    assert (
        found.parts["train"].tolist()
        == division(trajectory, split="blocks").parts["train"].tolist()
    )
    assert len(found.parts["train"]) / 80 == pytest.approx(0.8, abs=0.11)
    where = sides(trajectory)
    assert all(len({where[k] for k in range(i, i + 8)}) == 1 for i in range(0, 80, 8))
    assert division(rattled(80)).rule == "random"


def test_a_division_that_is_not_the_one_asked_for_says_why():
    """Blocks of 4 of 40 frames cannot be divided 30 to 10."""
    dataset = XYZDatasetConfig(src=demo_data("train"), index=":40")
    data = AutoSplitDataModuleConfig(dataset=dataset, train_split=0.75)
    found = data.create_datasets()
    train, validation = len(found["train"]), len(found["validation"])
    assert (train % 4, validation % 4, train + validation) == (0, 0, 40)
    said = f"{train} + {validation} frames instead of 30 + 10, because each block stays whole"
    assert said in found.notes[-1]
    even = data.model_copy(update={"train_split": train / 40}).create_datasets()
    assert not any("in place of" in note for note in even.notes)


def test_a_block_ends_where_other_atoms_begin():
    frames = [*rattled(3), *(a[1:] for a in rattled(3, 1)), *(a[2:] for a in rattled(3, 2))]
    where = sides(frames, split="blocks", block_length=5, train_split=0.5)
    assert all(len({where[k] for k in range(i, i + 3)}) == 1 for i in (0, 3, 6))


def test_blocks_stay_until_a_trajectory_is_twice_as_long():
    assert [block_length(n) for n in (3, 30, 80, 100, 1000)] == [2, 4, 8, 8, 128]


def test_those_that_are_alike_are_one_cluster():
    rng, frames = np.random.default_rng(0), []
    for i in range(12):
        atoms = molecule(["CH3CH2OH", "CH3OCH3", "CH3OH"][i % 3])
        atoms.positions += rng.normal(scale=0.01, size=atoms.positions.shape)
        atoms.rotate(37 * i, "z")
        frames.append(atoms)
    assert clusters(AtomsDataset(frames, "")).tolist() == [0, 1, 2] * 4


def test_a_large_group_is_trained_on():
    for number in np.linspace(0.01, 0.99, 30):
        units = Units(np.repeat([0, 1, 2], [17, 2, 1]), np.array([number, 0.3, 0.95]))
        assert set(place(units, Sizes((16, 4, 0), (0.8, 0.2, 0.0)))[:17]) == {0}


def test_no_part_is_empty_though_chance_would_have_it():
    for seed in range(40):
        parts = division(
            rattled(5), split="random", shuffle_seed=seed, train_split=0.6, test_split=0.1
        ).parts
        assert all(len(part) for part in parts.values())


def test_labels_and_digits_change_a_frame_and_not_its_structure(tmp_path):
    def keys(atoms):
        return frame_keys(AtomsDataset([atoms], ""))

    atoms = rattled(1)[0]
    atoms.info["energy"] = -1.0
    moved, labelled = atoms.copy(), atoms.copy()
    moved.positions += 1e-8
    labelled.info["energy"] = -1.1
    for other in (moved, labelled):
        assert keys(other).structure == keys(atoms).structure
        assert keys(other).content != keys(atoms).content
    moved.positions[0, 0] += 0.01
    assert keys(moved).structure != keys(atoms).structure
    ase.io.write(tmp_path / "a.xyz", atoms)
    (again,) = XYZDatasetConfig(src=tmp_path / "a.xyz").create_dataset()._frames
    assert keys(again).structure == keys(atoms).structure


def test_hashes_of_a_slow_file_are_kept_until_it_changes(tmp_path, monkeypatch):
    from mattertune_nb.data import content

    monkeypatch.setattr(content, "_WORTH_KEEPING", 0.0)
    path = tmp_path / "a.xyz"
    ase.io.write(path, rattled(5))
    first = frame_keys(XYZDatasetConfig(src=path).create_dataset())
    monkeypatch.setattr(content, "_keys", None)  # nothing is hashed any more
    again = frame_keys(XYZDatasetConfig(src=path).create_dataset())
    assert again.names() == first.names()
    ase.io.write(path, rattled(5, 1))
    with pytest.raises(TypeError):
        frame_keys(XYZDatasetConfig(src=path).create_dataset())


def test_the_division_of_this_version_on_any_machine():
    frames = [Atoms("Cu2", [[0, 0, 0], [2 + x, 0, 0]]) for x in range(20)]
    dataset = AtomsListDatasetConfig(atoms_list=frames)
    config = AutoSplitDataModuleConfig(dataset=dataset, split="random", shuffle_seed=7)
    assert config.create_datasets()["validation"].indices.tolist() == [8, 13, 14, 18]
