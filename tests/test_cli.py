"""The commands, end to end, on the shipped data."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import islice, pairwise
from pathlib import Path

import ase.io
import nbformat
import numpy as np
import pytest
import yaml
from nbformat.sign import NotebookNotary

import mattertune_nb as mt
from mattertune_nb.cli import main
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.demo.quickstart import copy_quickstart
from mattertune_nb.training.outcome.error_table import error_table

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))
COMMAND = [sys.executable, "-m", "mattertune_nb.cli"]


def shell(*arguments: object, check: bool = True, cwd: Path | None = None) -> str:
    process = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )
    if check:
        assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a run that `init` and `fit` made."""
    folder = tmp_path_factory.mktemp("cli")
    config = folder / "config.yaml"
    config.write_text(shell("init", mt.demo_data("validation")))
    changes = {
        "run.root": folder,
        "run.name": "small",
        "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu",
        "data.dataset.index": "':12'",
        "model.properties.1.loss_coefficient": 2.0,
        "model.optimizer.lr": 1e-3,
    }
    options = [part for k, v in changes.items() for part in ("--set", f"{k}={v}")]
    output = shell("fit", config, *options)
    assert "forces (meV/Å)" in output
    return folder / "small"


def test_init_explains_every_field():
    text = shell("init")
    assert mt.MatterTunerConfig.from_dict(yaml.safe_load(text))
    for field in mt.TrainerConfig.model_fields.values():
        first_words = " ".join(field.description.split()[:4])
        assert first_words in text


def test_init_explains_the_fields_of_each_item_of_a_list():
    lines = shell("init").splitlines()
    for kind in ("name: energy", "name: forces", "name: per_atom_referencing"):
        above = lines[next(i for i, line in enumerate(lines) if line.strip() == kind) - 1]
        assert re.match(" *- # [A-Z]", above)
    for above, line in pairwise(lines):
        if re.match(r" *\w+:", line):
            # the keys of a mapping are properties, which are their own explanation
            assert above.lstrip(" -").startswith("#") or line.strip() == "energy:"


def test_init_asks_where_more_than_one_value_may_be_the_energy(frames_of_another_code, tmp_path):
    for atoms in frames_of_another_code:
        atoms.info["pbe_energy"] = atoms.info["dft_energy"] - 5.0
    ase.io.write(tmp_path / "mine.xyz", frames_of_another_code)
    process = subprocess.run(
        [*COMMAND, "init", tmp_path / "mine.xyz"], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "which of these is the energy: 'dft_energy' (4 of 4 frames" in process.stderr
    config = yaml.safe_load(process.stdout)
    assert config["data"]["dataset"]["energy_key"] is None
    assert config["data"]["dataset"]["forces_key"] == "dft_forces"
    for key in ("dft_energy", "pbe_energy"):
        assert re.search(rf"#   energy_key: {key}  \(4 of 4 frames, -.* eV\)", process.stdout)


def test_init_says_that_it_did_not_see_the_file(tmp_path):
    process = subprocess.run(
        [*COMMAND, "init", tmp_path / "nowhere.xyz"], capture_output=True, text=True
    )
    assert process.returncode == 0  # the data may be on the cluster
    assert "nowhere.xyz: no such file here" in process.stderr


def test_init_says_how_to_train_on_energies_alone(copper_xyz, tmp_path, capsys):
    frames = ase.io.read(copper_xyz, ":4")
    for atoms in frames:
        del atoms.calc.results["forces"]
    ase.io.write(tmp_path / "energies.xyz", frames)
    main_in_process("init", tmp_path / "energies.xyz")
    change = re.search(r"--set '(model\.properties=.*)'", capsys.readouterr().err)[1]
    main_in_process("init", tmp_path / "energies.xyz", "--set", change)
    printed = capsys.readouterr()
    properties = yaml.safe_load(printed.out)["model"]["properties"]
    assert [p["name"] for p in properties] == ["energy"]
    assert "forces" not in printed.err


def test_init_lists_the_stress_where_the_file_has_it(copper_xyz, tmp_path):
    frames = ase.io.read(copper_xyz, ":")
    for atoms in frames[:5]:
        atoms.calc.results["stress"] = np.full(6, 0.01)
    ase.io.write(tmp_path / "stressed.xyz", frames)
    properties = yaml.safe_load(shell("init", tmp_path / "stressed.xyz"))["model"]["properties"]
    assert [p["name"] for p in properties] == ["energy", "forces", "stresses"]
    assert properties[-1]["missing"] == "mask"


def test_init_names_the_labels_as_the_file_does(frames_of_another_code, tmp_path):
    ase.io.write(tmp_path / "mine.xyz", frames_of_another_code)
    dataset = yaml.safe_load(shell("init", tmp_path / "mine.xyz"))["data"]["dataset"]
    assert dataset["energy_key"] == "dft_energy"
    assert dataset["forces_key"] == "dft_forces"
    assert dataset["stress_key"] is None


def test_set_reaches_nested_fields(run):
    config = mt.MatterTunerConfig.from_yaml(run / "config.yaml")
    assert config.model.properties[1].loss_coefficient == 2.0
    assert config.data.dataset.index == ":12"
    assert config.trainer.max_epochs == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.max_epoch=3", "Did you mean 'max_epochs'?"),
        ("trainer.nothing.here=3", "there is no 'nothing'"),
        ("max_epochs=3", "Did you mean 'trainer.max_epochs'?"),
        ("epochs=3", "Did you mean 'trainer.max_epochs' or 'trainer.min_epochs'?"),
        ("optimizer.lr=3", "Did you mean 'model.optimizer'?"),
        ("model.properties.7.loss_coefficient=3", "there is no '7'"),
        ("trainer.max_epochs", "write FIELD=VALUE"),
        ("model.optimizer.lr=fast", "model.optimizer.lr"),
    ],
)
def test_a_bad_change_names_the_field(change, message):
    with pytest.raises(mt.ConfigError) as info:
        override_settings(mt.demo_config(), [change])
    assert message in str(info.value)


