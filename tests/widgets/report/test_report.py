"""A run as one file: what it says is right, it needs nothing else, and one gap spoils no other part."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.data.fingerprint import fingerprint
from mattertune_nb.training.written_file import WrittenFile
from mattertune_nb.widgets.report.sections import summary

NAME = "a<b>&'run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a finished run of the shipped data, with a name that would be HTML."""
    folder = tmp_path_factory.mktemp("report")
    for split in ("train", "validation"):
        shutil.copy(mt.demo_data(split), folder / f"{split}<i>.xyz")
    config = mt.demo_config(folder / "runs", "plain")
    config.data = mt.ManualSplitDataModuleConfig(
        train=mt.XYZDatasetConfig(src=folder / "train<i>.xyz", index=":8"),
        validation=mt.XYZDatasetConfig(src=folder / "validation<i>.xyz", index=":5"),
        batch_size=4,
    )
    config.trainer.max_epochs = 2
    config.trainer.log_every_n_steps = 1
    mt.MatterTuner(config).tune()
    # as people rename folders
    return mt.Run.attach((folder / "runs" / "plain").rename(folder / NAME))


@pytest.fixture(scope="module")
def page(run) -> str:
    path = run.report()
    assert path == run.path / "report.html"
    assert isinstance(path, WrittenFile)
    return path.read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    return re.search(rf"<h2>{heading}</h2>(.*?)</section>", page, re.DOTALL).group(1)


