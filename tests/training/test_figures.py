"""Axes and colour bars of still pictures, as people read them."""

from __future__ import annotations

import itertools

import pytest

from mattertune_nb.training.figures import color_bar, log_axes, new_figure


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((1.2, 7.0), ["2", "3", "4", "6"]),
        ((0.02, 0.9), ["0.1", "1"]),
        ((3.0, 300.0), ["10", "100"]),
        ((18.0, 24.0), ["18", "20", "22", "24"]),
    ],
)
def test_ticks_are_numbers_and_not_powers_of_ten(ends, said):
    figure, (ax,) = new_figure(1, 1, 5.0, 1.6)
    ax.plot([1.0, 2.0], ends)
    log_axes(ax, "y")
    figure.draw_without_rendering()
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    ticks = [*ax.yaxis.get_major_ticks(), *ax.yaxis.get_minor_ticks()]
    labels = {t.label1.get_text(): t.get_loc() for t in ticks if t.label1.get_text()}
    assert set(said) <= set(labels)
    for text, place in labels.items():
        assert float(text) == pytest.approx(place)
        assert "e" not in text


def test_a_colour_bar_has_numbers_and_words_no_larger_than_its_plot():
    figure, (ax,) = new_figure(1, 1, 5.0, 3.0)
    ax.tick_params(labelsize=7)
    ax.set_xlabel("label", fontsize=8)
    color_bar(ax.scatter([0, 1], [0, 1], c=[0, 5000]), ax, "force (meV/Å)")
    figure.draw_without_rendering()
    bar = figure.axes[1]
    assert bar.get_ylabel() == "force (meV/Å)"
    assert {text.get_fontsize() for text in bar.get_yticklabels()} == {7}
    assert bar.yaxis.label.get_fontsize() == ax.xaxis.label.get_fontsize()


def test_labels_of_four_digits_stay_apart():
    figure, (ax,) = new_figure(1, 1, 3.0, 3.0)
    ax.plot([-3200, 3100], [-3200, 3100])
    ax.tick_params(labelsize=7)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    inside = sorted((box.x0, box.x1) for box in boxes)
    assert all(right < left - 2 for (_, right), (left, _) in itertools.pairwise(inside))
