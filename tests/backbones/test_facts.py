"""What is said of weights before they are loaded, against the loaded model."""

from __future__ import annotations

import re
from importlib.metadata import metadata

import pytest
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app

WEIGHTS = [
    mt.CHGNetBackboneConfig(),
    mt.CHGNetBackboneConfig(pretrained_model="0.2.0"),
    mt.CHGNetBackboneConfig(pretrained_model="r2scan"),
    mt.SevenNetBackboneConfig(),
    mt.SevenNetBackboneConfig(pretrained_model="7net-l3i5"),
    mt.SevenNetBackboneConfig(pretrained_model="7net-mf-0", modality="PBE"),
]


@pytest.mark.parametrize("config", WEIGHTS, ids=lambda c: f"{c.name}-{c.pretrained_model}")
def test_facts_are_those_of_the_loaded_model(config):
    config.require_installed()
    facts, model = config.facts(), config.create_backbone()
    assert facts.parameters == sum(p.numel() for p in model.parameters())
    assert facts.cutoff == model.cutoff
    assert facts.n_elements == len(model.elements)
    assert facts.elements.startswith(f"{facts.n_elements}, {model.elements[0]} to ")


@pytest.mark.parametrize(
    ("config", "package", "licence"),
    [(WEIGHTS[0], "chgnet", "BSD"), (WEIGHTS[3], "sevenn", "MIT")],
    ids=["chgnet", "sevennet"],
)
def test_the_licence_is_that_of_the_package_that_carries_the_weights(config, package, licence):
    assert licence in config.facts().licence
    assert licence in metadata(package)["License"]


def test_of_weights_of_ones_own_nothing_is_claimed(tmp_path):
    assert mt.CHGNetBackboneConfig(checkpoint=tmp_path / "own.pt").facts() is None


def test_of_a_file_fetched_by_hand_they_are_those_of_its_name(tmp_path):
    name, facts = next((n, f) for n, f in mt.MACEBackboneConfig.known_weights.items() if f.download)
    (file,) = facts.download.files
    found = mt.MACEBackboneConfig(checkpoint=tmp_path / file).facts()
    assert found == mt.MACEBackboneConfig(pretrained_model=name).facts()
    # all of MatGL's folders hold files of the same names
    assert mt.MatGLBackboneConfig(checkpoint=tmp_path / "model.pt").facts() is None


def test_the_list_on_a_terminal_groups_digits_by_spaces():
    printed = CliRunner().invoke(app, ["backbones"]).output
    assert re.search(r"Parameters: \d+\u202f\d{3}", printed)
    assert "\\u" not in printed
