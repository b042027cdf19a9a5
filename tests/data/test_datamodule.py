"""The data module feeds a model under any plain Trainer, in one process and in two."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig, XYZDatasetConfig

sys.path.insert(0, str(Path(__file__).parent))

from toy_model import ToyModel, trainer


@pytest.fixture
def config(copper_xyz):
    return AutoSplitDataModuleConfig(
        dataset=XYZDatasetConfig(src=copper_xyz), train_split=5, test_split=2, batch_size=2
    )


def frames(model, stage, epoch=0):
    return [batch for e, batch in model.seen.get(stage, []) if e == epoch]


def test_each_stage_sees_its_frames(config):
    model, data = ToyModel(), MatterTuneDataModule(config)
    plain = trainer(max_epochs=2)
    plain.fit(model, data)
    plain.test(model, data, verbose=False)
    plain.predict(model, data)
    parts = config.divide(config.sources()["dataset"]).parts
    assert sorted(chain(*frames(model, "train"))) == parts["train"].tolist()
    assert sorted(chain(*frames(model, "train", 1))) == parts["train"].tolist()
    assert frames(model, "train") != frames(model, "train", 1)
    assert list(chain(*frames(model, "validation"))) == parts["validation"].tolist()
    for stage in ("test", "predict"):
        assert list(chain(*frames(model, stage, 2))) == parts["test"].tolist()


def test_the_overrides_of_the_guide_work(config):
    class Mine(MatterTuneDataModule):
        def setup(self, stage):
            self.datasets = self.hparams.create_datasets()

        def train_dataloader(self):
            return self.lightning_module.create_dataloader(self.datasets["train"], has_labels=True)

        def val_dataloader(self):
            return self.lightning_module.create_dataloader(
                self.datasets["validation"], has_labels=True
            )

    model, usual = ToyModel(), ToyModel()
    trainer(max_epochs=1).fit(model, Mine(config))
    trainer(max_epochs=1).fit(usual, MatterTuneDataModule(config))
    assert model.seen == usual.seen


def test_data_are_opened_once_for_all_stages(config):
    data = MatterTuneDataModule(config)
    data.setup("fit")
    opened = data.datasets["train"]
    data.setup("test")
    assert data.datasets["train"] is opened
    assert data.hparams is config


def test_the_split_can_be_recorded(config):
    data = MatterTuneDataModule(config)
    data.setup("fit")
    parts = config.divide(config.sources()["dataset"]).parts
    assert data.split_indices() == {stage: part.tolist() for stage, part in parts.items()}


def test_workers_bring_the_same_batches(config):
    seen = []
    for workers in (0, 2):
        model = ToyModel()
        data = MatterTuneDataModule(config.model_copy(update={"num_workers": workers}))
        trainer(max_epochs=2).fit(model, data)
        seen.append(model.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_stopped_within_an_epoch_goes_on_with_the_same_frames(config, tmp_path, workers):
    config.num_workers = workers
    whole = ToyModel()
    saving = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    trainer(max_epochs=3, callbacks=[saving], enable_checkpointing=True).fit(
        whole, MatterTuneDataModule(config)
    )
    expected = whole.seen["train"]
    for step in (1, 2, 3, 4, 6):  # 3 and 6 end an epoch
        resumed = ToyModel()
        path = tmp_path / f"step={step}.ckpt"
        trainer(max_epochs=3).fit(resumed, MatterTuneDataModule(config), ckpt_path=path)
        assert resumed.seen["train"] == expected[step:], step
        assert torch.equal(resumed.offsets.weight, whole.offsets.weight), step


def test_checkpoints_hold_the_config_as_plain_data(config, tmp_path):
    saving = ModelCheckpoint(tmp_path, filename="model")
    trainer(max_epochs=1, callbacks=[saving], enable_checkpointing=True).fit(
        ToyModel(), MatterTuneDataModule(config)
    )
    state = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert state["datamodule_hyper_parameters"] == config.to_dict()


def test_overfitting_a_few_batches_is_possible(config):
    model = ToyModel()
    trainer(max_epochs=1, overfit_batches=2).fit(model, MatterTuneDataModule(config))
    assert len(frames(model, "train")) == 2


def test_a_test_set_that_is_not_there_is_named(copper_xyz):
    config = AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src=copper_xyz))
    with pytest.raises(DataError, match=r"no 'test' set, only train, validation\. Set test_split"):
        trainer().test(ToyModel(), MatterTuneDataModule(config))


def test_loaders_need_a_trainer(config):
    data = MatterTuneDataModule(config)
    data.setup("fit")
    with pytest.raises(RuntimeError, match="belongs to no trainer yet"):
        data.train_dataloader()


def test_two_processes_divide_the_data_under_a_plain_ddp_trainer(copper_xyz, tmp_path):
    script = Path(__file__).with_name("toy_model.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [sys.executable, str(script), str(copper_xyz), str(tmp_path)],
        check=True,
        env=environment,
        timeout=300,
        capture_output=True,
    )
    kinds, seen = zip(
        *(ast.literal_eval((tmp_path / f"rank{r}.txt").read_text()) for r in (0, 1)), strict=True
    )
    assert set(kinds) == {"FrameBatchSampler"}  # Lightning left our loader as it is

    def shared_out(stage, epoch):
        return [[batch for e, batch in rank.get(stage, []) if e == epoch] for rank in seen]

    for stage, epoch in (("validation", 0), ("validation", 1), ("test", 2), ("predict", 2)):
        parts = shared_out(stage, epoch)
        assert sorted(chain(*chain(*parts))) == [5, 6, 7, 8, 9], stage  # none twice
        assert len(parts[0]) == len(parts[1])
    first, second = shared_out("train", 0), shared_out("train", 1)
    assert first != second
    for parts in (first, second):
        assert set(chain(*chain(*parts))) == {0, 1, 2, 3, 4}
        assert sorted(len(batch) for batch in chain(*parts)) == [1, 1, 2, 2]


def test_a_checkpoint_leaves_a_list_of_structures_to_the_run_s_config(copper, monkeypatch):
    config = AutoSplitDataModuleConfig(dataset=AtomsListDatasetConfig(atoms_list=copper(4)))
    expected = config.to_dict()
    assert len(expected["dataset"].pop("atoms_list")) == 4
    monkeypatch.setattr("mattertune_nb.data.sources.configs.atoms_to_plain", None)
    assert dict(config) == dict(config.items()) == expected
