"""Splits are disjoint, repeatable anywhere, of the sizes asked for, and never leave a part empty."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from hypothesis import given, strategies as st
from pydantic import TypeAdapter

from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
from mattertune_nb.data.division.overlap import untrained_elements
from mattertune_nb.data.division.splits import (
    AutoSplitDataModuleConfig,
    DataModuleConfig,
)
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig, XYZDatasetConfig

SOURCE = XYZDatasetConfig(src="a.xyz")
FRACTIONS = st.floats(0.05, 0.6)


class Numbered(AtomsDataset):
    """Frames of two atoms, each a bond length of its own."""

    def __init__(self, n):
        frames = [Atoms("Cu2", [[0, 0, 0], [2.0 + x, 0, 0]]) for x in range(n)]
        super().__init__(frames, "a.xyz")


def split(n, **fields):
    config = AutoSplitDataModuleConfig(dataset=SOURCE, **{"split": "permutation"} | fields)
    return config.divide(Numbered(n)).parts


def sizes(n, **fields):
    asked = AutoSplitDataModuleConfig(dataset=SOURCE, **fields).sizes(n)
    return [count for count in asked.counts if count]


def test_four_fifths_are_trained_on_by_default():
    parts = split(30)
    assert {stage: len(part) for stage, part in parts.items()} == {"train": 24, "validation": 6}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"train_split": 24}, [24, 6]),
        ({"train_split": 24, "validation_split": 2}, [24, 2]),
        ({"train_split": 0.5, "validation_split": 0.25}, [15, 8]),
        ({"train_split": 0.5, "test_split": 5}, [15, 10, 5]),
        ({"train_split": 0.5, "validation_split": 0.3, "test_split": 0.2}, [15, 9, 6]),
        ({"train_split": 20, "validation_split": 0.1}, [20, 3]),
    ],
)
def test_parts_are_fractions_or_numbers(fields, expected):
    assert sizes(30, **fields) == expected


@given(
    st.integers(20, 200),
    FRACTIONS,
    st.floats(0.05, 0.3),
    st.floats(0, 0.1) | st.integers(0, 1),
    st.sampled_from(["order", "permutation"]),
    st.integers(0, 2**32 - 1),
)
def test_parts_are_disjoint_ascending_and_within_the_data(n, train, validation, test, rule, seed):
    fields = {"validation_split": validation, "split": rule, "shuffle_seed": seed}
    fields |= {"test_split": test if test * n > 0.5 else 0}
    parts = list(split(n, train_split=train, **fields).values())
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together)
    assert together.min() >= 0
    assert together.max() < n
    assert all((np.diff(part) > 0).all() for part in parts)
    assert abs(len(parts[0]) - train * n) <= 2  # the others are rounded first


@given(st.integers(10, 500), st.floats(0.1, 0.9))
def test_fractions_that_add_up_to_one_use_every_structure(n, train):
    assert sum(sizes(n, train_split=train, validation_split=1 - train)) == n


def test_a_seed_gives_this_very_split_on_any_machine():
    assert split(12, shuffle_seed=7)["validation"].tolist() == [4, 9]
    assert split(12, shuffle_seed=8)["validation"].tolist() != [4, 9]


def test_by_order_the_file_is_cut_as_it_is():
    parts = split(10, split="order", train_split=0.6, validation_split=0.2, test_split=0.2)
    assert [part.tolist() for part in parts.values()] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("n", "fields", "words"),
    [
        (
            1,
            {},
            "no structure for validation (1 for training, 0 for validation, 0 for a test, of 1)",
        ),
        (30, {"train_split": 1.0}, "no structure for validation"),
        (30, {"train_split": 30}, "Lower train_split"),
        (30, {"validation_split": 0.001}, "no structure for validation"),
        (30, {"train_split": 0.001}, "no structure for training"),
        (30, {"test_split": 0.001}, "no structure for the test"),
        (30, {"train_split": 31}, "more structures than there are"),
        (30, {"train_split": 20, "validation_split": 11}, "20 for training, 11 for validation"),
    ],
)
def test_a_split_that_cannot_be_is_refused_with_its_numbers(n, fields, words):
    with pytest.raises(DataError) as error:
        split(n, **fields)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train_split": 1.5}, "train_split: a fraction lies between 0 and 1"),
        ({"train_split": 0}, "train_split: Training part must be above 0; got 0"),
        ({"train_split": 0.9, "validation_split": 0.2}, "add up to 1.1"),
        ({"validation_split": -3}, "validation_split: cannot be negative"),
        ({"split": "groups"}, "group_key: is needed for split 'groups'"),
        ({"batch_size": 0}, "batch_size: "),
        ({"max_atoms": 0}, "max_atoms: "),
        ({"num_workers": -1}, "num_workers: "),
        ({"batch": 4}, "Did you mean 'batch_size'?"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(fields, words):
    with pytest.raises(ConfigError) as error:
        AutoSplitDataModuleConfig(dataset=SOURCE, **fields)
    assert words in str(error.value)


def test_the_data_sets_know_their_frames_and_how_they_are_batched(copper_xyz):
    config = AutoSplitDataModuleConfig(
        dataset=XYZDatasetConfig(src=copper_xyz),
        test_split=1,
        train_split=7,
        batch_size=3,
        max_atoms=20,
        num_workers=2,
        pin_memory=False,
        shuffle_seed=5,
    )
    datasets = config.create_datasets()
    assert {k: len(dataset) for k, dataset in datasets.items()} == {
        "train": 7,
        "validation": 2,
        "test": 1,
    }
    for stage, part in config.divide(config.sources()["dataset"]).parts.items():
        assert datasets[stage].indices.tolist() == part.tolist()
        loader = datasets[stage].loader
        assert (loader.batch_size, loader.max_atoms, loader.num_workers) == (3, 20, 2)
        assert (loader.pin_memory, loader.seed, loader.shuffle) == (False, 5, stage == "train")


def test_an_impossible_split_names_the_file(copper_xyz):
    config = AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src=copper_xyz), train_split=11)
    with pytest.raises(DataError, match=r"copper\.xyz: the split asks for more"):
        config.create_datasets()


def test_a_manual_split_opens_each_source(copper_xyz):
    def source(index):
        return XYZDatasetConfig(src=copper_xyz, index=index)

    config = ManualSplitDataModuleConfig(
        train=source(":6"), validation=source("6:8"), test=source("8:"), shuffle_seed=3
    )
    datasets = config.create_datasets()
    assert {k: d.indices.tolist() for k, d in datasets.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert datasets["train"].loader.shuffle
    assert datasets["train"].loader.seed == 3
    assert list(config.model_copy(update={"test": None}).create_datasets()) == [
        "train",
        "validation",
    ]


@given(
    st.builds(
        dict,
        train_split=FRACTIONS | st.integers(1, 100),
        validation_split=st.just("auto") | st.floats(0.05, 0.3) | st.integers(1, 100),
        test_split=st.floats(0, 0.1) | st.integers(0, 100),
        split=st.sampled_from(["auto", "random", "blocks", "composition", "order"]),
        block_length=st.none() | st.integers(1, 100),
        shuffle_seed=st.integers(0, 2**32 - 1),
        batch_size=st.integers(1, 100),
        max_atoms=st.none() | st.integers(1, 10_000),
        num_workers=st.integers(0, 64),
        pin_memory=st.booleans(),
    )
)
def test_configs_round_trip_through_yaml_json_and_python(tmp_path_factory, fields):
    config = AutoSplitDataModuleConfig(dataset=SOURCE, **fields)
    path = tmp_path_factory.mktemp("yaml") / "data.yaml"
    config.to_yaml(path)
    union = TypeAdapter(DataModuleConfig)
    again = [
        AutoSplitDataModuleConfig.from_yaml(path),
        union.validate_python(config.to_dict()),
        union.validate_json(config.model_dump_json()),
    ]
    assert all(other == config and other.to_yaml() == config.to_yaml() for other in again)
    assert [type(getattr(again[2], k)) for k in fields] == [type(v) for v in fields.values()]


def test_a_config_turns_into_plain_data_as_lightning_does_it(copper_xyz):
    config = ManualSplitDataModuleConfig(train=SOURCE, validation=SOURCE)
    assert dict(config) == config.to_dict()
    assert isinstance(dict(config)["train"], dict)


def test_every_setting_is_described():
    for config in (AutoSplitDataModuleConfig, ManualSplitDataModuleConfig):
        for name, field in config.model_json_schema()["properties"].items():
            assert field.get("description"), name


@pytest.mark.parametrize(("n_train", "size"), [(1, 1), (25, 1), (80, 2), (160, 4), (5000, 16)])
def test_the_batch_follows_the_size_of_the_training_set_unless_given(copper, n_train, size):
    dataset = AtomsListDatasetConfig(atoms_list=copper(1))
    config = AutoSplitDataModuleConfig(dataset=dataset)
    assert config.structures_per_batch(n_train) == size
    config.batch_size = 3
    assert config.structures_per_batch(n_train) == 3


@pytest.mark.parametrize(("shuffle", "rule"), [(True, "permutation"), (False, "order")])
def test_a_config_of_before_means_what_it_meant(shuffle, rule):
    old = {"dataset": {"type": "xyz", "src": "a.xyz"}, "type": "auto_split", "shuffle": shuffle}
    config = AutoSplitDataModuleConfig.from_dict(old)
    assert config.split == rule
    assert "shuffle" not in config.to_dict()
    with pytest.raises(ConfigError, match="shuffle: is the old name of split"):
        AutoSplitDataModuleConfig.from_dict(old | {"split": "random"})


def test_the_same_file_for_two_sets_is_refused(copper_xyz):
    def divided(train, validation):
        return ManualSplitDataModuleConfig(
            train=XYZDatasetConfig(src=copper_xyz, index=train),
            validation=XYZDatasetConfig(src=copper_xyz, index=validation),
        ).create_datasets()

    with pytest.raises(
        DataError, match=r"frame 0: given for both train and validation, as are 10 fr"
    ):
        divided(":", ":")
    with pytest.raises(DataError, match=r"frame 4: given for both .*, as are 2 frames in all"):
        divided(":6", "4:")
    assert divided(":6", "6:").notes == ()


def test_a_file_that_trains_is_no_part_of_a_folder_that_validates(copper_xyz, copper, tmp_path):
    (tmp_path / "held").mkdir()
    write(tmp_path / "held" / "other.xyz", copper(3, seed=5))
    (tmp_path / "held" / "again.xyz").symlink_to(copper_xyz)
    config = ManualSplitDataModuleConfig(
        train=XYZDatasetConfig(src=copper_xyz), validation=XYZDatasetConfig(src=tmp_path / "held")
    )
    with pytest.raises(DataError, match=r"again\.xyz, frame 0: given for both .* 10 frames"):
        config.create_datasets()
    (tmp_path / "held" / "again.xyz").unlink()
    assert len(config.create_datasets()["validation"]) == 3


def test_a_structure_that_is_trained_on_does_not_validate(copper):
    frames = copper(6)
    again = frames[1].copy()  # with another label
    again.info["energy"] = 5.0
    config = ManualSplitDataModuleConfig(
        train=AtomsListDatasetConfig(atoms_list=frames[:4]),
        validation=AtomsListDatasetConfig(atoms_list=[again, *frames[4:]]),
        test=AtomsListDatasetConfig(atoms_list=[frames[4], frames[0], copper(7)[6]]),
    )
    divided = config.create_datasets()
    assert divided["validation"].indices.tolist() == [1, 2]
    assert divided["test"].indices.tolist() == [0, 2]
    assert "1 of 3 frames for validation are also in train and left out" in divided.notes[0]
    assert "atoms_list, frame 0 is atoms_list, frame 1" in divided.notes[0]
    assert "1 of 3 frames for test are also in validation" in divided.notes[2]
    config.validation = config.train
    with pytest.raises(DataError, match="all frames for validation are also in train"):
        config.create_datasets()


def test_an_element_that_training_lacks_is_said():
    assert untrained_elements({"train": ("H", "O"), "validation": ("O",)}) == []
    (note,) = untrained_elements({"train": ("H", "O"), "validation": ("H", "Na")})
    assert "Na occurs in validation but not in train" in note
