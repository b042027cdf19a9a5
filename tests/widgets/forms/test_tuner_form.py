"""The form of a run: data first, goals, Start and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.forms.advice import Advisor
from mattertune_nb.widgets.forms.estimate_line import EstimateLine
from mattertune_nb.widgets.forms.placement import tab_of
from mattertune_nb.widgets.forms.presets import GOALS, NO_GOAL, label
from mattertune_nb.widgets.forms.search import basic_fields
from mattertune_nb.widgets.page import lifetime


@pytest.fixture
def advised_form():
    """Return a form with its process that knows torch, which takes seconds to start."""
    form = mt.TunerForm()
    yield form
    form.close()


@pytest.fixture
def tuner_form(monkeypatch):
    """Return a form without that process, for what does not need it."""
    monkeypatch.setattr(Advisor, "ask", lambda self, config: None)
    monkeypatch.setattr(EstimateLine, "ask", lambda self, config: None)
    form = mt.TunerForm()
    yield form
    form.close()


def with_data(form, src, **fields):
    settings = form.config.to_dict()
    settings["data"] = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=src, **fields)
    ).to_dict()
    return mt.MatterTunerConfig.from_dict(settings)


def dataset_editor(form):
    return form.editor.editor("data", "dataset")


def said(form):
    """Return what stands below the files."""
    return "".join(view.text for view in form.editor.data.views.values())


def source(form):
    return dataset_editor(form).inner.editors["src"].control


@pytest.fixture
def odd_file(tmp_path):
    """Return a file whose labels have names of their own."""
    text = mt.demo_data("test").read_text().replace("forces:R:3", "REF_forces:R:3")
    (tmp_path / "odd.xyz").write_text(text.replace("energy=", "REF_energy="))
    return tmp_path / "odd.xyz"


def test_the_file_says_what_it_holds(tuner_form):
    given = with_data(tuner_form, mt.demo_data("train"))
    tuner_form.config = given
    assert "160 frames" in said(tuner_form)
    assert tuner_form.config == given


def test_unusual_names_of_labels_are_filled_in_and_taken_back_with_the_file(tuner_form, odd_file):
    seen = []
    tuner_form.observe(seen.append, "config")
    tuner_form.editor.data.set(with_data(tuner_form, "-").to_dict()["data"])
    source(tuner_form).value = str(odd_file)
    dataset = tuner_form.config.data.dataset
    assert (dataset.forces_key, dataset.energy_key) == ("REF_forces", "REF_energy")
    keys = tuner_form.editor.editor("data", "dataset").inner.editors
    assert keys["forces_key"].inner.control.value == "REF_forces"
    assert len(seen) == 1
    source(tuner_form).value = str(mt.demo_data("train"))
    assert tuner_form.config.data.dataset.forces_key is None
    assert not keys["forces_key"].switch.value
    assert len(seen) == 2


def test_of_several_energies_a_person_chooses_one_with_its_range(tuner_form, odd_file, monkeypatch):
    estimated = []
    monkeypatch.setattr(
        EstimateLine, "ask", lambda _, c: estimated.append(c.data.dataset.energy_key)
    )
    # as the same structures in another code: the untuned model cannot tell which is meant
    values: list[float] = []

    def with_another(match: re.Match[str]) -> str:
        values.append(float(match[1]) - 1.5)
        return f"pbe_energy={values[-1]} {match[0]}"

    odd_file.write_text(re.sub(r"REF_energy=(\S+)", with_another, odd_file.read_text()))
    began = time.thread_time()
    tuner_form.config = with_data(tuner_form, odd_file)
    # the model is asked elsewhere: a kernel that imports torch answers no page for seconds
    assert time.thread_time() - began < 1
    assert tuner_form.config.data.dataset.energy_key is None
    view = tuner_form.editor.data.views["dataset"]
    assert view.questions["energy_key"].value == ""
    tuner_form._keys.wait()
    question = view.questions["energy_key"]
    assert question in view.widget.children
    told = {value: text for text, value in question.options}
    low, high = min(values), max(values)
    assert told["pbe_energy"].startswith(f"pbe_energy: 60 of 60 frames, {low:.6g} to {high:.6g} eV")
    assert all("with untuned chgnet" in told[name] for name in ("pbe_energy", "REF_energy"))
    assert told[""] == "none chosen: the run cannot start"
    titles = tuner_form.editor.widget.titles
    assert titles[0] == "Data ⚠"
    # it is said where Start is, in the form's words, and nothing is estimated meanwhile
    asked = "Cannot start: choose on the Data tab which is the energy."
    bar = tuner_form._bar
    assert asked in bar.refusal.value
    assert not estimated
    for _ in range(100):
        if "not chosen" in view.text:
            break
        time.sleep(0.1)
    assert "energy: not chosen" in view.text
    assert "no energy" not in view.text
    with pytest.raises(mt.DataError):
        tuner_form.start()
    assert asked in bar.message.value
    assert bar.refusal.value == ""
    question.value = "REF_energy"
    assert tuner_form.config.data.dataset.energy_key == "REF_energy"
    assert tuner_form.editor.widget.titles[0] == "Data"
    assert "Cannot start" not in bar.refusal.value + bar.message.value
    assert estimated == ["REF_energy"]
    # one can change one's mind
    assert view.questions["energy_key"] is question
    assert question in view.widget.children
    for chosen in ("pbe_energy", ""):
        question.value = chosen
        assert tuner_form.config.data.dataset.energy_key == (chosen or None)
    assert tuner_form.editor.widget.titles[0] == "Data ⚠"
    assert asked in bar.refusal.value
    # a name from elsewhere is no question
    tuner_form.config = with_data(tuner_form, odd_file, energy_key="other")
    assert not view.questions


def test_a_choice_that_the_run_does_not_need_is_no_warning(tuner_form, odd_file):
    cell = 'Lattice="20 0 0 0 20 0 0 0 20" pbc="T T T"'
    given = {"pbe": 0.01, "scan": 0.02}
    stresses = " ".join(f'{code}_stress="{p} 0 0 0 {p} 0 0 0 {p}"' for code, p in given.items())
    odd_file.write_text(odd_file.read_text().replace('pbc="F F F"', f"{cell} {stresses}"))
    tuner_form.config = with_data(tuner_form, odd_file)
    question = tuner_form.editor.data.views["dataset"].questions["stress_key"]
    assert question.options[0][0] == "none chosen: the run does not need the stresses"
    assert tuner_form.editor.widget.titles[0] == "Data"
    config = tuner_form.config.model_copy(deep=True)
    config.model.properties.append(mt.StressesPropertyConfig())
    tuner_form.config = config
    question = tuner_form.editor.data.views["dataset"].questions["stress_key"]
    assert question.options[0][0] == "none chosen: the run cannot start"
    assert tuner_form.editor.widget.titles[0] == "Data ⚠"


def test_a_file_that_cannot_be_read_is_a_warning_on_its_tab(tuner_form, odd_file):
    lines = odd_file.read_text().splitlines()
    odd_file.write_text("\n".join(lines[:-1]) + "\n")  # the last frame lacks an atom
    tuner_form.config = with_data(tuner_form, odd_file)
    assert tuner_form.editor.widget.titles[0] == "Data ⚠"
    tuner_form.config = with_data(tuner_form, mt.demo_data("train"))
    assert tuner_form.editor.widget.titles[0] == "Data"


def run_in_fresh_kernel(code):
    """Return what code printed where ASE is not imported yet."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()


