"""What a call that takes long tells below its cell: how far it is, then what it did."""

from __future__ import annotations

import itertools
import os
import re
import signal
from dataclasses import replace

import pytest
from jupyter_client.manager import start_new_kernel
from lightning.pytorch import Callback

import mattertune_nb as mt
from mattertune_nb.training import in_cell
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.outcome import validate

CELL = """
from mattertune_nb.training.in_cell import InCell
cell = InCell("parts")
cell.tell("a < b", 1, 4)
cell.tell("too soon", 2, 4)
cell.end("4 parts in 2 s")
"""


@pytest.fixture
def shown(monkeypatch):
    """Return what is displayed in a cell, every change of it."""
    lines: list[str] = []

    class Handle:
        def update(self, line, raw):
            lines.append(line["text/html"])

    def display(line, raw, display_id):
        lines.append(line["text/html"])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(in_cell, "kernel_of_cell", object)
    monkeypatch.setattr(in_cell, "_SECONDS", 0.0)
    return lines


def told_in_a_kernel(*, is_live: bool) -> list[tuple[str, dict[str, str]]]:
    """Return what a kernel displays, with widgets if `is_live`."""
    manager, client = start_new_kernel(
        env=os.environ | {"MATTERTUNE_NB_PLAIN": str(int(not is_live))}
    )
    told: list[tuple[str, dict[str, str]]] = []

    def keep(message):
        if "display_data" in message["msg_type"]:
            told.append((message["msg_type"], message["content"]["data"]))

    reply = client.execute_interactive(CELL, timeout=60, output_hook=keep)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    return told


def test_a_line_is_shown_in_a_cell_of_a_kernel_and_replaced_at_the_end():
    (first, bar), (second, end) = told_in_a_kernel(is_live=False)
    assert (first, second) == ("display_data", "update_display_data")
    assert set(bar) == {"text/html", "text/plain"}
    assert '<progress value="1" max="4"' in bar["text/html"]
    assert "a &lt; b" in bar["text/html"]
    assert "■ (interrupt the kernel) ends it" in bar["text/html"]
    assert re.search(r"at \d\d:\d\d:\d\d", bar["text/html"])
    assert end["text/html"] == "<div>parts: 4 parts in 2\u00a0s</div>"


def test_on_a_page_the_line_is_a_widget_while_the_cell_is_at_work_and_plain_afterwards():
    told = told_in_a_kernel(is_live=True)
    assert [kind for kind, _ in told] == 2 * ["display_data"] + 2 * ["update_display_data"]
    (_, bar), (_, still), (_, end), (_, nothing) = told
    assert "application/vnd.jupyter.widget-view+json" in bar
    # for pages without widgets, and without the kernel
    assert '<progress value="1" max="4"' in bar["text/html"]
    assert bar["text/html"] in still["text/html"]
    assert set(end) == {"text/html", "text/plain"}
    assert end["text/html"] == "<div>parts: 4 parts in 2\u00a0s</div>"
    assert nothing["text/html"] == ""


def test_a_fit_tells_epoch_step_and_time_left(shown, morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=2)).tune().run
    steps = run.status().step
    assert steps >= 2
    assert f"{run.name}: predictions of the untuned model" in shown[0]
    assert f"{run.name}: epoch 1 of 2, step 1 of {steps}, " in shown[1]
    assert f'value="{steps}" max="{steps}"' in shown[-2]
    assert f"epoch 2 of 2, step {steps} of {steps}, 0\u00a0s left" in shown[-2]
    assert re.fullmatch(rf"<div>{run.name}: {steps} steps in .+\u00a0s</div>", shown[-1])


def test_it_is_told_once(shown, morse_config):
    mt.MatterTuner(morse_config(max_epochs=1)).tune(callbacks=[mt.LiveCurves()])
    assert not any("<progress" in line for line in shown)


