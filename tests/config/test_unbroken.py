"""No line of a page ends between a number and its unit; logs and files keep plain spaces."""

from __future__ import annotations

import pytest

from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.outcome.verdict import Change, Verdict
from mattertune_nb.widgets.page.style import error_html, note_html


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("238 → 44 meV/Å, 5.4 × better", "238 → 44_meV/Å, 5.4_× better"),
        ("Li–Li below 1.20 Å.", "Li–Li below 1.20_Å."),
        (
            "about 14 min (100 epochs × 8 s), 1.1 GB; 6 %",
            "about 14_min (100 epochs × 8_s), 1.1_GB; 6_%",
        ),
        ("0.3 meV/atom/ps from 300 K", "0.3_meV/atom/ps from 300_K"),
        ("0 meV/atom, 6.3e-12 meV/Å", "0_meV/atom, 6.3e−12_meV/Å"),
        ("lr is 1e-05, over 12 frames", "lr is 1e-05, over 12 frames"),
        ("12 frames, epoch 3 has a minimum", "12 frames, epoch 3 has a minimum"),
    ],
)
def test_a_number_stays_with_its_unit_and_with_no_other_word(text, kept):
    found = unbroken(text)
    assert found.replace("/\u2060", "/") == kept.replace("_", "\u00a0")
    assert found.count("/\u2060") == text.count("/")


def test_a_unit_that_is_a_setting_stays_as_it_is_written():
    assert unbroken("units.energy = eV/atom is set") == "units.energy = eV/atom is set"


def test_what_a_page_shows_is_kept_together_and_what_is_logged_is_not():
    verdict = Verdict((Change("forces", "meV/Å", 238.0, 44.0, "untuned"),))
    assert "44.0\u00a0meV/\u2060Å, 5.4\u00a0× better" in verdict.to_html()
    assert "44.0 meV/Å" in str(verdict)
    for html in (note_html("1.1 GB"), error_html("1.1 GB")):
        assert "1.1\u00a0GB" in html
