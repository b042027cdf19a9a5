"""The suite as a command, and where a new environment gets this package from."""

from __future__ import annotations

from pathlib import Path

import mattertune_nb as mt
from mattertune_nb.testing.check import check
from mattertune_nb.testing.environment import this_package


def test_a_backbone_that_conforms_is_told_with_what_it_ran_on(morse_installed, capsys):
    assert check("morse", []) == 0
    assert capsys.readouterr().out.startswith("morse conforms (Python 3.")


def test_a_backbone_that_does_not_is_told_with_what_is_wrong(morse_installed, capsys):
    assert check("morse", ["fault=an axis preferred"]) == 1
    assert "rotation: crystal: energy off by" in capsys.readouterr().out


def test_a_clone_is_installed_from_its_folder():
    assert this_package().startswith("mattertune-nb==") or Path(this_package()).is_dir()
    assert mt.__version__ in this_package() or (Path(this_package()) / "pyproject.toml").is_file()