FORM_OF_ODD_FILE = """
import mattertune_nb as mt
data = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src={!r}))
form = mt.TunerForm(mt.MatterTunerConfig(model=mt.CHGNetBackboneConfig(), data=data))
"""


def test_a_config_that_is_read_at_once_has_the_names_of_labels(odd_file):
    code = FORM_OF_ODD_FILE.format(str(odd_file))
    code += "print(form.config.data.dataset.energy_key)"
    assert run_in_fresh_kernel(code) == ["REF_energy"]


def test_what_is_changed_while_the_form_looks_into_the_file_stays(odd_file):
    code = FORM_OF_ODD_FILE.format(str(odd_file)) + (
        "import time\n"
        "time.sleep(0.6)\n"
        "form.editor.editor('trainer', 'max_epochs').inner.control.value = '7'\n"
        "form._looking.join()\n"
        "print(form.config.trainer.max_epochs, form.config.data.dataset.energy_key)"
    )
    assert run_in_fresh_kernel(code) == ["7", "REF_energy"]


def test_the_number_of_frames_is_that_of_the_index(tuner_form):
    tuner_form.config = with_data(tuner_form, mt.demo_data("train"))
    dataset_editor(tuner_form).inner.editors["index"].control.value = ":2"
    assert ": 2 frames" in said(tuner_form)


