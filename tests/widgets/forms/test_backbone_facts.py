"""What the form tells of a backbone before it is loaded: licence, origin, and what it is not."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.backbones.base import TRAITS
from mattertune_nb.backbones.registry import available
from mattertune_nb.widgets.forms.model_tab import facts_html


def told(config) -> str:
    return facts_html(config.facts(), available()[config.name], config.lacks)


def test_weights_inside_a_package_are_told_so():
    text = told(mt.CHGNetBackboneConfig())
    assert "inside the package" in text
    assert "allows any use, if the notice is kept" in text
    assert "<i>Not " not in text


@pytest.mark.parametrize("cls", [mt.ORBBackboneConfig, mt.ORBDirectBackboneConfig])
def test_what_orb_is_not_and_where_it_comes_from_is_told(cls):
    text = told(cls())
    for trait, why in cls.lacks.items():
        assert trait in TRAITS
        assert f"<i>Not {trait}</i><span>{why}" in text
    assert "https://orbitalmaterials-public-models" in text
    assert "100 MB" in text
    assert "not measured" in text


def test_of_weights_of_ones_own_only_what_the_backbone_is_not_is_told(tmp_path):
    text = told(mt.ORBBackboneConfig(checkpoint=tmp_path / "own.ckpt"))
    assert "Not equivariant" in text
    assert "Licence" not in text
