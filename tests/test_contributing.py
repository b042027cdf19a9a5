"""The worked tasks of CONTRIBUTING.md, done as it says, from outside of the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.live.sections import SECTIONS

GUIDE = (Path(__file__).parents[1] / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


def code(mark: str) -> str:
    """Return the block of code below a comment."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```python\n(.*?)```", GUIDE, re.DOTALL)
    assert found, mark
    return found[1]


@pytest.fixture
def outside(tmp_path):
    """Return a function that runs code where a package of one file and its entry points are installed."""

    def run(module: str, script: str) -> str:
        (tmp_path / module).write_text(code(module), encoding="utf-8")
        info = tmp_path / "outside-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: outside\nVersion: 1.0\n")
        points = re.findall(
            r'\[project\.entry-points\."(.*?)"\]\n(.*?)```', GUIDE, re.DOTALL
        )  # as packaging writes them: without quotation marks
        (info / "entry_points.txt").write_text(
            "".join(
                f"[{group}]\n" + line.replace('"', "")
                for group, line in points
                if module.removesuffix(".py") in line
            )
        )
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_backbone(outside):
    shown = outside(
        "my_potential.py",
        "from my_potential import PairConfig\n"
        "from mattertune_nb.backbones.registry import available\n"
        "from mattertune_nb.testing import check_backbone\n"
        "check_backbone(PairConfig())\n"
        "print(available()['pair'].installed)",
    )
    assert shown.split() == ["True"]


def test_a_property(outside):
    shown = outside(
        "my_property.py",
        "import mattertune_nb as mt\n"
        "from ase.build import bulk\n"
        "config = mt.CHGNetBackboneConfig(properties=[{'type': 'band_gap'}])\n"
        "again = mt.CHGNetBackboneConfig.from_yaml_text(config.to_yaml())\n"
        "predictor = mt.FinetuneModuleBase(again).property_predictor()\n"
        "(found,) = predictor.predict([bulk('Si')], ['band_gap'])\n"
        "print(type(again.properties[0]).__name__, list(found))",
    )
    assert shown.strip() == "BandGapConfig ['band_gap']"


def test_a_file_format(outside, tmp_path):
    (tmp_path / "my.dimers").write_text("2.1 -1.0\n2.3 -1.5\n")
    shown = outside(
        "my_format.py",
        "import mattertune_nb as mt\n"
        "data = mt.XYZDatasetConfig(src='my.dimers').create_dataset()\n"
        "print([data.labels(i)['energy'] for i in range(len(data))])",
    )
    assert shown.strip() == "[-1.0, -1.5]"


def test_a_panel_of_the_dashboard(morse_config):
    before = list(SECTIONS)
    config = morse_config()
    mt.MatterTuner(config).tune()
    try:
        exec(code("panel"), {})
        view = mt.Run.attach(config.run.root / config.run.name).dashboard()
    finally:
        SECTIONS[:] = before
    view.refresh()
    shown = view.sections.sections[-1]
    assert shown.title == "Settings"
    assert "name: morse" in shown.widget.value
    view.close()