def test_a_home_folder_that_is_not_there_is_said(tuner_form):
    source(tuner_form).value = "~nosuchuser/x.xyz"
    assert "~nosuchuser/x.xyz: no such home folder" in said(tuner_form)
    assert tuner_form.config.data.dataset.src == Path("~nosuchuser/x.xyz")


def test_a_key_that_a_person_gave_stays(tuner_form, odd_file):
    tuner_form.config = with_data(tuner_form, odd_file, energy_key="mine")
    assert tuner_form.config.data.dataset.energy_key == "mine"
    assert tuner_form.config.data.dataset.forces_key == "REF_forces"
    source(tuner_form).value = str(mt.demo_data("train"))
    assert tuner_form.config.data.dataset.energy_key == "mine"


def test_a_relative_path_counts_from_the_notebook(tuner_form, odd_file, monkeypatch):
    monkeypatch.chdir(odd_file.parent)
    tuner_form.config = with_data(tuner_form, "odd.xyz")
    assert "odd.xyz: 60 frames" in said(tuner_form)
    assert tuner_form.config.data.dataset.energy_key == "REF_energy"


@pytest.mark.parametrize(
    "content", [None, "", "not a structure\n"], ids=["none", "empty", "broken"]
)
def test_a_file_that_cannot_be_read_is_said_and_the_form_goes_on(tuner_form, tmp_path, content):
    file = tmp_path / "bad.xyz"
    if content is not None:
        file.write_text(content)
    tuner_form.config = with_data(tuner_form, file)
    assert "bad.xyz" in said(tuner_form)
    with pytest.raises(mt.DataError, match=r"bad\.xyz"):
        tuner_form.start()
    assert "bad.xyz" in tuner_form.message.value
    assert tuner_form.run is None


def test_what_cannot_run_here_is_marked_and_can_be_chosen(advised_form):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert advised_form._advisor.wait()
    accelerator = advised_form.editor.editor("trainer", "accelerator")
    labels = {value: label for label, value in accelerator.control.options}
    assert labels["gpu"] == "gpu – not available on this machine"
    accelerator.control.value = "gpu"
    assert advised_form.config.trainer.accelerator == "gpu"
    assert advised_form._advisor.wait()
    assert "needs a GPU" in advised_form._bar.refusal.value
    with pytest.raises(mt.TrainingError, match="needs a GPU"):
        advised_form.start()
    # said once
    assert "needs a GPU" in advised_form.message.value
    assert advised_form._bar.refusal.value == ""
    assert advised_form.run is None
    # an edit of something else leaves the note, and still says it once
    advised_form.editor.editor("trainer", "max_epochs").inner.control.value = "9"
    assert advised_form._advisor.wait()
    assert advised_form.message.value == ""
    assert "needs a GPU" in advised_form._bar.refusal.value
    # taken back as soon as its cause is mended
    accelerator.control.value = "cpu"
    assert advised_form._advisor.wait()
    assert advised_form.message.value == advised_form._bar.refusal.value == ""


def test_structures_given_in_python_stay_while_the_rest_is_edited(tuner_form):
    structures = mt.AtomsListDatasetConfig(atoms_list=ase.io.read(mt.demo_data("test"), ":6"))
    tuner_form.config = changed(tuner_form, data={"dataset": structures})
    editor = dataset_editor(tuner_form).inner.editors["atoms_list"]
    assert editor.control.value == "6 structures, given in Python"
    epochs = tuner_form.editor.editor("trainer", "max_epochs").inner
    epochs.control.value = "8"
    assert tuner_form.config.trainer.max_epochs == 8
    assert tuner_form.config.data.dataset == structures


def test_structures_cannot_be_entered_by_hand(tuner_form):
    kind = dataset_editor(tuner_form).kind
    kind.value = "atoms_list"
    editor = dataset_editor(tuner_form).inner.editors["atoms_list"]
    assert "set them in Python" in editor.problem
    assert isinstance(tuner_form.config.data.dataset, mt.XYZDatasetConfig)
    kind.value = "xyz"
    assert tuner_form.problem == ""


def test_a_missing_backbone_shows_its_pip_line(monkeypatch):
    from mattertune_nb.backbones import base

    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "sevenn" else True)
    options = {v: k for k, v in mt.TunerForm().editor.model.inner.choice.kind.options}
    assert options["sevennet"] == "SevenNet – pip install 'mattertune-nb[sevennet]'"
    assert options["chgnet"] == "CHGNet"


