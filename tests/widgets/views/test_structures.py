"""Whatever holds structures is opened with its labels under the names that it uses."""

from __future__ import annotations

import ase.io
import pytest

import mattertune_nb as mt
from mattertune_nb.data.labels.reading import LabelKeys
from mattertune_nb.widgets.views.structures import open_structures


@pytest.fixture
def file(frames_of_another_code, tmp_path):
    """Return a file of frames with labels named as a code of one's own does."""
    path = tmp_path / "mine.xyz"
    ase.io.write(path, frames_of_another_code)
    return path


@pytest.fixture
def frames_with_two_energies():
    """Return frames with an energy beside that of the standard name."""
    frames = ase.io.read(mt.demo_data("test"), ":2")
    for atoms in frames:
        atoms.info["other_energy"] = 0.0
    return frames


def test_labels_of_a_file_are_found_under_other_names(file):
    assert open_structures(file).keys == LabelKeys("dft_energy", "dft_forces")
    assert set(open_structures(file).labels(0)) == {"energy", "forces"}


def test_labels_of_a_list_are_found_too(frames_of_another_code):
    assert open_structures(frames_of_another_code).keys == LabelKeys("dft_energy", "dft_forces")


def test_standard_names_come_first(frames_with_two_energies):
    assert open_structures(frames_with_two_energies).keys == LabelKeys()


def test_names_that_are_asked_for_come_before_standard_ones(frames_with_two_energies):
    opened = open_structures(frames_with_two_energies, LabelKeys("other_energy", "not_there"))
    assert opened.keys == LabelKeys("other_energy")


def test_a_dataset_says_itself_how_its_labels_are_named(file):
    config = mt.XYZDatasetConfig(src=file)
    assert open_structures(config).keys == LabelKeys()
    dataset = config.create_dataset()
    assert open_structures(dataset) is dataset


def test_parity_takes_the_labels_that_a_run_was_trained_on(file, tmp_path):
    frames = ase.io.read(file, ":")
    for atoms in frames:
        # another code's energies under the standard name are not what was trained on
        atoms.info["energy"] = 0.0
    ase.io.write(file, frames)
    dataset = mt.XYZDatasetConfig(src=file, energy_key="dft_energy", forces_key="dft_forces")
    train, validation = (dataset.model_copy(update={"index": part}) for part in (":3", "3:"))
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.ManualSplitDataModuleConfig(train=train, validation=validation),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name="named", root=tmp_path),
    )
    mt.MatterTuner(config).tune()
    by_names, by_config = (
        mt.parity(tmp_path / "named", file),
        mt.parity(tmp_path / "named", dataset),
    )
    for name in ("energy", "forces"):
        assert by_names.data[name].mae == by_config.data[name].mae


def test_a_folder_and_a_list_of_files_are_opened(file, tmp_path):
    (tmp_path / "more").mkdir()
    ase.io.write(tmp_path / "more" / "b.xyz", ase.io.read(file, ":2"))
    assert len(open_structures([file, tmp_path / "more"])) == 6
    assert len(open_structures(str(tmp_path / "more"))) == 2


def test_structures_that_have_names_are_called_by_them(frames_with_two_energies):
    named = dict(zip(("untuned", "tuned"), frames_with_two_energies, strict=True))
    dataset = open_structures(named)
    assert [dataset.source(i) for i in range(2)] == ["untuned", "tuned"]
    assert [dataset.frame(i) for i in range(2)] == frames_with_two_energies
    assert dataset.take([1]).source(0) == "tuned"
    assert open_structures(frames_with_two_energies[0]).source(0) == "structure"
    with pytest.raises(mt.DataError, match="got str"):
        open_structures({"tuned": "CH3CH2OH"})


def test_a_view_says_which_of_the_named_it_shows(frames_with_two_energies):
    view = mt.view(dict(zip(("untuned", "tuned"), frames_with_two_energies, strict=True)))
    for index, name in enumerate(("untuned", "tuned")):
        view.show(index)
        assert f">{name} · C2H6O" in view._caption.value
