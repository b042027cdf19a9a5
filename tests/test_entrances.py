"""Every entrance for data takes a file, a pattern, or a list of files."""

from __future__ import annotations

import subprocess
import sys

import ase.io
import pytest
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt


@pytest.fixture
def parts(copper_xyz, tmp_path):
    """Write the copper frames to two files."""
    frames = ase.io.read(copper_xyz, ":")
    for name, some in (("a", frames[:5]), ("b", frames[5:])):
        ase.io.write(tmp_path / f"part_{name}.xyz", some)
    return [tmp_path / "part_a.xyz", tmp_path / "part_b.xyz"]


ENTRANCES = {
    "mt.open_dataset": lambda data: len(mt.open_dataset(data)),
    "mt.check": lambda data: mt.check(data).n_frames,
    "predict": lambda data: len(
        mt.FinetuneModuleBase(MorseBackboneConfig()).property_predictor().predict(data)
    ),
    "mt.explore": lambda data: len(mt.explore(data).dataset),
    "a config": lambda data: len(mt.XYZDatasetConfig(src=data).create_dataset()),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_list_of_files_and_a_pattern_are_taken(entrance, parts):
    read = ENTRANCES[entrance]
    assert read(parts) == 14
    assert read([str(part) for part in parts]) == 14
    assert read(str(parts[0].with_name("part_*.xyz"))) == 14
    assert read(parts[0]) == 5


def test_a_script_with_views_ends_without_a_word(copper_xyz):
    path = repr(str(copper_xyz))
    code = f"import mattertune_nb as mt; view = mt.view({path}); explored = mt.explore({path})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Exception ignored" not in done.stderr
