"""Names with tricks are refused or escaped, on pages, in terminals and in logs."""

from __future__ import annotations

import logging

import ase.io
import pytest
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app
from mattertune_nb.doctor.finding import Finding, Report
from mattertune_nb.physics.scorecard import Line, Scorecard
from mattertune_nb.training.logs import logging_to

HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
ANSI = "\x1b[31m\x1b]0;title\x07\x9b2J\r"


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "/tmp/a",
        "a/b",
        "..",
        ".",
        "",
        "a\0b",
        "a\nb",
        "-a",
        HTML,
        ANSI,
        "a\\b",
        "\u202ea",
        "~",
    ],
)
def test_a_run_stays_below_its_folder(name):
    with pytest.raises(mt.ConfigError) as error:
        mt.RunConfig(name=name)
    assert str(error.value).isprintable()


def test_a_name_that_no_disk_takes_is_refused(morse_config):
    with pytest.raises(mt.RunError, match="File name too long"):
        mt.MatterTuner(morse_config("a" * 300)).tune()


def test_no_message_and_no_log_steers_a_terminal(copper_xyz, tmp_path):
    odd = tmp_path / f"{ANSI}{HTML.replace('/', '')}.xyz"
    odd.write_text("1\n\nH 0 0 zero\n")
    for read in (lambda: mt.open_dataset(odd), lambda: mt.open_dataset(tmp_path / f"{ANSI}.db")):
        with pytest.raises(mt.DataError) as error:
            read()
        assert str(error.value).isprintable()
    ase.io.write(odd, ase.io.read(copper_xyz, ":3"), format="extxyz")
    for words in (["check"], ["init"]):
        printed = CliRunner().invoke(app, [*words, str(odd)]).output
        assert "\x1b" not in printed
        assert "\x9b" not in printed
    log = tmp_path / "log.txt"
    with logging_to(log, is_first=True):
        logging.getLogger("mattertune_nb").warning("two\nlines of %s", odd.name)
    assert log.read_text().count("\n") == 2
    assert "\x1b" not in log.read_text()


def test_pages_show_odd_text_as_text(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    report = Report((Finding(HTML, "warning", HTML, HTML, (1,), HTML, part=HTML),), 1)
    card = Scorecard(HTML, [Line(HTML, "pass", HTML, HTML, HTML, HTML)], [HTML])
    run.directory.findings_file.write_text(report.to_json())
    run.directory.scorecard_file.write_text(card.to_json())
    run.directory.write_status("failed", error=HTML, note=HTML)
    run.directory.append_metrics("metrics", 1, 99, {f"val/{HTML}": 1.0, HTML: 2.0})
    with run.directory.log_file.open("a") as log:
        log.write(HTML)
    pages = [report.to_html(), card.to_html(), mt.runs(run.path.parent)._repr_html_()]
    pages += [run.report().read_text(), run.verdict()._repr_html_()]
    dashboard = run.dashboard()
    dashboard.refresh()
    pages += [dashboard._header.value]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
