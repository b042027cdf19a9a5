"""What takes long is seen on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from mattertune_nb.data import watched
from mattertune_nb.data.xyz import file
from mattertune_nb.data.xyz.file import IndexedXYZ


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def large(monkeypatch):
    """Let the smallest file be a large one, of which each frame is told."""
    monkeypatch.setattr(watched, "_LARGE", 1)
    monkeypatch.setattr(file, "_TOLD_EVERY", 1)
    # rich draws no bar where a terminal cannot move its cursor
    monkeypatch.setenv("TERM", "xterm")


def test_indexing_a_large_file_shows_how_far_it_is(copper_xyz, large, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    n_frames = len(IndexedXYZ(copper_xyz))
    said = sys.stderr.getvalue()
    assert f"Indexing {copper_xyz.name}" in said
    assert n_frames > 2


def test_how_far_it_is_ends_where_the_last_frame_begins(copper_xyz, large):
    told = []
    index = file._scan(copper_xyz, told.append)
    assert told == index[:-1, 0].tolist()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_log_or_a_small_file_has_no_bar(copper_xyz, monkeypatch, stream, request):
    if stream is io.StringIO:
        request.getfixturevalue("large")
    monkeypatch.setattr(sys, "stderr", stream())
    IndexedXYZ(copper_xyz)
    assert sys.stderr.getvalue() == ""