def cells(part: str) -> list[list[str]]:
    """Return the texts of a table, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    return [
        [html.unescape(c) for c in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows
    ]


def test_it_needs_nothing_but_itself(page):
    assert not re.findall(r"https?://", page)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page)
    assert len(page) < 1_500_000


def test_its_epochs_are_counted_as_on_the_dashboard(run, tmp_path):
    stopped = Path(shutil.copytree(run.path, tmp_path / "stopped"))
    status = json.loads((stopped / "status.json").read_text(encoding="utf-8"))
    status |= {"state": "stopped", "epoch": 1, "step": 3}
    (stopped / "status.json").write_text(json.dumps(status), encoding="utf-8")
    assert "stopped · epoch 2 · step 3" in summary(mt.Run(stopped))
    assert "stopped, epoch 2, step 3" in repr(mt.Run(stopped))


def test_names_are_shown_as_they_are(page):
    assert "<title>a&lt;b&gt;&amp;&#x27;run</title>" in page
    assert "<i>" not in page
    assert "train&lt;i&gt;.xyz" in section(page, "Data")


def test_errors_are_those_of_the_model_and_the_labels(run, page):
    frames = ase.io.read(run.config().data.validation.src, ":5")
    model = mt.FinetuneModuleBase.load_from_checkpoint(run.directory.best)
    results = model.property_predictor().predict(frames)
    energy = np.array(
        [
            (r["energy"] - atoms.get_potential_energy()) / len(atoms)
            for r, atoms in zip(results, frames, strict=True)
        ]
    )
    forces = np.concatenate(
        [r["forces"] - atoms.get_forces() for r, atoms in zip(results, frames, strict=True)]
    )
    found = {row[0]: row[1:] for row in cells(section(page, "Parity"))[1:]}
    mae, rmse, _ = (float(x) for x in found["forces (meV/Å)"])
    assert mae == pytest.approx(1000 * np.abs(forces).mean(), rel=0.01)
    assert rmse == pytest.approx(1000 * np.sqrt((forces**2).mean()), rel=0.01)
    labels = np.concatenate([atoms.get_forces() for atoms in frames])
    r2 = 1 - (forces**2).sum() / ((labels - labels.mean()) ** 2).sum()
    assert float(found["forces (meV/Å)"][2]) == pytest.approx(r2, abs=2e-4)
    assert float(found["energy (meV/atom)"][0]) == pytest.approx(
        1000 * np.abs(energy).mean(), rel=0.01
    )
    # the record of training says the same of the same weights
    recorded = {row[0]: row[1:] for row in cells(section(page, "Errors"))[1:]}
    assert float(recorded["forces (meV/Å)"][2]) == pytest.approx(mae, rel=0.01)
    before = float(recorded["forces (meV/Å)"][1])
    ratio, word = re.fullmatch(r"([\d.]+) × (\w+)", recorded["forces (meV/Å)"][3]).groups()
    assert float(ratio) == pytest.approx(max(before / mae, mae / before), abs=0.1)
    assert word == ("smaller" if mae < before else "larger")


def test_the_verdict_stands_above_all_in_words_and_colour(run, page):
    before, after = (
        1000 * float(value)
        for value in (
            next(r["baseline/forces_mae"] for r in run.metrics() if "baseline/forces_mae" in r),
            min(
                (r for r in run.metrics() if r.get("val/total_loss") is not None),
                key=lambda r: r["val/total_loss"],
            )["val/forces_mae"],
        )
    )
    mark, said = re.search(r'class="mt-verdict"[^>]*>([⚠✓]) (.*?)</div>', page).groups()
    found = re.search(r"[Ff]orces ([\d.]+) → ([\d.]+)\smeV/\u2060Å", html.unescape(said)).groups()
    assert [float(x) for x in found] == pytest.approx([before, after], rel=0.01)
    assert mark == ("⚠" if "Worse" in said else "✓")
    assert page.index(said) < page.index("<h2>Errors</h2>")


def test_the_worst_structures_come_first(run, page):
    frames = ase.io.read(run.config().data.validation.src, ":5")
    model = mt.FinetuneModuleBase.load_from_checkpoint(run.directory.best)
    results = model.property_predictor().predict(frames)
    errors = [
        1000 * np.abs(r["forces"] - atoms.get_forces()).mean()
        for r, atoms in zip(results, frames, strict=True)
    ]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", section(page, "Worst structures"))
    found = [re.search(r"frame (\d+): ([\d.]+) meV/Å", html.unescape(c)).groups() for c in captions]
    order = sorted(range(5), key=lambda i: -errors[i])
    assert [int(i) for i, _ in found] == order
    for i, value in found:
        assert float(value) == pytest.approx(errors[int(i)], rel=0.01)


def test_files_are_known_again_by_their_hash(run, page):
    rows = {row[0]: row[1:] for row in cells(section(page, "Data"))[1:]}
    for stage, n in (("train", "8"), ("validation", "5")):
        source = getattr(run.config().data, stage).src
        by_others = subprocess.run(["sha256sum", source], capture_output=True, text=True).stdout
        assert rows[stage][1:] == [n, by_others.lstrip("\\").split()[0]]


def test_structures_in_memory_are_known_again_whatever_else_changes():
    frames = ase.io.read(mt.demo_data("test"), ":2")
    one = fingerprint(mt.AtomsListDatasetConfig(atoms_list=frames))
    again = mt.AtomsListDatasetConfig.from_yaml_text(
        mt.AtomsListDatasetConfig(atoms_list=frames).to_yaml()
    )
    assert fingerprint(again) == one
    assert len(one) == len(hashlib.sha256().hexdigest())
    frames[1].positions[0, 0] += 1e-9
    assert fingerprint(mt.AtomsListDatasetConfig(atoms_list=frames)) != one


def test_what_is_missing_is_said_and_the_rest_stands(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    (copy / "versions.json").unlink()
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("train<i>.xyz", "gone.xyz"))
    page = mt.Run.attach(copy).report(tmp_path / "out.html").read_text(encoding="utf-8")
    assert "no checkpoint yet" in section(page, "Parity")
    assert "no checkpoint yet" in section(page, "Worst structures")
    assert "cannot be read" in section(page, "Versions")
    assert "gone.xyz: cannot be read" in html.unescape(section(page, "Data"))
    assert cells(section(page, "Errors"))[1][0] == "energy (meV/atom)"
    assert "data:image/png" in section(page, "Curves")
    assert "max_epochs: 2" in section(page, "Settings")


def test_what_was_not_measured_is_no_error(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "copy")
    for name in ("findings", "foreign", "walls", "distances"):
        (copy / f"{name}.json").unlink(missing_ok=True)
    page = mt.Run.attach(copy).report(tmp_path / "out.html").read_text(encoding="utf-8")
    assert "were not checked" in section(page, "Data before training")
    for title in ("Distance to training", "Data before training", "Elsewhere", "Walls"):
        assert "Not shown" not in section(page, title)
        assert "bad" not in section(page, title)


def test_other_structures_and_another_file(run, tmp_path):
    command = [sys.executable, "-m", "mattertune_nb.cli", "report", run.path, mt.demo_data("test")]
    done = subprocess.run([*command, "-o", tmp_path / "r.html"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "ethanol_test.xyz" in section(page, "Parity")
    assert str(tmp_path / "r.html") in done.stdout.replace("\n", "")


def test_a_file_that_cannot_be_written_is_said(run, tmp_path):
    with pytest.raises(mt.DataError, match="cannot be written"):
        run.report(tmp_path / "no" / "folder.html")
