"""Files are whole or not there; lines are whole or not read."""

from __future__ import annotations

import pytest

from mattertune_nb.config.errors import DataError
from mattertune_nb.training.files import (
    append_line,
    check_target,
    read_lines,
    write_text,
    write_whole,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "last.ckpt"
    write_text(path, "old")

    def full_disk(file):
        file.write(b"half of the new one")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(path, full_disk)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_last_line_waits_for_its_end(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2')
    records, offset, damaged = read_lines(path)
    assert records == [{"step": 1}]
    assert not damaged
    with path.open("a") as file:
        file.write("}\n")
    assert read_lines(path, offset) == ([{"step": 2}], path.stat().st_size, 0)


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2')
    append_line(path, {"step": 3})
    append_line(path, {"step": 4})
    read = read_lines(path)
    assert [r["step"] for r in read.records] == [1, 3, 4]
    assert read.damaged == 1


def test_no_file_yet_is_no_record(tmp_path):
    assert read_lines(tmp_path / "metrics.jsonl") == ([], 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        *("3", "[]", "null", '"step"', "{", "[" * 3000),
        *('{"step": -1}', '{"step": "1"}', '{"epoch": NaN}', '{"step": 1e60}', '{"time": []}'),
        *('{"time": 1e300}', '{"kind": 1}', '{"mine": "a"}', '{"mine": Infinity}', '{"lr": {}}'),
        f'{{"mine": {"9" * 400}}}',
    ],
    ids=lambda line: line[:20],
)
def test_a_line_that_no_run_writes_is_left_out_and_counted(line, tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1, "mine": None, "val/total_loss": 0.5})
    with path.open("a") as file:
        file.write(f"{line}\n\n")
    append_line(path, {"step": 2})
    read = read_lines(path)
    assert [record["step"] for record in read.records] == [1, 2]
    assert read.damaged == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (".", "is a folder"),
        ("nowhere/out.xyz", "the folder does not exist"),
        ("out.db", "Name it out.xyz"),
        ("in.xyz", "would replace the structures"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, target, message):
    (tmp_path / "in.xyz").touch()
    with pytest.raises(DataError, match=message):
        check_target(tmp_path / target, tmp_path / "in.xyz")
    for name in ("out.xyz", "out.extxyz", "out"):
        check_target(tmp_path / name, tmp_path / "in.xyz")
