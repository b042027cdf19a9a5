"""The form in JupyterLab, with mouse and keyboard."""

from __future__ import annotations

import pytest

import mattertune_nb as mt

pytestmark = pytest.mark.browser


def test_the_trainer_form_is_filled_in_with_mouse_and_keyboard(notebook):
    notebook.open(
        "import mattertune_nb as mt\nform = mt.TrainerForm()\nform", "print(form.config.to_yaml())"
    )
    notebook.run(0)
    page = notebook.page
    field = page.get_by_label("max epochs", exact=True)
    field.wait_for()
    field.fill("7")
    field.press("Tab")
    page.get_by_label("accelerator", exact=True).select_option("cpu")
    notebook.picture("trainer_form")
    notebook.run(1)
    text = notebook.output(1).inner_text()
    assert "max_epochs: 7" in text
    assert "accelerator: cpu" in text

    field.fill("many")
    field.press("Tab")
    page.get_by_role("alert").filter(has_text="valid integer").wait_for()
    notebook.picture("trainer_form_refused")
    notebook.run(1)
    assert "max_epochs: 7" in notebook.output(1).inner_text()
    assert notebook.errors == []


@pytest.mark.parametrize("notebook", ["light"], indirect=True)
def test_the_tuner_form_starts_a_run_whose_dashboard_stops_it(notebook):
    data = mt.demo_data("train")
    code = """import mattertune_nb as mt
config = mt.demo_config("runs", "browser")
config.data.train.index = config.data.validation.index = ":12"
config.data.batch_size = 2
config.trainer.max_epochs = 300
config.trainer.log_every_n_steps = 1
form = mt.TunerForm(config)
form"""
    points = "print('points', sum(len(t.x) for t in form.run.dashboard().figure.widget.data if len(t.x) > 0))"
    busy = "import time\ntime.sleep(6)"
    notebook.open(code, points, busy)
    assert data.is_file()
    notebook.run(0)
    page = notebook.page
    start = page.locator("button.mod-primary", has_text="Start")
    start.wait_for()
    page.wait_for_timeout(3000)
    notebook.picture("tuner_form")
    page.get_by_role("tab", name="Data").click()
    notebook.picture("tuner_form_data")
    start.click()
    page.get_by_text("structures/s").wait_for(timeout=120_000)
    notebook.run(1)
    before = int(notebook.output(1).inner_text().split()[-1])
    # the curves grow while the kernel is busy with another cell
    drawn = page.evaluate(
        "() => document.querySelectorAll('.js-line')[0]?.getAttribute('d')?.length || 0"
    )
    notebook.run(2)
    grown = page.evaluate(
        "() => document.querySelectorAll('.js-line')[0]?.getAttribute('d')?.length || 0"
    )
    assert grown > drawn
    notebook.run(1)
    assert int(notebook.output(1).inner_text().split()[-1]) > before
    page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
    notebook.picture("dashboard")
    page.locator("button", has_text="Stop").first.click()
    page.get_by_text("stopped", exact=True).first.wait_for(timeout=60_000)
    assert notebook.errors == []


def test_after_a_restart_of_the_kernel_the_same_curves_are_attached(notebook, lab):
    folder, _ = lab
    if not (folder / "runs" / "browser").is_dir():
        pytest.skip("the run of the other test is not there")
    code = """import mattertune_nb as mt
run = mt.Run.attach("runs/browser")
view = run.dashboard()
view"""
    notebook.open(code, "print(view.data.step, run.status().state)")
    notebook.run(0)
    notebook.run(1)
    first = notebook.output(1).inner_text()
    notebook.page.locator(".js-plotly-plot").first.wait_for()
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_timeout(1500)
    # a saved notebook holds the picture, and is small
    path = folder / notebook.name
    assert path.stat().st_size < 1_000_000
    assert '"image/png"' in path.read_text()
    notebook.open()
    notebook.run(0)
    notebook.run(1)
    assert notebook.output(1).inner_text() == first
    notebook.picture("attached")
    assert notebook.errors == []