def test_a_goal_is_a_difference_from_the_defaults(tuner_form):
    told = tuner_form._tools.text
    assert GOALS[NO_GOAL].why in told.value
    tuner_form.preset.value = "Forces matter most"
    assert tuner_form.config.trainer.gradient_clip_val == 0.1
    assert tuner_form.config.trainer.checkpoint.monitor == "val/forces_mae"
    # in the words of the form, and not in those of the config
    label = mt.TrainerConfig.model_fields["gradient_clip_val"].title
    assert f"{label} not set → <b>0.1</b>" in told.value
    assert "gradient_clip_val" not in told.value
    tuner_form.editor.editor("trainer", "accelerator").control.value = "cpu"
    tuner_form.preset.value = "A fast look"
    assert tuner_form.config.trainer == mt.TrainerConfig(max_epochs=10, accelerator="cpu")
    tuner_form.preset.value = "Energies matter most"
    energy = next(p for p in tuner_form.config.model.properties if p.name == "energy")
    assert energy.final_loss_coefficient == 1.0
    tuner_form.preset.value = NO_GOAL
    assert tuner_form.config.trainer == mt.TrainerConfig(accelerator="cpu")
    assert tuner_form.config.model == mt.CHGNetBackboneConfig()
    assert GOALS[NO_GOAL].why in told.value


@pytest.mark.parametrize("goal", [goal for goal in GOALS if goal != NO_GOAL])
def test_each_goal_changes_something_and_what_it_changes_is_shown(tuner_form, goal):
    before = tuner_form.config
    tuner_form.preset.value = goal
    assert tuner_form.config != before
    tuner_form.config.check_monitors()
    for path in GOALS[goal].settings:
        assert label(tuner_form.config, path) in tuner_form._tools.text.value


def test_a_goal_about_what_is_not_learnt_is_refused(tuner_form):
    tuner_form.config = changed(tuner_form, model={"properties": [mt.EnergyPropertyConfig()]})
    tuner_form.preset.value = "Forces matter most"
    assert tuner_form.preset.value == NO_GOAL
    assert "makes no sense unless forces are trained" in tuner_form._tools.text.value


def changed(form, **parts):
    """Return the config of a form with some settings of its parts changed."""
    config = form.config.model_copy(deep=True)
    for part, fields in parts.items():
        for name, value in fields.items():
            setattr(getattr(config, part), name, value)
    return config


def test_a_goal_that_does_not_fit_is_refused_and_the_last_one_stays(tuner_form):
    tuner_form.preset.value = "Forces matter most"
    tuner_form.config = before = changed(tuner_form, trainer={"min_epochs": 50})
    tuner_form.preset.value = "A fast look"
    assert tuner_form.preset.value == "Forces matter most"
    assert 'role="alert"' in tuner_form._tools.text.value
    assert tuner_form.config == before
    tuner_form.preset.value = NO_GOAL
    assert tuner_form.config.trainer == mt.TrainerConfig(min_epochs=50)


def test_what_was_changed_since_a_goal_is_not_taken_back_with_it(tuner_form):
    tuner_form.preset.value = "I have a few dozen frames"
    tuner_form.config = changed(tuner_form, trainer={"max_epochs": 500})
    tuner_form.preset.value = NO_GOAL
    assert tuner_form.config.trainer == mt.TrainerConfig(max_epochs=500)


def said_below(tab) -> str:
    """Return what the tab of the config says below its buttons."""
    return "".join(output["data"]["text/html"] for output in tab.message.outputs)