def test_set_can_switch_on_what_was_not_set():
    changes = ["trainer.early_stopping.patience=3", "model.lr_scheduler=null"]
    config = override_settings(mt.demo_config(), changes)
    assert config.trainer.early_stopping.patience == 3
    assert config.model.lr_scheduler is None


def test_evaluate_shows_what_fine_tuning_gained(run):
    output = shell("evaluate", run, mt.demo_data("test"))
    for text in ("untuned", "re-referenced", "tuned", "energy (meV/atom)", "forces (meV/Å)"):
        assert text in output


def test_predict_writes_what_the_model_says(run, tmp_path):
    # the same batches: in float32 the order of sums shows in the sixth digit of large forces
    frames = ase.io.read(mt.demo_data("test"), ":")
    shell("predict", run, mt.demo_data("test"), tmp_path / "out.xyz")
    written = ase.io.read(tmp_path / "out.xyz", ":")
    assert len(written) == 60
    model = mt.FinetuneModuleBase.load_from_checkpoint(run / "checkpoints" / "best.ckpt")
    for frame, expected in zip(written, model.property_predictor().predict(frames), strict=True):
        assert frame.get_potential_energy() == pytest.approx(expected["energy"], abs=1e-5)
        np.testing.assert_allclose(frame.get_forces(), expected["forces"], atol=1e-5)


def test_resume_trains_longer(run):
    shell("resume", run, "--quiet", "--set", "trainer.max_epochs=3")
    assert mt.Run.attach(run).status().epoch == 3


def test_the_demo_trains_on_the_shipped_data(tmp_path):
    output = shell("demo", "--root", tmp_path, "--max-epochs", "1")
    assert "a trajectory never seen in training" in output


def test_the_quickstart_is_copied_once_and_an_edited_copy_stays(tmp_path):
    path = copy_quickstart(tmp_path)
    assert nbformat.read(path, as_version=4).cells[0].source.startswith("# Quickstart")
    path.write_text("mine")
    assert copy_quickstart(tmp_path).read_text() == "mine"


def test_jupyter_trusts_the_copies_so_that_a_reload_keeps_their_widgets(tmp_path):
    notary = NotebookNotary()
    for path in sorted(copy_quickstart(tmp_path).parent.glob("0*.ipynb")):
        assert notary.check_signature(nbformat.read(path, as_version=4)), path.name
    foreign = nbformat.read(path, as_version=4)
    foreign.cells[1].source = "another's"
    assert not notary.check_signature(foreign)
    notary.store.close()


