"""The figure of a run's curves, read as a person reads it, and its picture."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mattertune_nb.widgets.live.curves import CurvesFigure
from mattertune_nb.widgets.live.curves_layout import curves_layout
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.expected import metrics_of
from mattertune_nb.widgets.live.scales import Scales, line_label, smoothed
from mattertune_nb.widgets.live.sections import CurvesSection
from mattertune_nb.widgets.live.series import MAX_PANELS, CurveData, Panel, Series
from mattertune_nb.widgets.page.export import render

PER_EPOCH = 5
RNG = np.random.default_rng(3)
LOSSES = RNG.random(20)
FORCES, ENERGIES = RNG.random((2, 4)) / 10
BASELINES = {
    "baseline/energy_per_atom_mae": 151.37,
    "baseline/referenced_energy_per_atom_mae": 0.2,
    "baseline/forces_mae": 0.25,
}


def records():
    """Return four epochs of five steps as a run writes them, a second a step."""
    yield {"step": 0, "epoch": 0, "time": 0.0, **BASELINES}
    for step, loss in enumerate(LOSSES):
        epoch, time = step // PER_EPOCH, 1.0 + step
        yield {"step": step, "epoch": epoch, "time": time, "train/total_loss": loss}
        yield {"step": step, "epoch": epoch, "time": time, "lr-AdamW": 1e-3 / (1 + step)}
        if step % PER_EPOCH == PER_EPOCH - 1:
            yield {
                "step": step,
                "epoch": epoch,
                "time": time,
                "val/forces_mae": FORCES[epoch],
                "val/energy_per_atom_mae": ENERGIES[epoch],
                "val/total_loss": FORCES[epoch] + ENERGIES[epoch],
            }


@pytest.fixture
def data():
    """Return the run's curves."""
    curves = CurveData("val/total_loss", "min", metrics_of(["energy", "forces"]))
    curves.steps_per_epoch = PER_EPOCH
    curves.add(records())
    return curves


def drawn(figure, number, start):
    """Return the one visible trace of a panel, counted from 1, whose name starts so."""
    legend = "legend" if number == 1 else f"legend{number}"
    (trace,) = [
        t
        for t in figure.widget.data
        if t.visible
        and t.legend == legend
        and t.name.startswith(start)
        and t.showlegend is not False
    ]
    return trace


def heading(figure, number):
    return figure.widget.layout["legend" if number == 1 else f"legend{number}"].title.text


def test_each_value_that_is_written_beside_a_panel_is_drawn_in_it(data):
    figure = CurvesFigure(data)
    names = ["loss", "energy MAE</b> (meV/atom)", "forces MAE</b> (meV/Å)", "learning rate"]
    for number, name in enumerate(names, 1):
        assert name in heading(figure, number)
    forces = drawn(figure, 3, "validation")
    np.testing.assert_allclose(forces.y, 1000 * FORCES)
    assert forces.name == f"validation {1000 * FORCES[-1]:.3g}"
    assert list(forces.x) == [5, 10, 15, 20]
    star = drawn(figure, 3, "best")
    best = int(np.argmin(FORCES))
    assert star.name == f"best forces MAE {1000 * FORCES[best]:.3g},<br>epoch {best + 1}"
    assert (star.x[0], star.y[0]) == (PER_EPOCH * (best + 1), pytest.approx(1000 * FORCES[best]))
    assert drawn(figure, 1, "training").y[-1] == pytest.approx(LOSSES[-1])
    assert drawn(figure, 4, "AdamW").name == f"AdamW {1e-3 / 20:.3g}"


def test_the_star_of_the_loss_and_the_line_of_what_is_kept_name_their_metric(data):
    figure = CurvesFigure(data)
    total = FORCES + ENERGIES
    best = int(np.argmin(total))
    star = drawn(figure, 1, "best")
    assert star.name == f"best validation loss {total[best]:.3g},<br>epoch {best + 1}"
    (note,) = figure.widget.layout.annotations
    assert note.text == f"weights kept: epoch {best + 1}, best validation loss"
    assert note.x == star.x[0]