def test_the_config_is_shown_loaded_and_saved_as_text(tuner_form, tmp_path, monkeypatch):
    tab = tuner_form.config_tab
    assert tab.yaml.value == tuner_form.config.to_yaml()
    assert tab.python.value == tuner_form.config.to_python()
    tab.yaml.value = tab.yaml.value.replace("max_epochs: 100", "max_epochs: 17")
    tab.load_text.click()
    assert tuner_form.config.trainer.max_epochs == 17
    tab.path.value = str(tmp_path / "config.yaml")
    monkeypatch.chdir(tmp_path)
    tab.save_file.click()
    assert 'href="config.yaml"' in said_below(tab)
    assert mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml") == tuner_form.config
    tab.yaml.value = "model: [1"
    tab.load_text.click()
    assert "line 1: not valid YAML" in said_below(tab)
    tab.yaml.value = tuner_form.config.to_yaml().replace("max_epochs: 17", "max_epoch: 17")
    tab.load_text.click()
    assert "Did you mean &#x27;max_epochs&#x27;?" in said_below(tab)
    tab.save_file.click()
    assert "Not saved: " in said_below(tab)
    assert "Did you mean &#x27;max_epochs&#x27;?" in said_below(tab)
    assert mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml") == tuner_form.config
    tab.yaml.value = tuner_form.config.to_yaml()
    tab.path.value = "nowhere/config.yaml"
    tab.load_file.click()
    assert "nowhere/config.yaml: cannot read" in said_below(tab)
    tab.save_file.click()
    assert "cannot be written" in said_below(tab)
    assert tuner_form.config.trainer.max_epochs == 17


