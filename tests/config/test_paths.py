"""Dotted paths, through classes and through plain data."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.config.paths import child, paths_of, setting_at


def test_a_setting_is_found_through_unions_lists_and_mappings():
    loc = ("model", "optimizer", "adamw", "lr")
    found = setting_at(mt.MatterTunerConfig, loc, unknown=False)
    assert found.path == ("model", "optimizer", "lr")
    assert (found.label, found.field.description) == (
        "Learning rate",
        mt.AdamWConfig.model_fields["lr"].description,
    )


def test_a_name_is_found_where_it_is_the_fewest_groups_down():
    assert paths_of(mt.MatterTunerConfig, "max_epochs") == ["trainer.max_epochs"]
    assert paths_of(mt.MatterTunerConfig, "epochs")[0] == "trainer.max_epochs"
    assert paths_of(mt.MatterTunerConfig, "nonsense") == []


def test_plain_data_is_followed_and_what_is_not_set_becomes_a_group():
    data = {"parts": [{"lr": 1}], "empty": None}
    assert child(child(data, "parts"), "0") == {"lr": 1}
    assert child(data, "empty") == {}
    for target, name in ((data, "other"), (data["parts"], "1"), (data["parts"], "-1"), (3, "x")):
        with pytest.raises(KeyError):
            child(target, name)