def test_lines_have_two_names_and_one_that_is_off_scale_stands_in_the_heading(data):
    figure = CurvesFigure(data)
    lines = {
        shape.name.replace("<br>", " "): (shape.y0, shape.yref)
        for shape in figure.widget.layout.shapes
        if shape.name
    }
    assert lines == {
        "untuned, energies re-referenced 200": (200.0, "y2"),
        "untuned 250": (250.0, "y3"),
    }
    assert "untuned 151\u202f370 (off scale)" in heading(figure, 2)
    assert "off scale" not in heading(figure, 3)


@pytest.mark.parametrize(
    ("along", "ends", "title"),
    [
        ("step", [5, 10, 15, 20], "step (epoch = 5 steps)"),
        ("epoch", [1, 2, 3, 4], "epoch"),
        ("time", [5, 10, 15, 20], "wall time (s)"),
    ],
)
def test_the_horizontal_axis_counts_steps_epochs_or_time(data, along, ends, title):
    figure = CurvesFigure(data)
    figure.draw(Scales(along=along))
    assert list(drawn(figure, 3, "validation").x) == ends
    assert figure.widget.layout.xaxis.title.text == title
    assert drawn(figure, 3, "best").x[0] == ends[int(np.argmin(FORCES))]


def test_long_runs_are_timed_in_minutes_and_hours():
    for hours, unit, expected in ((1, "min", 60.0), (5, "h", 5.0)):
        data = CurveData()
        times = (0.0, 3600.0 * hours)
        data.add([{"step": 1, "epoch": 0, "time": t, "train/total_loss": 1.0} for t in times])
        scales = Scales(along="time")
        assert scales.x_title(data) == f"wall time ({unit})"
        points = data.panels["loss"].series["train/total_loss"].array()
        assert scales.x(points, data).tolist() == [0.0, expected]


def test_a_curve_is_smoothed_as_a_loop_would_and_the_raw_one_stays_faint(data):
    figure = CurvesFigure(data)
    figure.draw(Scales(smoothing=0.8))
    sums, weights, expected = 0.0, 0.0, []
    for value in LOSSES:
        sums, weights = 0.8 * sums + value, 0.8 * weights + 1
        expected.append(sums / weights)
    np.testing.assert_allclose(smoothed(LOSSES, 0.8), expected)
    np.testing.assert_allclose(drawn(figure, 1, "training").y, expected)
    raw = [t for t in figure.widget.data if t.showlegend is False and t.name.startswith("training")]
    np.testing.assert_allclose(raw[0].y, LOSSES)
    assert raw[0].opacity < 0.5
    figure.draw(Scales())
    assert drawn(figure, 1, "training").opacity == 1
    np.testing.assert_allclose(drawn(figure, 1, "training").y, LOSSES)


def test_log_axes_are_for_every_panel_but_one_with_negative_values(data):
    data.add([{"step": 19, "epoch": 3, "my_score": -0.5}])
    figure = CurvesFigure(data)
    figure.draw(Scales(log=True))
    axes = [figure.widget.layout[f"yaxis{n or ''}"].type for n in ("", 2, 3, 4, 5)]
    assert axes == ["log", "log", "log", "log", "linear"]


def test_a_logarithmic_axis_shows_its_curves_beside_the_lines_of_the_untuned_model(data):
    figure = CurvesFigure(data)
    figure.draw(Scales(log=True))
    errors = [1000 * FORCES, 1000 * ENERGIES]
    for axis, values in zip(("yaxis3", "yaxis2"), errors, strict=True):
        shown = figure.widget.layout[axis].autorangeoptions.include
        assert min(shown) <= values.min()
        assert max(shown) >= values.max()
    data.add([{"step": 20, "epoch": 4, "time": 30.0, "val/forces_mae": 9.0}])
    figure.update()
    assert max(figure.widget.layout.yaxis3.autorangeoptions.include) >= 9000