def test_text_and_file_are_read_alike(tuner_form, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tab = tuner_form.config_tab
    text = tab.yaml.value.replace("index: ':'", "index: 1:5").replace("lr: 0.002", "lr: 1e-3")
    for load in tab.load_text, tab.load_file:
        tab.path.value, tab.yaml.value = "~/config.yaml", text
        tab.save_file.click()
        assert str(tmp_path) in said_below(tab)
        load.click()
        assert "Loaded" in said_below(tab)
        assert tuner_form.config.data.dataset.index == "1:5"
        assert tuner_form.config.model.optimizer.lr == 1e-3
    tab.yaml.value = text + "data: {}\n"
    tab.load_text.click()
    assert "&#x27;data&#x27; is set twice" in said_below(tab)


def test_the_schedule_is_previewed(advised_form):
    from mattertune_nb.widgets.forms.schedule_preview import learning_rates

    config = mt.demo_config()
    config.model.optimizer = mt.AdamWConfig(lr=1e-3)
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(warmup=0.1)
    config.trainer.max_epochs = 20
    rates = learning_rates(config)
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5
    advised_form.config = config
    assert advised_form._advisor.wait()
    assert "over 20 epochs, from 1e-05" in advised_form._preview.value
    advised_form.editor.editor("model", "lr_scheduler").kind.value = "none"
    assert advised_form._advisor.wait()
    assert "from 0.001 to 0.001" in advised_form._preview.value


def test_one_cycle_and_warm_restarts_are_chosen_and_previewed(advised_form):
    config = mt.demo_config()
    config.model.optimizer = mt.AdamWConfig(lr=1e-3)
    config.trainer.max_epochs = 20
    advised_form.config = config
    schedule = advised_form.editor.editor("model", "lr_scheduler").inner
    schedule.kind.value = "one_cycle"
    assert isinstance(advised_form.config.model.lr_scheduler, mt.OneCycleLRConfig)
    assert advised_form._advisor.wait()
    assert "over 20 epochs, from 4e-05 to" in advised_form._preview.value
    schedule.kind.value = "warm_restarts"
    restarts = advised_form.config.model.lr_scheduler
    assert isinstance(restarts, mt.CosineAnnealingWarmRestartsConfig)
    assert advised_form._advisor.wait()
    assert "from 0.001 to 2.45e-05" in advised_form._preview.value


def wait_for_start(form):
    """Wait for what becomes of a press of the button, which a kernel does not."""
    while form.start_button.disabled:
        time.sleep(0.01)


def press_start(form):
    form.start_button.click()
    wait_for_start(form)


def test_start_trains_in_the_background_and_has_the_dashboard_ready(tuner_form, tmp_path):
    config = mt.demo_config(tmp_path, "from-form")
    config.data.train.index = config.data.validation.index = ":6"
    config.trainer.max_epochs = 1
    tuner_form.config = config
    tuner_form.start()
    assert tuner_form.start_button.disabled
    # what is below the form stays where it is until a person opens the dashboard
    assert "mt-closed" in tuner_form._starter.dashboard._dom_classes
    assert "mt-closed" not in tuner_form._starter.settings._dom_classes
    tuner_form._bar.dashboard_button.click()
    assert "mt-closed" not in tuner_form._starter.dashboard._dom_classes
    assert tuner_form.run.wait(120).state == "finished"
    wait_for_start(tuner_form)
    assert "has finished at epoch 1, step " in tuner_form.message.value
    assert tuner_form._starter.dashboard.children[0] is tuner_form.run.dashboard()
    press_start(tuner_form)
    assert "is in use" in tuner_form.message.value


@pytest.mark.parametrize("is_shown_elsewhere", [False, True])
def test_a_further_start_closes_the_dashboard_of_the_last_run_unless_a_cell_shows_it(
    tuner_form, tmp_path, monkeypatch, is_shown_elsewhere
):
    def start(config, *, is_machine_checked):
        directory, _ = RunDirectory.create(config)
        directory.write_status("finished")
        return mt.Run(directory.path)

    monkeypatch.setattr("mattertune_nb.widgets.forms.starter.start_run", start)
    monkeypatch.setattr(lifetime, "_shown", {})
    tuner_form.config = mt.demo_config(tmp_path, "first")
    tuner_form.start()
    first = tuner_form.run.dashboard()
    if is_shown_elsewhere:
        monkeypatch.setattr(lifetime, "_execution", lambda: ("cell", 1))
        lifetime.remember(first)
    tuner_form.config = mt.demo_config(tmp_path, "second")
    tuner_form.start()
    assert first.closed != is_shown_elsewhere
    assert not tuner_form.run.dashboard().closed


def test_start_holds_up_nobody_and_two_presses_are_one(tuner_form, tmp_path, monkeypatch):
    config = mt.demo_config(tmp_path)
    config.data.train.index = config.data.validation.index = ":6"
    config.trainer.max_epochs = 500
    tuner_form.config = config
    answered = threading.Event()
    monkeypatch.setattr(tuner_form._advisor, "wait", answered.wait)
    tuner_form.start_button.click()
    tuner_form.start_button.click()
    assert "Checking the data" in tuner_form.message.value
    # a cell that is executed meanwhile, as the quickstart has it, gets the run of the button
    of_cell = ThreadPoolExecutor().submit(lambda: tuner_form.run or tuner_form.start())
    answered.set()
    assert of_cell.result(60) is tuner_form.run
    # while it trains Start says so, and a press that comes late starts nothing
    assert tuner_form.start_button.disabled
    assert tuner_form.start_button.description == "Training …"
    tuner_form.start_button.click()
    tuner_form.run.stop()
    assert len(list(tmp_path.iterdir())) == 1
    assert tuner_form.run.wait(120).state == "stopped"


def test_start_refuses_while_an_entry_is_wrong(tuner_form, tmp_path):
    tuner_form.config = mt.demo_config(tmp_path)
    epochs = tuner_form.editor.editor("trainer", "max_epochs").inner
    epochs.control.value = "5o"
    press_start(tuner_form)
    assert "Epochs must be a whole number" in tuner_form.message.value
    assert tuner_form.run is None
    assert not list(tmp_path.iterdir())
    epochs.control.value = "50"
    assert tuner_form.message.value == ""


def test_a_config_that_is_loaded_takes_the_place_of_a_wrong_entry_though_it_equals_the_last(
    tuner_form,
):
    before = tuner_form.config
    epochs = tuner_form.editor.editor("trainer", "max_epochs").inner
    epochs.control.value = "5o"
    tuner_form.config_tab.load_text.click()
    assert tuner_form.config == before
    assert epochs.control.value == str(before.trainer.max_epochs)
    assert epochs.problem == tuner_form.problem == ""


def test_whatever_start_meets_is_said(tuner_form, tmp_path, monkeypatch):
    tuner_form.config = mt.demo_config(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    press_start(tuner_form)
    assert "could not be started (FileNotFoundError: " in tuner_form.message.value


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_advisor_goes_on_where_its_answer_could_not_be_shown():
    seen = []

    def show(known):
        seen.append(known["refusal"])
        if len(seen) == 1:
            raise RuntimeError

    advisor = Advisor(show)
    for _ in range(2):
        advisor.ask(mt.demo_config())
        assert advisor.wait()
    advisor.close()
    assert seen == [None, None]


def test_a_backbone_that_is_chosen_makes_its_own_form(tuner_form):
    tuner_form.editor.model.inner.choice.kind.value = "sevennet"
    assert isinstance(tuner_form.config.model, mt.SevenNetBackboneConfig)
    tuner_form.editor.model.inner.choice.kind.value = "chgnet"
    assert isinstance(tuner_form.config.model, mt.CHGNetBackboneConfig)


def test_the_red_line_at_start_goes_with_its_cause(tuner_form, tmp_path):
    tuner_form.config = mt.demo_config(tmp_path)
    epochs = tuner_form.editor.editor("trainer", "max_epochs").inner
    epochs.control.value = "5o"
    press_start(tuner_form)
    assert 'role="alert"' in tuner_form.message.value
    # back to what it was: the config has never changed, and yet nothing is wrong any more
    epochs.control.value = "32"
    assert tuner_form.message.value == ""


@pytest.mark.parametrize("data", [mt.AutoSplitDataModuleConfig, mt.ManualSplitDataModuleConfig])
@pytest.mark.parametrize("model", [mt.CHGNetBackboneConfig, mt.MACEBackboneConfig])
def test_no_tab_opens_with_more_than_six_settings(data, model):
    parts = {"data": data, "model": model, "trainer": mt.TrainerConfig, "run": mt.RunConfig}
    count = Counter(
        tab_of(part, name)
        for part, cls in parts.items()
        for name in basic_fields(cls, list(cls.model_fields))
    )
    assert set(count) == {"Data", "Model", "Training", "Run"}
    assert max(count.values()) <= 6
    assert count["Training"] == 6


def test_the_split_is_drawn_in_frames_whichever_way_it_is_chosen(tuner_form):
    split = tuner_form.editor.data.split

    def drawn(text):
        end = time.monotonic() + 30
        while text not in split.value and time.monotonic() < end:
            time.sleep(0.05)
        return split.value

    tuner_form.config = with_data(tuner_form, mt.demo_data("train"))
    assert 'aria-label="about 128 training · 32 validation"' in split.value
    assert 'aria-label="128 training · 32 validation"' in drawn("divided by blocks")
    assert "the frames follow one another in time" in split.value
    tuner_form.editor.editor("data", "split").control.value = "random"
    assert 'aria-label="126 training · 34 validation"' in drawn('"126')
    tuner_form.config = mt.demo_config()
    assert 'aria-label="160 training · 40 validation · 60 test"' in split.value
    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=mt.demo_data("train")), train_split=24, validation_split=8
    )
    tuner_form.config = changed_data(tuner_form, data)
    assert "24 training · 8 validation · 128 not used" in split.value
    tuner_form.config = changed_data(tuner_form, data.model_copy(update={"train_split": 200}))
    assert "asks for more structures than there are" in split.value
    # what is drawn at once and what is drawn in the end are the split's own numbers
    dataset = mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":40")
    data = mt.AutoSplitDataModuleConfig(dataset=dataset, train_split=0.75, train_share=0.5)
    tuner_form.config = changed_data(tuner_form, data)
    assert 'aria-label="about 15 training · 10 validation · 15 not used"' in drawn('"about 15')
    found = data.create_datasets()
    train, validation = len(found["train"]), len(found["validation"])
    assert f"{train} training · {validation} validation · {40 - train - validation} not" in drawn(
        "stays whole"
    )
    tuner_form.config = changed_data(
        tuner_form, mt.demo_config().data.model_copy(update={"train_share": 0.25})
    )
    assert '"40 training · 40 validation · 60 test · 120 not used"' in split.value