def test_the_notebooks_that_the_quickstart_points_to_come_with_it(tmp_path):
    (tmp_path / "03_lightning.ipynb").write_text("mine")
    copy_quickstart(tmp_path)
    names = [path.name for path in NOTEBOOKS]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "03_lightning.ipynb").read_text() == "mine"


def test_the_wheel_carries_the_notebooks():
    root = Path(__file__).parents[1]
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert [root / source for source in included] == NOTEBOOKS


def test_lab_headless_writes_the_executed_notebook_and_a_page(tmp_path):
    cells = ["import mattertune_nb as mt\nprint(len(mt.demo_config().model.properties) * 21)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    path = tmp_path / "01_quickstart.ipynb"
    nbformat.write(notebook, path)
    command = [*COMMAND, "lab", "--headless"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert process.stderr == ""
    (cell,) = nbformat.read(path, as_version=4).cells
    assert cell.outputs[0].text == "42\n"
    assert "42" in (tmp_path / "01_quickstart.html").read_text()


def test_lab_opens_jupyterlab_on_the_quickstart(tmp_path):
    # whoever the user is: in a container it is root, which JupyterLab by itself refuses
    options = ["--no-browser", "--port=0"]
    process = subprocess.Popen(
        [*COMMAND, "lab", *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        (address,) = islice(
            (line for line in process.stderr if "/lab/tree/01_quickstart.ipynb" in line), 1
        )
        assert re.search(r"http://(localhost|127\.0\.0\.1):\d+/", address)
        assert "token=" in address
    finally:
        process.kill()
    assert (tmp_path / "01_quickstart.ipynb").is_file()


def test_set_another_kind_drops_what_does_not_fit_it():
    changes = ["model.optimizer.name=sgd", "model.optimizer.momentum=0.9"]
    optimizer = override_settings(mt.demo_config(), changes).model.optimizer
    assert optimizer == mt.SGDConfig(momentum=0.9, weight_decay=0.01)
    changes = ["model.name=sevennet", "model.optimizer.lr=1e-4"]
    model = override_settings(mt.demo_config(), changes).model
    assert isinstance(model, mt.SevenNetBackboneConfig)
    assert model.optimizer.lr == 1e-4
    with pytest.raises(mt.ConfigError, match=r"betas: unknown setting"):
        override_settings(
            mt.demo_config(), ["model.optimizer.name=sgd", "model.optimizer.betas=[0.9, 0.9]"]
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("10:20", "10:20"), ("2024-01-01", "2024-01-01"), ("[1, a]", [1, "a"])],
)
def test_values_are_what_people_mean(text, value):
    config = override_settings(
        mt.demo_config(), [f"trainer.additional_trainer_kwargs.anything={text}"]
    )
    assert config.trainer.additional_trainer_kwargs == {"anything": value}


def test_predict_keeps_order_and_what_else_a_file_says(morse_run, tmp_path):
    frames = ase.io.read(morse_run.parent.parent / "copper.xyz", ":5")
    for i, atoms in enumerate(frames):
        atoms.info["tag"] = f"frame {i}"
        atoms.arrays["site"] = np.arange(len(atoms)) + i
    ase.io.write(tmp_path / "in.xyz", frames)
    main_in_process("predict", morse_run, tmp_path / "in.xyz", tmp_path / "out.xyz")
    written = ase.io.read(tmp_path / "out.xyz", ":")
    for atoms, before in zip(written, frames, strict=True):
        assert atoms.info["tag"] == before.info["tag"]
        np.testing.assert_array_equal(atoms.arrays["site"], before.arrays["site"])
        np.testing.assert_array_equal(atoms.pbc, before.pbc)
        np.testing.assert_allclose(atoms.positions, before.positions, atol=1e-7)
        assert abs(atoms.get_potential_energy() - before.get_potential_energy()) > 1e-6
        assert atoms.get_stress().shape == (6,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.set_atomic_numbers([28] * len(atoms)), "in.xyz, frame 1: .*'Ni'"),
        (lambda atoms: atoms.positions.__setitem__(2, np.nan), "in.xyz, frame 1: .*atom 2"),
        (lambda atoms: atoms.cell.__setitem__(2, 0.0), "in.xyz, frame 1: .*no volume"),
    ],
)
def test_predict_names_the_frame_that_it_cannot_use(change, message, morse_run, tmp_path, capsys):
    frames = ase.io.read(morse_run.parent.parent / "copper.xyz", ":3")
    change(frames[1])
    for atoms in frames:
        atoms.calc = None
    ase.io.write(tmp_path / "in.xyz", frames)
    with pytest.raises(SystemExit, match="1"):
        main_in_process("predict", morse_run, tmp_path / "in.xyz", tmp_path / "out.xyz")
    error = capsys.readouterr().err.strip()
    assert re.search(message, error)
    assert "\n" not in error
    assert not (tmp_path / "out.xyz").exists()


@pytest.mark.parametrize("target", [".", "no/such/folder/out.xyz"])
def test_predict_to_a_place_that_cannot_be_written(target, morse_run, tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        main_in_process(
            "predict", morse_run, morse_run.parent.parent / "copper.xyz", tmp_path / target
        )
    assert "folder" in capsys.readouterr().err


def test_predict_refuses_the_name_of_another_format(morse_run, tmp_path, capsys):
    copper = morse_run.parent.parent / "copper.xyz"
    with pytest.raises(SystemExit, match="1"):
        main_in_process("predict", morse_run, copper, tmp_path / "out.traj")
    assert "out.traj: extended XYZ is written. Name it out.xyz." in capsys.readouterr().err


def test_predict_does_not_replace_the_labels_that_it_reads(morse_run, capsys):
    labelled = morse_run.parent.parent / "copper.xyz"
    before = labelled.read_bytes()
    with pytest.raises(SystemExit, match="1"):
        main_in_process("predict", morse_run, labelled, labelled)
    assert "would replace the structures that are read" in capsys.readouterr().err
    assert labelled.read_bytes() == before


def test_evaluate_tells_two_arguments_in_the_wrong_order(morse_run, capsys):
    with pytest.raises(SystemExit, match="1"):
        main_in_process("evaluate", morse_run.parent.parent / "copper.xyz", morse_run)
    assert re.search(r"copper\.xyz: .*checkpoint", capsys.readouterr().err)


def test_resume_of_a_finished_run_says_how_to_train_longer(morse_run, capsys):
    main_in_process("resume", morse_run, "--quiet")
    assert "has finished. To train it longer: mattertune-nb resume" in capsys.readouterr().err


def test_evaluate_takes_the_keys_of_the_training_and_what_labels_there_are(
    morse_run, tmp_path, capsys
):
    frames = ase.io.read(morse_run.parent.parent / "copper.xyz", ":3")
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.calc = None
    ase.io.write(tmp_path / "in.xyz", frames)
    with pytest.raises(SystemExit, match="1"):
        main_in_process("evaluate", morse_run, tmp_path / "in.xyz")
    assert "energy_key='REF_energy'" in capsys.readouterr().err
    main_in_process("evaluate", morse_run, tmp_path / "in.xyz", "--energy-key", "REF_energy")
    printed = capsys.readouterr()
    assert str(tmp_path / "in.xyz") in printed.out.splitlines()  # a long path is not broken
    assert "energy (meV/atom)" in printed.out
    assert "forces" not in printed.out.replace(str(tmp_path), "")
    assert "no frame has forces under 'forces'" in printed.err
    config = mt.MatterTunerConfig.from_yaml(morse_run / "config.yaml")
    config.data.dataset.energy_key = "REF_energy"
    config.to_yaml(morse_run / "config.yaml")
    main_in_process("evaluate", morse_run, tmp_path / "in.xyz")
    assert "energy (meV/atom)" in capsys.readouterr().out


def rows(printed: str) -> list[str]:
    """Return the rows of a table, below its title."""
    return [line for line in printed.splitlines() if line.startswith("│")]


def test_evaluate_reads_a_file_that_is_not_like_the_training(morse_run, tmp_path, capsys):
    frames = ase.io.read(morse_run.parent.parent / "copper.xyz", ":3")
    ase.io.write(tmp_path / "in.xyz", frames)
    main_in_process("evaluate", morse_run, tmp_path / "in.xyz")
    expected = rows(capsys.readouterr().out)
    for atoms in frames:
        atoms.info["U0"] = atoms.get_potential_energy() / ase.units.Hartree
        atoms.arrays["F"] = atoms.get_forces() / (ase.units.Hartree / ase.units.Bohr)
        atoms.calc = None
    ase.io.write(tmp_path / "other.xyz", [*frames, frames[0]])
    units = ["--set", "units.energy=Hartree", "--set", "units.forces=Hartree/Bohr"]
    keys = ["--energy-key", "U0", "--set", "forces_key=F", "--set", "index=:3"]
    main_in_process("evaluate", morse_run, tmp_path / "other.xyz", *units, *keys)
    assert expected
    assert rows(capsys.readouterr().out) == expected
    with pytest.raises(SystemExit, match="1"):
        main_in_process("evaluate", morse_run, tmp_path / "other.xyz", "--set", "unit.energy=Ha")
    assert "Did you mean 'units'?" in capsys.readouterr().err


def test_an_error_that_a_stage_does_not_have_leaves_its_place_empty():
    stages = {
        "untuned": {"energy_per_atom_mae": 0.02},
        "tuned": {"energy_per_atom_mae": 0.001, "forces_mae": 0.05},
    }
    columns = [list(column.cells) for column in error_table(stages, "validation set").columns]
    assert columns == [
        ["energy (meV/atom)", "forces (meV/Å)"],
        ["20.0", "–"],
        ["1.0", "50.0"],
    ]


def test_fit_shows_the_validation_set_before_and_after(morse_config, tmp_path, capsys):
    morse_config(max_epochs=1).to_yaml(tmp_path / "config.yaml")
    main_in_process("fit", tmp_path / "config.yaml")
    output = capsys.readouterr().out
    for text in ("validation set", "untuned", "re-referenced", "best epoch 1"):
        assert text in output


def test_the_bar_counts_epochs_from_one_as_all_else_does(morse_config, tmp_path, capsys):
    """Its text comes from a private method of Lightning's, which this finds changed."""
    morse_config(max_epochs=2).to_yaml(tmp_path / "config.yaml")
    main_in_process("fit", tmp_path / "config.yaml")
    output = capsys.readouterr().out
    assert "Epoch 2/2" in output
    assert "Epoch 1/1" not in output


def test_a_message_keeps_its_brackets(capsys):
    from mattertune_nb.cli_console import note

    note("Error:", "red", "pip install 'mattertune-nb[sevennet]'\nand [/red] more")
    text = "Error: pip install 'mattertune-nb[sevennet]' and [/red] more\n"
    assert capsys.readouterr().err == text


@pytest.mark.parametrize("backbone", ["chgnet", "sevennet"])
def test_init_then_fit(backbone, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip({"chgnet": "chgnet", "sevennet": "sevenn"}[backbone])
    frames = ase.io.read(mt.demo_data("validation"), ":4")
    ase.io.write("mine.xyz", frames)
    main_in_process("init", "mine.xyz", "--backbone", backbone)
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    settings = ("trainer.max_epochs=1", "run.name=first", "data.batch_size=1")
    main_in_process("fit", "config.yaml", *(part for s in settings for part in ("--set", s)))
    assert mt.Run.attach("runs/first").status().state == "finished"


def test_the_package_is_a_command_too():
    done = subprocess.run(
        [sys.executable, "-m", "mattertune_nb", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python -m mattertune_nb" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "fit",
        "resume",
        "runs",
        "stop",
        "evaluate",
        "predict",
        "report",
        "init",
        "demo",
        "lab",
        "app",
    ],
)
def test_each_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit) as info:
        main_in_process(command, "--help")
    assert info.value.code == 0
    output = capsys.readouterr().out
    assert "Usage" in output
    assert output.count("[required]") <= 3


def main_in_process(*arguments: object) -> None:
    """Run a command as the shell does, without a process of its own."""
    before = sys.argv
    sys.argv = ["mattertune-nb", *map(str, arguments)]
    try:
        main()
    except SystemExit as exc:
        if exc.code or "--help" in arguments:
            raise
    finally:
        sys.argv = before


@pytest.fixture
def morse_run(morse_config, tmp_path):
    """Return the directory of a run of one epoch, within a second."""
    mt.MatterTuner(morse_config(max_epochs=1)).tune()
    return tmp_path / "runs" / "run"
