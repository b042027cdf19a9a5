"""The form in JupyterLab, with mouse and keyboard."""

from __future__ import annotations

import pytest

import mattertune_nb as mt

pytestmark = [pytest.mark.browser, pytest.mark.long]


FORM = "import mattertune_nb as mt\nform = mt.TrainerForm()\nform"
UNNAMED = """output => [...output.querySelectorAll('input, select, textarea, button, [role=slider]')]
    .filter(e => e.offsetParent !== null)
    .filter(e => !(e.labels && [...e.labels].some(l => l.textContent.trim()))
        && !e.getAttribute('aria-label') && !e.title && !e.textContent.trim())
    .map(e => e.outerHTML.slice(0, 200))"""


def unnamed(output) -> list[str]:
    """Return the controls that a screen reader has no name for."""
    return output.evaluate(UNNAMED)


@pytest.mark.parametrize("notebook", ["light", "dark"], indirect=True)
def test_the_trainer_form_is_filled_in_with_mouse_and_keyboard(notebook):
    notebook.open(FORM, "print(form.config.to_yaml())")
    notebook.run(0)
    page = notebook.page
    field = page.get_by_label("Epochs", exact=True)
    field.wait_for()
    assert unnamed(notebook.output(0)) == []
    field.fill("7")
    field.press("Tab")
    page.get_by_label("Processor", exact=True).select_option("CPU")
    page.get_by_label("Early stopping", exact=True).check()
    page.get_by_label("Patience", exact=True).fill("-3")
    page.get_by_label("Patience", exact=True).press("Enter")
    page.get_by_role("alert").filter(has_text="must be at least 0").wait_for()
    page.get_by_label("Patience", exact=True).fill("3")
    page.get_by_label("Patience", exact=True).press("Enter")
    page.get_by_role("alert").wait_for(state="hidden")
    notebook.picture(f"trainer_form-{notebook.scheme}")
    notebook.run(1)
    text = notebook.output(1).inner_text()
    assert "max_epochs: 7" in text
    assert "accelerator: cpu" in text
    assert "patience: 3" in text

    field.fill("many")
    field.press("Tab")
    alert = page.get_by_role("alert").filter(has_text="must be a whole number")
    alert.wait_for()
    # the message stands right below its field
    below, above = alert.bounding_box(), field.bounding_box()
    assert 0 <= below["y"] - (above["y"] + above["height"]) < 15
    assert abs(below["x"] - above["x"]) < 15
    notebook.picture(f"trainer_form_refused-{notebook.scheme}")
    notebook.run(1)
    assert "max_epochs: 7" in notebook.output(1).inner_text()
    assert notebook.errors == []


def test_the_form_needs_no_mouse(notebook):
    notebook.open(FORM, "print(form.config.to_yaml())")
    notebook.run(0)
    page = notebook.page
    page.get_by_label("Epochs", exact=True).focus()
    page.keyboard.press("Tab")
    # the switch beside the field
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Help: Epochs"
    page.get_by_role("button", name="More settings").last.press("Enter")
    page.get_by_label("set Minimum epochs").press("Space")
    page.get_by_label("Minimum epochs", exact=True).fill("2")
    page.keyboard.press("Enter")
    section = page.get_by_role("button", name="Best weights").and_(page.locator(".mt-section"))
    section.focus()
    page.keyboard.press("Enter")
    monitor = page.get_by_label("Metric of the best weights", exact=True)
    monitor.fill("val/forces_mae")
    monitor.press("Enter")
    page.get_by_role("button", name="Add to loggers").press("Enter")
    page.get_by_label("Kind of logger", exact=True).wait_for()
    page.get_by_label("Kind of logger", exact=True).select_option("TensorBoard")
    page.get_by_label("Prefix of metrics", exact=True).wait_for()
    notebook.run(1)
    text = notebook.output(1).inner_text()
    assert "max_epochs: null" in text
    assert "min_epochs: 2" in text
    assert "monitor: val/forces_mae" in text
    assert "type: tensorboard" in text
    assert notebook.errors == []


def test_files_of_the_notebooks_folder_are_named_and_the_run_is_estimated(notebook):
    for part in ("train", "validation", "test"):
        file = mt.demo_data(part)
        (notebook.folder / file.name).write_bytes(file.read_bytes())
    named = (
        "import mattertune_nb as mt\nfrom pathlib import Path\nconfig = mt.demo_config()\n"
        "for part in (config.data.train, config.data.validation, config.data.test):\n"
        "    part.src = Path(part.src.name)\n"
        "mt.TunerForm(config)"
    )
    notebook.open(named)
    notebook.run(0)
    output = notebook.output(0)
    output.get_by_text("on disk").first.wait_for(timeout=120_000)
    output.get_by_text("60 test").wait_for(timeout=30_000)
    assert output.get_by_label("File", exact=True).first.input_value() == "ethanol_train.xyz"
    output.screenshot(path=notebook.artefact("readme_form"))


