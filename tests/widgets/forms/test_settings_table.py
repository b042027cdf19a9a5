"""What is seen of a form where there are no widgets."""

from __future__ import annotations

import html
import re

import mattertune_nb as mt
from mattertune_nb.widgets.forms.settings_table import basic_settings, settings_html


def test_basic_settings_are_shown_in_words_and_units_and_no_path_of_a_machine():
    config = mt.demo_config()
    config.model.optimizer.lr = 3e-4
    shown = dict(basic_settings(config))
    assert shown["Optimizer: Learning rate"] == "0.0003"
    assert shown["Data: Batch size"] == "16 structures"
    assert shown["Training: Epochs"] == "32"
    assert shown["Training set: File"] == "ethanol_train.xyz"
    assert shown["Forces: Weight"] == "1.0"
    # what few people touch is left to the text
    assert not any("sanity" in label.lower() for label in shown)


def test_a_name_is_no_html():
    config = mt.XYZDatasetConfig(src="a<b>.xyz")
    cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", settings_html(config))]
    assert "a<b>.xyz" in cells
    assert "<b>" not in settings_html(config)