def changed_data(form, data):
    return mt.MatterTunerConfig.from_dict(form.config.to_dict() | {"data": data.to_dict()})


def test_stresses_that_a_file_holds_are_offered_and_learnt_by_a_click(tuner_form, tmp_path):
    frames = ase.io.read(mt.demo_data("test"), ":4")
    for atoms in frames:
        atoms.set_cell([9, 9, 9])
        atoms.pbc = True
    frames[1].calc.results["stress"] = np.full(6, 0.1)
    ase.io.write(tmp_path / "s.xyz", frames, format="extxyz")
    tuner_form.config = with_data(tuner_form, tmp_path / "s.xyz")
    view = tuner_form.editor.data.views["dataset"]
    end = time.monotonic() + 30
    while "stresses" not in view.buttons and time.monotonic() < end:
        time.sleep(0.05)
    assert "1 of 4 frames" in view.text
    view.buttons["stresses"].click()
    # three frames have none, so these are masked
    assert tuner_form.config.model.properties[-1] == mt.StressesPropertyConfig(missing="mask")
    assert view.buttons["stresses"] not in view.widget.children
    assert tuner_form.editor.editor("model", "properties").rows["stresses"].switch.value


def test_energies_of_isolated_atoms_are_offered_as_references_and_taken_by_a_click(
    tuner_form, tmp_path
):
    frames = ase.io.read(mt.demo_data("test"), ":4")
    alone = [ase.Atoms(symbol, info={"energy": -13.0 - k}) for k, symbol in enumerate("CHO")]
    ase.io.write(tmp_path / "s.xyz", [*frames, *alone], format="extxyz")
    tuner_form.config = with_data(tuner_form, tmp_path / "s.xyz")
    view = tuner_form.editor.data.views["dataset"]
    end = time.monotonic() + 30
    while "references" not in view.buttons and time.monotonic() < end:
        time.sleep(0.05)
    assert "3 isolated atoms" in view.text
    view.buttons["references"].click()
    (normalizer,) = tuner_form.config.model.normalizers["energy"]
    assert normalizer.per_element_references == "isolated_atoms"
    assert view.buttons["references"] not in view.widget.children
    again = mt.MatterTunerConfig.from_dict(tuner_form.config.to_dict())
    assert again.model.normalizers == tuner_form.config.model.normalizers


