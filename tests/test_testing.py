"""The conformance suite: both vendors' backbones pass, and what is wrong is found and listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import EMAWeightAveraging
from toy_backbone import (
    HeadedMorseBackboneConfig,
    MorseBackboneConfig,
    PlacedMorseBackboneConfig,
)

from mattertune_nb.backbones import registry
from mattertune_nb.backbones.chgnet.config import CHGNetBackboneConfig
from mattertune_nb.backbones.sevennet.config import SevenNetBackboneConfig
from mattertune_nb.config.callbacks import EMAConfig
from mattertune_nb.config.task import PerAtomReferencingNormalizerConfig
from mattertune_nb.testing import _Suite, check_backbone

SEVENNET = pytest.mark.skipif(
    not SevenNetBackboneConfig.is_installed(), reason=SevenNetBackboneConfig.install_hint()
)


@pytest.mark.parametrize("weights", ["0.3.0", "0.2.0", "r2scan"])
def test_chgnet_conforms(weights):
    check_backbone(CHGNetBackboneConfig(pretrained_model=weights))


@SEVENNET
@pytest.mark.parametrize(
    ("weights", "modality"),
    [("7net-0", None), ("7net-l3i5", None), ("7net-mf-0", "PBE"), ("7net-mf-0", "R2SCAN")],
)
def test_sevennet_conforms(weights, modality):
    check_backbone(SevenNetBackboneConfig(pretrained_model=weights, modality=modality))


def test_a_backbone_from_outside_conforms(morse_installed):
    assert "morse" in morse_installed.names
    assert registry.available()["morse"].config_class is MorseBackboneConfig
    check_backbone(MorseBackboneConfig())


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("forces have the wrong sign", ["finite differences: crystal, atom 0", "vendor: crystal"]),
        ("stress in GPa", ["finite differences: crystal, component 0: stresses off by"]),
        ("stress for molecules", ["stress is given only where periodic: molecule has a stress"]),
        ("an axis preferred", ["rotation: crystal: energy off by"]),
        ("order counts", ["permutation: "]),
        ("batch leaks", ["batches: crystal: energy off by 0.0"]),
        ("the vendor is off", ["agreement with the vendor: crystal: energy off by"]),
        ("float32 inside", ["float64: the energy of a model in float64 is torch.float32"]),
        ("a parameter without effect", ["gradients: none reaches 'unused'; freeze it"]),
        (
            "a parameter for angles",
            [
                "gradients without neighbors: atom alone: none, not even of zero, for 1 parameters",
                "gradients without neighbors: two atoms far apart: none",
            ],
        ),
        ("a gradient is not finite", ["gradients: a loss on the energy gives 'depth' one that is"]),
        ("a copy of its own", ["copy: only the copy has 'backbone.constant'"]),
        ("no gradient", ["gradients: a loss on the energy reaches no parameter"]),
        ("molecules are off", ["molecules: molecule in a large box: energy off by 0.017"]),
        ("unknown elements are taken", ["unknown elements are refused: 'Og' is not among"]),
        (
            "partly periodic cells are taken",
            ["partly periodic cells are refused where not known: no DataError is raised"],
        ),
        ("the origin counts", ["translation and images: crystal: energy off by"]),
        (
            "cells of one atom are off",
            ["cells smaller than the cutoff: one-atom cell repeated: energy off by"],
        ),
        (
            "another energy in inference mode",
            ["prediction under inference mode: crystal: energy off by 0.01"],
        ),
        ("a buffer that no checkpoint has", ["checkpoint: crystal: energy off by"]),
        ("another energy each time", ["repeats: energy off by up to"]),
    ],
)
def test_what_is_wrong_is_listed(morse_installed, fault, found):
    with pytest.raises(AssertionError, match="does not conform") as error:
        check_backbone(MorseBackboneConfig(fault=fault))
    for line in found:
        assert line in str(error.value)


def test_a_trait_that_a_backbone_lacks_is_measured(morse_installed, monkeypatch):
    monkeypatch.setattr(MorseBackboneConfig, "lacks", {"bitwise": "it draws random numbers"})
    measured = check_backbone(MorseBackboneConfig(fault="another energy each time"))
    (size, *_) = re.findall(r"energy off by up to (\S+) from one call", measured["bitwise"])
    assert 1e-7 < float(size) <= 1e-6
    assert "forces" not in measured["bitwise"]


def test_a_parameter_that_nothing_reads_is_held_without_a_word_of_the_adapter(morse_installed):
    check_backbone(MorseBackboneConfig(fault="an unused parameter"))


def test_a_backbone_with_heads_and_features_conforms(morse_installed):
    check_backbone(HeadedMorseBackboneConfig())


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("features that lean on an axis", "heads: crystal: features change as it is turned"),
        ("heads that see the batch", "heads: crystal: forces in a batch off by"),
        (
            "energies of atoms that miss some",
            "heads: crystal: the energies of atoms differ from the energy by",
        ),
    ],
)
def test_what_is_wrong_with_heads_is_listed(morse_installed, fault, found):
    with pytest.raises(AssertionError, match="does not conform") as error:
        check_backbone(HeadedMorseBackboneConfig(fault=fault))
    assert found in str(error.value)


def test_a_backbone_that_reads_positions_and_a_charge_conforms(morse_installed):
    check_backbone(PlacedMorseBackboneConfig())


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("a charge without effect", "inputs of a frame: 'charge' of a structure changes nothing"),
        ("positions that no gradient follows", "finite differences: crystal, atom 0, x: forces"),
        (
            "a part that follows the format of the rest",
            "float64 part: 'isolated' is torch.bfloat16 in a model in torch.bfloat16",
        ),
    ],
)
def test_what_is_wrong_with_inputs_and_a_float64_part_is_listed(morse_installed, fault, found):
    with pytest.raises(AssertionError, match="does not conform") as error:
        check_backbone(PlacedMorseBackboneConfig(fault=fault))
    assert found in str(error.value)


def test_every_check_of_the_suite_finds_a_planted_fault():
    told = Path(__file__).read_text(encoding="utf-8")
    checks = {n.removeprefix("check_") for n in dir(_Suite) if n.startswith("check_")}
    missing = {check for check in checks if f"{check.replace('_', ' ')}: " not in told}
    assert missing == set()


def test_an_average_that_rounds_integers_is_told(morse_installed, monkeypatch):
    monkeypatch.setattr(
        EMAConfig, "create_callback", lambda config: EMAWeightAveraging(decay=config.decay)
    )
    with pytest.raises(
        AssertionError, match=r"averages of weights: decay 0\.9: 'backbone\.table' is"
    ):
        check_backbone(MorseBackboneConfig())


def test_every_failure_is_listed_in_one_error(morse_installed):
    with pytest.raises(AssertionError) as error:
        check_backbone(MorseBackboneConfig(fault="an axis preferred"))
    title, *lines = str(error.value).splitlines()
    assert title == f"MorseBackboneConfig does not conform ({len(lines)} failures):"
    assert all(line.startswith("  - ") for line in lines)
    # of several checks, and of several structures in one of them
    assert {line[4:].split(":")[0] for line in lines} == {"agreement with the vendor", "rotation"}
    assert len([line for line in lines if "rotation: " in line and "energy" in line]) > 3


def test_a_backbone_that_cannot_be_built_is_one_failure_of_each_check():
    missing = CHGNetBackboneConfig(checkpoint="nowhere.pth")
    with pytest.raises(AssertionError, match=r"raised ConfigError: .*nowhere\.pth does not exist"):
        check_backbone(missing)


def test_references_in_the_config_do_not_enter_the_comparison(morse_installed):
    given = PerAtomReferencingNormalizerConfig(per_element_references={"Cu": -3.0})
    check_backbone(MorseBackboneConfig(normalizers={"energy": [given]}))


def test_a_backbone_without_an_entry_point_is_told_so():
    with pytest.raises(AssertionError, match=r"checkpoint: .*unknown backbone 'morse'"):
        check_backbone(MorseBackboneConfig())