def test_axes_of_panels_that_are_gone_are_hidden_as_a_page_keeps_them():
    metrics = [
        *metrics_of(["energy", "forces"]),
        "foreign/forces_mae",
        "foreign/energy_per_atom_mae",
    ]
    curves = CurveData("val/total_loss", "min", metrics)
    figure = CurvesFigure(curves)
    assert len(curves.ordered()) == 6
    curves.add(records())
    figure.update()
    assert len(curves.ordered()) == 4
    layout = figure.widget.layout
    assert [layout[f"yaxis{n}"].visible for n in (4, 5, 6)] == [True, False, False]
    assert {t.yaxis for t in figure.widget.data if t.visible} == {"y", "y2", "y3", "y4"}


def test_a_logarithmic_axis_has_plain_numbers_and_the_place_of_the_mouse_its_unit(data):
    figure = CurvesFigure(data)
    figure.draw(Scales(log=True, along="time"))
    assert figure.widget.layout.yaxis.tickformat == "~g"
    assert figure.widget.layout.xaxis.unifiedhovertitle.text == "wall time %{x:.4~g} s"
    figure.draw(Scales())
    assert figure.widget.layout.yaxis.tickformat is None
    assert figure.widget.layout.xaxis.unifiedhovertitle.text == "step %{x:.4~g}"


def test_what_is_chosen_while_a_thread_adds_draws_no_curve_twice(data, monkeypatch):
    figure = CurvesFigure(data)
    add, begun = figure.widget.add_traces, threading.Event()

    def slow(traces):
        begun.set()
        time.sleep(0.5)
        return add(traces)

    monkeypatch.setattr(figure.widget, "add_traces", slow)
    chosen = threading.Thread(target=figure.draw, args=[Scales(smoothing=0.5)])
    chosen.start()
    assert begun.wait(20)
    data.add([{"step": 20, "epoch": 4, "time": 30.0, "train/total_loss": 0.5}])
    figure.update()
    chosen.join()
    assert len(figure.widget.data) == len(figure._traces)
    # each in the panel and of the kind of its name
    for (title, kind, _), trace in figure._traces.items():
        number = [panel.title for panel in data.ordered()].index(title) + 1
        assert trace.yaxis == f"y{'' if number == 1 else number}"
        assert (kind == "best") == trace.name.startswith("best")
    assert drawn(figure, 1, "training").x[-1] == 21


def test_a_point_that_is_alone_has_a_marker():
    alone = CurveData()
    alone.add([{"step": 3, "epoch": 0, "train/total_loss": 1.0}])
    assert "markers" in drawn(CurvesFigure(alone), 1, "training").mode


def test_one_hover_line_goes_through_all_panels(data):
    layout = CurvesFigure(data).widget.layout
    # plotly draws it through all panels of one axis, and only of one
    assert (layout.hovermode, layout.hoversubplots) == ("x unified", "axis")
    assert "xaxis2" not in layout
    assert all(layout[f"yaxis{n or ''}"].anchor == "x" for n in ("", 2, 3, 4))


def test_a_panel_that_comes_later_moves_the_others():
    data = CurveData()
    figure = CurvesFigure(data)
    data.add([{"step": 1, "epoch": 0, "val/forces_mae": 0.1}])
    figure.update()
    data.add([{"step": 2, "epoch": 0, "train/total_loss": 1.0}])
    figure.update()
    assert drawn(figure, 1, "training").yaxis == "y"
    assert drawn(figure, 2, "validation").yaxis == drawn(figure, 2, "best").yaxis == "y2"
    assert "forces MAE" in heading(figure, 2)


def test_nothing_moves_when_a_run_fills_the_panels_that_are_reserved():
    empty = CurveData("val/total_loss", "min", metrics_of(["energy", "forces"]))
    figure = CurvesFigure(empty)
    before = figure.widget.layout.to_plotly_json()
    empty.add(records())
    figure.update()
    after = figure.widget.layout.to_plotly_json()
    assert after["height"] == before["height"]
    assert after["margin"] == before["margin"]
    for number in ("", 2, 3, 4):
        axis = f"yaxis{number}"
        assert after[axis]["domain"] == before[axis]["domain"]