def test_a_search_shows_on_which_tab_a_setting_is(tuner_form):
    tuner_form._tools.search.value = "clip"
    assert tuner_form.editor.hits == {"Data": 0, "Model": 0, "Training": 2, "Run": 0}
    assert "2 on Training" in tuner_form._tools.found.value
    assert (
        tuner_form.editor.widget.titles[tuner_form.editor.widget.selected_index] == "Training (2)"
    )
    clip = tuner_form.editor.editor("trainer", "gradient_clip_val")
    epochs = tuner_form.editor.editor("trainer", "max_epochs")
    assert "mt-miss" not in clip.widget._dom_classes
    assert "mt-miss" in epochs.widget._dom_classes
    # of a group in which nothing is found the heading is not shown either
    headings = tuner_form.editor.training.inner.rest.inner.editors["trainer"].headings
    missed = {name for name, one in headings.items() if "mt-miss" in one._dom_classes}
    assert "training" not in missed
    assert {"validation", "callbacks"} <= missed
    tuner_form._tools.search.value = "xyzzy"
    assert "nothing found" in tuner_form._tools.found.value
    tuner_form._tools.search.value = ""
    assert "mt-miss" not in epochs.widget._dom_classes
    assert not any("mt-miss" in one._dom_classes for one in headings.values())
    assert not any("(" in title for title in tuner_form.editor.widget.titles)


def test_properties_stay_when_another_backbone_is_chosen_and_its_facts_are_shown(tuner_form):
    tuner_form.editor.open("Model")
    tab = tuner_form.editor.model.inner
    assert "412\u202f525" in tab.facts.value
    tab.properties.rows["energy"].switch.value = False
    tab.choice.kind.value = "sevennet"
    assert tuner_form.config.model.property_names == ["forces"]
    assert "842\u202f623" in tab.facts.value
    tab.properties.rows["forces"].switch.value = False
    assert "choose at least one" in tab.properties.problem
    assert tuner_form.editor.widget.titles[1] == "Model ⚠"
    tab.properties.rows["energy"].switch.value = True
    assert tuner_form.config.model.property_names == ["energy"]
    assert tuner_form.editor.widget.titles[1] == "Model"


def test_a_new_form_asks_for_a_file_and_calls_nothing_wrong(tmp_path, monkeypatch, tuner_form):
    monkeypatch.chdir(tmp_path)
    source = tuner_form.editor.data.views["dataset"]
    assert "Choose your structures" in source.text
    assert 'role="alert"' not in source.text
    assert tuner_form.editor.widget.titles[0] == "Data"
    tuner_form.config = with_data(tuner_form, tmp_path / "typed.xyz")
    assert 'role="alert"' in source.text
    assert tuner_form.editor.widget.titles[0] == "Data ⚠"


def test_a_file_that_cannot_be_read_is_told_once_and_in_its_place(tuner_form, tmp_path):
    form = tuner_form
    data = form.editor.data
    form.config = with_data(form, mt.demo_data("train"))
    assert data.split.value
    form.config = with_data(form, tmp_path / "nowhere.xyz")
    assert "nowhere.xyz: no such file" in data.views["dataset"].text
    assert 'role="alert"' in data.views["dataset"].text
    assert data.split.value == ""
    form.config = with_data(form, mt.demo_data("train"))
    assert data.split.value
