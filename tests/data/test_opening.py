"""A file, a folder, a pattern and a list are opened in one way, and a bad file among many is named."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.fingerprint import file_stamps, fingerprint
from mattertune_nb.data.sources.opening import open_frames, source_files


@pytest.fixture
def folder(copper, tmp_path):
    """Return a folder of three files, one of them in a folder below, and what is none."""
    place = tmp_path / "data"
    (place / "below").mkdir(parents=True)
    for i, name in enumerate(("b.xyz", "a.traj", "below/c.extxyz")):
        ase.io.write(place / name, copper(3 + i, seed=i))
    (place / "README.md").write_text("# no structure")
    (place / ".hidden.xyz").write_text("nonsense")
    return place


def test_a_folder_holds_the_frames_of_its_files_in_the_order_of_their_names(folder):
    data = mt.open_dataset(folder)
    assert [data.source(i) for i in (0, 3, 4, 11)] == [
        f"{folder / 'a.traj'}, frame 0",
        f"{folder / 'a.traj'}, frame 3",
        f"{folder / 'b.xyz'}, frame 0",
        f"{folder / 'below/c.extxyz'}, frame 4",
    ]
    assert len(data) == 12
    assert data.file(11) == str(folder / "below/c.extxyz")
    assert data.n_atoms().tolist() == [len(data.frame(i)) for i in range(12)]
    assert set(data.labels(5)) >= {"energy", "forces"}


def test_a_pattern_and_a_list_choose_files(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(mt.open_dataset(folder / "*.xyz")) == 3
    assert len(mt.open_dataset("**/*.*xyz")) == 3 + 5
    data = mt.open_dataset(["b.xyz", "below"], index="1:")
    assert len(data) == 7
    assert data.name == "b.xyz and 1 others"
    assert data.source(2) == "below/c.extxyz, frame 0"


def test_a_list_of_files_is_kept_by_a_config(folder, tmp_path):
    config = mt.XYZDatasetConfig(src=[folder / "b.xyz", folder / "a.traj"])
    config.to_yaml(tmp_path / "data.yaml")
    again = mt.XYZDatasetConfig.from_yaml(tmp_path / "data.yaml")
    assert again == config
    assert (again.src, again.further) == (folder / "b.xyz", [folder / "a.traj"])
    assert len(again.create_dataset()) == 7
    with pytest.raises(ConfigError, match="src: "):
        mt.XYZDatasetConfig(src=[])


def test_frames_of_files_are_divided_by_file(folder, copper):
    config = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=folder), split="groups", group_key="file", train_split=0.6
    )
    for part in config.create_datasets().values():
        for i in range(len(part)):
            others = [d for d in config.create_datasets().values() if d.name != part.name]
            assert all(part.file(i) not in map(d.file, range(len(d))) for d in others)


def test_one_bad_file_is_named_or_skipped_and_counted(folder):
    (folder / "bad.xyz").write_text("3\n\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"bad\.xyz.* It is one of 4 files; set skip_bad_files"):
        mt.open_dataset(folder)
    with pytest.warns(UserWarning, match=r"1 files cannot be read and are left out, e\.g\. .*bad"):
        data = mt.open_dataset(folder, skip_bad_files=True)
    assert len(data) == 12
    for name in ("a.traj", "b.xyz", "below/c.extxyz"):
        (folder / name).unlink()
    with pytest.raises(DataError, match="none of the 1 files can be read"):
        mt.open_dataset(folder, skip_bad_files=True)


def test_of_a_calculation_of_vasp_one_file_is_taken(tmp_path):
    for name in ("1/vasprun.xml", "1/OUTCAR", "1/POSCAR", "2/OUTCAR", "2/CONTCAR", "3/POSCAR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in source_files([tmp_path])]
    assert found == ["1/vasprun.xml", "2/OUTCAR", "3/POSCAR"]


def test_what_holds_nothing_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no file of structures"):
        open_frames(tmp_path / "empty")
    with pytest.raises(DataError, match=r"\*\.xyz: fits no file"):
        open_frames(tmp_path / "*.xyz")
    (tmp_path / "a.xyz").write_text("1\n\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"format: 'extxzy' is no format\. Did you mean 'extxyz'"):
        open_frames(tmp_path / "a.xyz", "extxzy")


def test_a_name_with_brackets_is_a_file(copper, tmp_path):
    ase.io.write(tmp_path / "a[1].xyz", copper(2))
    assert len(mt.open_dataset(tmp_path / "a[1].xyz")) == 2


@pytest.mark.parametrize("name", ["data.txt", "data", "frames.dat"])
def test_extended_xyz_is_known_by_its_content(name, copper, tmp_path):
    ase.io.write(tmp_path / name, copper(2), format="extxyz")
    assert len(mt.open_dataset(tmp_path / name)) == 2


def test_text_that_is_no_structure_is_none_by_its_content(tmp_path):
    (tmp_path / "notes.txt").write_text("2\nThe second of my notes.\nIt ends here.\n")
    with pytest.raises(DataError, match="of no known format"):
        mt.open_dataset(tmp_path / "notes.txt")


def test_a_format_is_named_where_it_cannot_be_told(copper, tmp_path):
    ase.io.write(tmp_path / "frames.data", copper(2), format="extxyz")
    assert len(mt.open_dataset(tmp_path / "frames.data", format="extxyz")) == 2


def test_what_changes_in_a_file_of_a_folder_is_noticed(folder, copper, monkeypatch):
    from mattertune_nb.data import content

    monkeypatch.setattr(content, "_WORTH_KEEPING", 0.0)
    config = mt.XYZDatasetConfig(src=folder)
    keys, stamps, print_ = (f(x) for f, x in _known(config))
    ase.io.write(folder / "below" / "c.extxyz", copper(5, seed=9))
    again, new_stamps, new_print = (f(x) for f, x in _known(config))
    assert (again.structure[:7] == keys.structure[:7]).all()
    assert (again.structure[7:] != keys.structure[7:]).all()
    assert new_stamps != stamps
    assert new_print != print_


def _known(config):
    return (frame_keys, config.create_dataset()), (file_stamps, config), (fingerprint, config)


def test_frames_are_numbered_from_the_end_as_well(folder):
    frames = open_frames(folder)
    np.testing.assert_array_equal(frames[-1].positions, frames[11].positions)
    with pytest.raises(IndexError, match="there are 12 frames, and no frame 12"):
        frames[12]