def test_panels_for_which_there_is_no_room_are_hidden_and_counted():
    data = CurveData()
    figure = CurvesFigure(data)
    metrics = {f"my_{i}": 1.0 for i in range(MAX_PANELS - 1)}
    data.add([{"step": 1, "epoch": 0, "train/total_loss": 1.0, **metrics}])
    figure.update()
    errors = {"val/forces_mae": 0.1, "val/energy_per_atom_mae": 0.1}
    data.add([{"step": 2, "epoch": 0, **errors}])
    figure.update()
    curves = [t for t in figure.widget.data if not t.name.startswith("best") and t.visible]
    assert len({t.yaxis for t in curves}) == len(curves) == MAX_PANELS
    assert "2 further metrics not shown" in heading(figure, MAX_PANELS)
    assert draw_curves(data)


def test_an_update_without_news_sends_nothing(data):
    figure = CurvesFigure(data)
    sent = []
    figure.widget.observe(lambda change: sent.append(change["name"]))
    figure.update()
    assert [name for name in sent if not name.startswith("_js2py")] == []
    data.add([{"step": 20, "epoch": 4, "train/total_loss": 1.0}])
    figure.update()
    assert sent


def test_one_figure_serves_all_panels_and_is_updated_in_place(data):
    figure = CurvesFigure(data)
    widget, n_traces = figure.widget, len(figure.widget.data)
    data.add([{"step": 24, "epoch": 4, "val/forces_mae": 0.01}])
    figure.update()
    assert figure.widget is widget
    assert len(widget.data) == n_traces
    assert drawn(figure, 3, "validation").y[-1] == 10.0


def test_the_controls_draw_the_curves_in_another_way(data):
    section = CurvesSection(data)
    section.controls.along.value = "epoch"
    section.controls.log.value = True
    section.controls.smoothing.value = 0.5
    assert section.figure.scales == Scales("epoch", log=True, smoothing=0.5)
    assert section.figure.widget.layout.yaxis3.type == "log"


def test_the_picture_says_what_the_figure_says(data):
    picture = draw_curves(data)
    figure = CurvesFigure(data)
    for number, ax in enumerate(picture.axes, 1):
        said = {text.get_text() for text in ax.get_legend().get_texts()}
        legend = "legend" if number == 1 else f"legend{number}"
        live = {
            entry.name.replace("<br>", "\n")
            for entry in (*figure.widget.data, *figure.widget.layout.shapes)
            if entry.legend == legend
            and entry.showlegend is not False
            and entry.visible is not False
        }
        assert said == live
    for number in (2, 3):
        curve = drawn(figure, number, "validation")
        np.testing.assert_allclose(picture.axes[number - 1].lines[0].get_ydata(), curve.y)


def test_the_picture_is_a_small_png(data):
    assert draw_curves(CurveData()) is None
    image = render(draw_curves(data))
    assert image.startswith(b"\x89PNG")
    assert len(image) < 120_000


@pytest.mark.parametrize("n_runs", [2, 6])
def test_each_legend_has_room_above_the_next(n_runs):
    """A line of a legend takes 14 px, an entry 5 px more, as measured in Chromium."""
    data = CurveData()
    for title in ("energy", "forces"):
        panel = Panel(title, "meV")
        panel.lines = {"untuned": 9.0, "untuned, energies re-referenced": 8.0}
        for number in range(n_runs):
            panel.series[f"a run with quite a long name, {number}"] = Series()
        data.panels[f"val/{title}_mae"] = panel
    panels = data.ordered()
    layout = curves_layout(panels, [False] * 2)
    inner = layout.height - layout.margin.t - layout.margin.b
    pitch = inner * (layout.legend.y - layout.legend2.y)
    heading, star, dashed = 19, 33, 19 + 33
    assert pitch >= heading + star + dashed + n_runs * 33


@pytest.mark.parametrize(
    "name", ["untuned, energies re-referenced", "second-with-a-longer-name", "x" * 40]
)
@pytest.mark.parametrize("value", [10.0, 1.23e-05])
def test_no_line_of_a_legend_is_wider_than_its_room(name, value):
    lines = line_label(name, value).split("<br>")
    assert max(map(len, lines)) <= 26
    assert lines[-1].endswith(f"{value:.3g}")
    assert "".join(lines).replace(" ", "") == f"{name}{value:.3g}".replace(" ", "")