def test_a_validation_tells_its_checks(shown, morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    shown.clear()
    run.validate(["rotation", "size"])
    assert "validation of run: model and structures" in shown[0]
    assert "rotated structures" in shown[1]
    assert 'value="0" max="2"' in shown[1]
    assert "two copies give twice one" in shown[2]
    assert 'value="1" max="2"' in shown[2]
    assert shown[3].startswith("<div>validation of run: 2 checks in ")
    assert len(shown) == 4


def test_nothing_is_shown_apart_from_a_cell(capsys, morse_config):
    mt.MatterTuner(morse_config(max_epochs=1)).tune()
    assert capsys.readouterr().out == ""


def test_a_wait_tells_the_step_of_a_run_in_another_process(shown, morse_config, monkeypatch):
    run = mt.MatterTuner(morse_config(max_epochs=3)).tune().run
    shown.clear()
    ended = run.status()
    half = replace(ended, state="running", step=ended.step // 3)
    answers = iter([half, half])
    monkeypatch.setattr(mt.Run, "status", lambda self: next(answers, ended))
    assert run.wait(poll=0.01) == ended
    assert f"{run.name}: running, step {half.step} of {ended.step}" in shown[0]
    assert f'value="{half.step}" max="{ended.step}"' in shown[0]
    assert "ends the wait, not the run" in shown[0]
    assert shown[-1] == f"<div>{run.name}: finished at step {ended.step}</div>"


def test_a_wait_tells_how_many_runs_of_a_series_are_done(shown, morse_config, monkeypatch):
    series = new_ensemble(morse_config("both", max_epochs=1), 2).train()
    shown.clear()
    answers = iter([True, False, False])
    monkeypatch.setattr(type(series), "is_active", lambda self: next(answers))
    assert series.wait()
    assert 'value="2" max="2"' in shown[0]
    assert shown[-1] == "<div>both: 2 of 2 runs</div>"


def test_an_estimate_tells_that_it_is_at_work(shown, small_config):
    estimate = mt.estimate(small_config())
    assert estimate.n_epochs
    # of which nobody knows the end
    assert re.fullmatch(
        r"<div><progress style=[^>]*></progress> trial of a few steps: .*\u00a0s so far<span.*</div>",
        shown[0],
    )
    assert len(shown) > 2
    assert re.fullmatch(r"<div>trial of a few steps: done in .*\u00a0s</div>", shown[-1])


@pytest.mark.parametrize(
    ("cause", "told"), [(KeyboardInterrupt, "interrupted"), (OSError, "ended")]
)
def test_no_bar_is_left_where_a_call_ends_before_its_time(shown, cause, told):
    def call():
        with InCell("work") as cell:
            cell.tell("half of it", 1, 2)
            raise cause

    with pytest.raises(cause):
        call()
    assert len(shown) == 2
    assert re.fullmatch(rf"<div>work: {told} after 0\u00a0s</div>", shown[-1])


def test_an_interrupted_validation_says_so_and_keeps_no_card(shown, morse_config, monkeypatch):
    def interrupted(case):
        raise KeyboardInterrupt

    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    monkeypatch.setitem(validate.CHECKS, "rotation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.validate(["rotation"])
    assert "validation of run: interrupted after" in shown[-1]
    assert not (run.path / "scorecard.json").exists()


def test_an_interrupted_wait_says_that_the_run_goes_on(shown, morse_config, monkeypatch):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    running = replace(run.status(), state="running", step=3)
    looks = itertools.count(1)

    def status(_):
        if next(looks) == 3:
            signal.raise_signal(signal.SIGINT)
        return running

    monkeypatch.setattr(mt.Run, "status", status)
    shown.clear()
    with pytest.raises(KeyboardInterrupt, match="the run continues"):
        run.wait()
    ended = r"<div>run: the wait was interrupted after [\d.]+\u00a0s; running at step 3</div>"
    assert re.fullmatch(ended, shown[-1])
    shown.clear()
    run.wait(timeout=0.1)
    assert shown[-1] == "<div>run: still running at step 3</div>"


class Interrupt(Callback):
    """Presses Ctrl-C while the untuned model predicts, or later."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGINT))


def test_an_interrupt_before_the_first_step_is_heard_at_once(shown, morse_config):
    tuner = mt.MatterTuner(morse_config())
    with pytest.warns(UserWarning, match="Stopped before the first step: nothing was trained"):
        run = tuner.tune(callbacks=[Interrupt("on_train_start")]).run
    assert re.fullmatch(r"<div>run: stopped at step 0 after .*</div>", shown[-1])
    status = run.status()
    assert (status.state, status.step, status.error) == ("stopped", 0, None)
    # nothing stands in the way of training it
    assert tuner.resume(run.path).run.status().state == "finished"


def test_an_interrupt_during_training_ends_it_at_the_step(shown, morse_config):
    run = mt.MatterTuner(morse_config()).tune(callbacks=[Interrupt("on_train_batch_start")]).run
    assert re.fullmatch(r"<div>run: stopped at step 1 after .*</div>", shown[-1])
    assert run.status().state == "stopped"


def test_an_error_that_is_told_in_a_line_is_a_line_below_its_cell():
    manager, client = start_new_kernel()
    code = "import mattertune_nb as mt\nmt.Run.attach('nowhere')"
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda message: None)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert reply["content"]["ename"] == "RunError"
    assert reply["content"]["traceback"] == [f"RunError: {reply['content']['evalue']}"]