@pytest.mark.parametrize("notebook", ["light", "dark"], indirect=True)
def test_the_tuner_form_shows_at_once_and_follows_what_is_changed(notebook):
    form = "form = mt.TunerForm(mt.demo_config())\nform"
    check = (
        "import sys, time\n"
        "print(sorted({'torch', 'lightning'} & set(sys.modules)))\n"
        "def seconds():\n"
        "    start = time.thread_time(); mt.TunerForm(form.config)\n"
        "    return time.thread_time() - start\n"
        "print(min(seconds() for _ in range(3)))"
    )
    notebook.open("import mattertune_nb as mt\nmt.TunerForm", form, check)
    notebook.run(0)
    notebook.run(1)
    page, output = notebook.page, notebook.output(1)
    page.set_viewport_size({"width": 1366, "height": 1480})
    output.get_by_role("tab", name="Training", exact=True).click()
    preview = output.get_by_role("img", name="learning rate over 32 epochs")
    preview.wait_for(timeout=120_000)
    assert unnamed(output) == []
    output.screenshot(path=notebook.artefact(f"tuner_form-{notebook.scheme}"))
    warmup = output.get_by_label("Warm-up", exact=True)
    warmup.fill("0.5")
    before = preview.inner_html()
    warmup.press("Enter")
    page.wait_for_function(
        "before => !document.body.innerHTML.includes(before)", arg=before, timeout=30_000
    )
    output.get_by_label("Kind of schedule", exact=True).select_option("constant at a fraction")
    lr = mt.demo_config().model.optimizer.lr
    output.get_by_role("img", name=f"from {lr / 3:.3g} to {lr}").wait_for()
    for tab, label in (("Data", "File"), ("Model", "Backbone"), ("Run", "Random seed")):
        output.get_by_role("tab", name=tab, exact=True).click()
        output.get_by_label(label, exact=True).first.wait_for()
        assert unnamed(output) == []
        output.screenshot(path=notebook.artefact(f"tuner_form_{tab}-{notebook.scheme}"))
    notebook.run(2)
    loaded, seconds = notebook.output(2).inner_text().split("\n")[:2]
    assert loaded == "[]"
    # of the processor, as the machine may have other work
    assert float(seconds) < 0.3
    assert notebook.errors == []


def test_nothing_is_estimated_of_settings_that_are_refused(notebook):
    notebook.open("import mattertune_nb as mt\nmt.TunerForm(mt.demo_config())")
    notebook.run(0)
    output = notebook.output(0)
    estimate = output.get_by_text("Estimating").or_(output.get_by_text("on disk")).first
    estimate.wait_for()
    output.get_by_role("tab", name="Training").click()
    epochs = output.get_by_label("Epochs", exact=True)
    for refused, right in (("twenty", "20"), ("-3", "32")):
        epochs.fill(refused)
        epochs.press("Enter")
        output.get_by_role("alert").filter(has_text="Epochs").wait_for()
        estimate.wait_for(state="hidden")
        epochs.fill(right)
        epochs.press("Enter")
        estimate.wait_for()
    assert notebook.errors == []


def test_tabs_open_with_the_keyboard(notebook):
    notebook.open("import mattertune_nb as mt\nmt.TunerForm(mt.demo_config())")
    notebook.run(0)
    output = notebook.output(0)
    output.get_by_role("tab", name="Model", exact=True).focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("Enter")
    output.get_by_label("Processor", exact=True).wait_for()
    assert notebook.errors == []


def test_the_config_is_copied_pasted_and_saved(notebook, lab):
    notebook.open(
        "import mattertune_nb as mt\nform = mt.TunerForm(mt.demo_config())\nform",
        "print(form.config.trainer.max_epochs)",
    )
    notebook.run(0)
    page, output = notebook.page, notebook.output(0)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    output.get_by_role("tab", name="Code", exact=True).click()
    output.locator(".mt-text button", has_text="Copy").nth(1).click()
    output.get_by_text("Copied").wait_for()
    python = page.evaluate("navigator.clipboard.readText()")
    assert python.startswith("import mattertune_nb as mt")
    scope: dict = {}
    exec(python, scope)
    assert scope["config"] == mt.demo_config()
    output.locator(".mt-text button", has_text="Copy").first.click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.startsWith('model:'))")
    area = output.locator(".mt-text textarea").first
    text = page.evaluate("navigator.clipboard.readText()")
    area.fill(text.replace("max_epochs: 32", "max_epochs: [3"))
    output.get_by_role("button", name="Load text").click()
    output.get_by_role("alert").filter(has_text="not valid YAML").wait_for()
    area.fill(text.replace("max_epochs: 32", "max_epochs: 3"))
    output.get_by_role("button", name="Load text").click()
    output.get_by_role("status").filter(has_text="Loaded.").wait_for()
    notebook.run(1)
    assert notebook.output(1).inner_text().strip() == "3"
    output.get_by_role("button", name="Save file").click()
    output.get_by_role("status").filter(has_text="Saved /").wait_for()
    saved = mt.MatterTunerConfig.from_yaml(lab[0] / "config.yaml")
    assert saved.trainer.max_epochs == 3
    notebook.picture("config_tab")
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
    points = (
        "traces = form.run.dashboard().curves.figure.widget.data\n"
        "print('points', sum(len(trace.x) for trace in traces if len(trace.x) > 0))"
    )
    busy = "import time\ntime.sleep(6)"
    notebook.open(code, points, busy)
    assert data.is_file()
    notebook.run(0)
    page = notebook.page
    start = page.locator("button.mod-primary", has_text="Start")
    start.wait_for()
    start.click()
    page.get_by_role("button", name="Open the dashboard").click(timeout=120_000)
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
