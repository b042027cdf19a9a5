"""What a check has found holds while files, settings and rules are the same, and no longer."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError
from mattertune_nb.data import checked, frame_checks
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.frame_checks import check_dataset

REQUIRED = {"energy": "error", "forces": "error"}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a file of its own, whose check is kept however quick it is."""
    monkeypatch.setattr(frame_checks, "_WORTH_KEEPING", 0.0)
    return shutil.copy(mt.demo_data("validation"), tmp_path / "a.xyz")


@pytest.fixture
def read(monkeypatch):
    """Return the frames that are checked one by one."""
    seen, inner = [], frame_checks.problem_of
    monkeypatch.setattr(
        frame_checks, "problem_of", lambda atoms, known: seen.append(1) or inner(atoms, known)
    )
    return seen


def opened(file, **settings):
    return mt.open_dataset(file, **settings)


def test_a_second_check_reads_no_frame(file, read):
    first = check_dataset(opened(file), REQUIRED, ["C", "H", "O"])
    n = len(read)
    second = check_dataset(opened(file), REQUIRED, ["O", "H", "C"])
    assert len(read) == n == first.n_frames
    assert (first.elements, first.labels, first.notes) == (
        second.elements,
        second.labels,
        second.notes,
    )
    for name in ("n_atoms", "composition"):
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "change",
    [
        {"required": {"energy": "error"}},
        {"elements": ["C", "H", "O", "N"]},
        {"index": "1:"},
        {"forces_key": "forces"},
        {"units": {"energy": "eV"}},
    ],
)
def test_other_settings_are_checked_anew(file, read, change):
    check_dataset(opened(file), REQUIRED, ["C", "H", "O"])
    n, settings = len(read), dict(change)
    required, elements = (
        settings.pop("required", REQUIRED),
        settings.pop("elements", ["C", "H", "O"]),
    )
    check_dataset(opened(file, **settings), required, elements)
    assert len(read) > n


def test_a_changed_file_and_changed_rules_are_checked_anew(file, read, monkeypatch):
    check_dataset(opened(file), REQUIRED)
    text = file.read_text()
    file.write_text(text.replace("energy=-", "energy=nan_", 1))
    with pytest.raises(DataError, match="frame 0"):
        check_dataset(opened(file), REQUIRED)
    file.write_text(text)
    check_dataset(opened(file), REQUIRED)
    n = len(read)
    monkeypatch.setattr(checked, "_VERSION", -1)
    check_dataset(opened(file), REQUIRED)
    assert len(read) > n


def test_what_is_refused_is_refused_again(file):
    for _ in range(2):
        with pytest.raises(DataError, match="does not know element 'O'"):
            check_dataset(opened(file), REQUIRED, ["C", "H"])


def test_rows_of_a_database_and_lengths_in_another_unit_have_hashes_of_their_own(
    tmp_path, monkeypatch
):
    """Two selections of one database hold as many rows, and yet others."""
    import ase.db
    from ase.build import bulk

    monkeypatch.setattr("mattertune_nb.data.content._WORTH_KEEPING", 0.0)
    with ase.db.connect(tmp_path / "a.db") as db:
        for i in range(4):
            db.write(bulk("Cu", a=3.5 + 0.1 * i), part=i // 2)
    first, second = (
        frame_keys(
            mt.DBDatasetConfig(src=tmp_path / "a.db", selection=f"part={k}").create_dataset()
        )
        for k in (0, 1)
    )
    assert not set(first.structure) & set(second.structure)
    in_bohr = mt.DBDatasetConfig(
        src=tmp_path / "a.db", selection="part=0", units={"length": "Bohr"}
    )
    assert not set(first.structure) & set(frame_keys(in_bohr.create_dataset()).structure)
