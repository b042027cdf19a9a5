"""A config of MatterTune is read with its data sets by their names."""

from __future__ import annotations

import json

import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError


def config(dataset):
    return mt.AutoSplitDataModuleConfig.from_dict({"type": "auto_split", "dataset": dataset})


def test_a_json_file_with_its_tasks_is_read(tmp_path):
    record = {
        "atomic_numbers": [1],
        "positions": [[0, 0, 0]],
        "e_dft": -1.5,
        "f_dft": [[0.1, 0, 0]],
    }
    (tmp_path / "a.json").write_text(json.dumps([record]))
    tasks = {"energy": "e_dft", "forces": "f_dft"}
    made = config({"type": "json", "src": str(tmp_path / "a.json"), "tasks": tasks})
    labels = made.dataset.create_dataset().labels(0)
    assert labels["energy"] == -1.5
    assert labels["forces"].tolist() == [[0.1, 0, 0]]
    again = mt.AutoSplitDataModuleConfig.from_dict(made.to_dict())
    assert again == made


def test_what_it_downloads_is_asked_for_as_a_file(tmp_path):
    assert config({"type": "omat24", "src": str(tmp_path)}).dataset.src == tmp_path
    made = config({"type": "mptraj", "split": "train", "src": "MPtrj_2022.9_full.json"})
    assert str(made.dataset.src) == "MPtrj_2022.9_full.json"
    with pytest.raises(
        ConfigError, match="'mptraj' is not downloaded; give its file or folder as src"
    ):
        config({"type": "mptraj", "split": "train"})


def test_another_label_is_sent_to_the_properties(tmp_path):
    with pytest.raises(
        ConfigError, match="tasks: 'band_gap' is no label of energy, forces or stress"
    ):
        config({"type": "json", "src": "a.json", "tasks": {"band_gap": "gap"}})
