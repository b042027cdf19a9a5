"""Every snippet of the Lightning guide, run: one test a heading, in the guide's order.

Only its ``...`` are filled in, and hardware that a test machine lacks is replaced: two processes on
the CPU stand for two GPUs, and bfloat16 for float16.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from toy_backbone import MorseBackboneConfig
from typing_extensions import override

import mattertune_nb as mt
from mattertune_nb import (
    EarlyStoppingConfig,
    FinetuneModuleBase,
    MatterTuneDataModule,
    ModelCheckpointConfig,
    TrainerConfig,
    create_optimizer,
)


@pytest.fixture
def data():
    """Return a data module config of ten labelled frames of copper, two of them for testing."""
    frames = []
    for seed in range(10):
        atoms = bulk("Cu", cubic=True, a=3.65)
        atoms.rattle(0.08, seed=seed)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return mt.ManualSplitDataModuleConfig(
        train=mt.AtomsListDatasetConfig(atoms_list=frames[:5]),
        validation=mt.AtomsListDatasetConfig(atoms_list=frames[5:8]),
        test=mt.AtomsListDatasetConfig(atoms_list=frames[8:]),
        batch_size=2,
    )


@pytest.fixture
def model():
    """Return the config of a model that three steps change."""
    return MorseBackboneConfig(optimizer=mt.AdamWConfig(lr=0.02), lr_scheduler=None)


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """Return Trainer arguments for a machine without a GPU; files go to the current folder."""
    monkeypatch.chdir(tmp_path)
    return {
        "accelerator": "cpu",
        "max_epochs": 2,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }


def metrics_of(trainer: Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


# -- Core components -----------------------------------------------------------------------------


class GuideModule(FinetuneModuleBase):
    """The steps as the guide writes them out."""

    def training_step(self, batch, batch_idx):
        output = self(batch)
        return self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    def validation_step(self, batch, batch_idx):
        output = self(batch)
        self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    def test_step(self, batch, batch_idx):
        output = self(batch)
        self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    def configure_optimizers(self):
        return create_optimizer(self.hparams.optimizer, self.parameters())


class GuideDataModule(MatterTuneDataModule):
    """The data module as the guide writes it out."""

    def prepare_data(self):
        # Download data if needed
        pass

    def setup(self, stage):
        # Create train/val/test splits
        self.datasets = self.hparams.create_datasets()

    def train_dataloader(self):
        return self.lightning_module.create_dataloader(self.datasets["train"], has_labels=True)

    def val_dataloader(self):
        return self.lightning_module.create_dataloader(self.datasets["validation"], has_labels=True)


def test_lightning_module_and_data_module(model, data, quiet):
    assert issubclass(FinetuneModuleBase, LightningModule)
    assert issubclass(MatterTuneDataModule, LightningDataModule)
    found = []
    for module_class, data_class in [
        (GuideModule, GuideDataModule),
        (FinetuneModuleBase, MatterTuneDataModule),
    ]:
        torch.manual_seed(0)
        trainer = Trainer(**quiet, logger=False, enable_checkpointing=False)
        module, datamodule = module_class(model), data_class(data)
        trainer.fit(module, datamodule=datamodule)
        fitted = metrics_of(trainer)
        (tested,) = trainer.test(module, datamodule, verbose=False)
        found.append((fitted, tested, module.baseline))
    # the guide's steps are ours: the same numbers, baseline and references
    assert found[0] == found[1]
    assert found[0][0]["val/forces_mae"] < found[0][2]["baseline/forces_mae"]


# -- Key features --------------------------------------------------------------------------------


def test_checkpoint_management(model, data, quiet, morse_installed):
    checkpoint_callback = ModelCheckpointConfig(
        monitor="val/forces_mae",
        dirpath="./checkpoints",
        filename="best-model",
        save_top_k=1,
        mode="min",
    ).create_callback()
    assert type(checkpoint_callback) is ModelCheckpoint

    trainer = Trainer(callbacks=[checkpoint_callback], **quiet)
    module = FinetuneModuleBase(model)
    trainer.fit(module, datamodule=MatterTuneDataModule(data))

    assert [p.name for p in Path("checkpoints").iterdir()] == ["best-model.ckpt"]
    best = FinetuneModuleBase.load_from_checkpoint("checkpoints/best-model.ckpt")
    (values,) = Trainer(**quiet, logger=False).validate(
        best, MatterTuneDataModule(data), verbose=False
    )
    assert values["val/forces_mae"] == pytest.approx(float(checkpoint_callback.best_model_score))
    (again,) = trainer.test(ckpt_path="best", datamodule=MatterTuneDataModule(data), verbose=False)
    assert again["test/forces_mae"] > 0


def test_early_stopping(model, data, quiet):
    early_stopping = EarlyStoppingConfig(
        monitor="val/forces_mae", patience=20, mode="min"
    ).create_callback()
    assert type(early_stopping) is EarlyStopping
    assert early_stopping.patience == 20

    hopeless = EarlyStoppingConfig(monitor="val/forces_mae", patience=1, min_delta=100.0)
    for callback, epochs in [(early_stopping, 4), (hopeless.create_callback(), 2)]:
        early_stopping = callback
        trainer = Trainer(callbacks=[early_stopping], **quiet | {"max_epochs": 4})
        trainer.fit(FinetuneModuleBase(model), datamodule=MatterTuneDataModule(data))
        assert trainer.current_epoch == epochs


def test_multi_gpu_training(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys
from lightning.pytorch import Trainer
from toy_backbone import MorseBackboneConfig
import mattertune_nb as mt

if __name__ == "__main__":
    data = mt.ManualSplitDataModuleConfig(
        train=mt.XYZDatasetConfig(src=sys.argv[1], index=":4"),
        validation=mt.XYZDatasetConfig(src=sys.argv[1], index="4:"),
        batch_size=2,
    )
    # Multiple GPUs with DDP; gloo on the CPU in their place
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, logger=False)
    module = mt.FinetuneModuleBase(MorseBackboneConfig())
    trainer.fit(module, datamodule=mt.MatterTuneDataModule(data))
    if trainer.global_rank == 0:
        print("FORCES", float(trainer.callback_metrics["val/forces_mae"]))
"""
    )
    from ase.io import write

    frames = []
    for seed in range(9):
        atoms = bulk("Cu", cubic=True, a=3.65)
        atoms.rattle(0.08, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    write(tmp_path / "a.xyz", frames)
    environment = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(mt.__file__).parents[1]}"}
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "a.xyz")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r"FORCES 0\.\d+", run.stdout)


class Logs(FinetuneModuleBase):
    def training_step(self, batch, batch_idx):
        output = self(batch)
        loss = self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))
        labels, predicted = self.batch_to_labels(batch), output["predicted_properties"]
        energy_mae = (predicted["energy"] - labels["energy"]).abs().mean()
        forces_mae = (predicted["forces"] - labels["forces"]).abs().mean()
        self.log("train_loss", loss)
        self.log_dict({"energy_mae": energy_mae, "forces_mae": forces_mae})
        return loss


def test_logging(model, data, quiet):
    trainer = Trainer(**quiet, logger=False)
    trainer.fit(Logs(model), datamodule=MatterTuneDataModule(data))
    values = metrics_of(trainer)
    assert values["train_loss"] == pytest.approx(values["train/total_loss"])
    assert {"energy_mae", "forces_mae"} < set(values)
    # our own are still there
    assert {"train/energy_loss", "train/forces_loss", "val/forces_mae", "val/energy_rmse"} < set(
        values
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precision_settings(model, data, quiet, precision):
    trainer = Trainer(precision=precision, **quiet, logger=False)
    module = FinetuneModuleBase(model)
    trainer.fit(module, datamodule=MatterTuneDataModule(data))
    assert metrics_of(trainer)["val/forces_mae"] < module.baseline["baseline/forces_mae"]


# -- Available Trainer configurations ------------------------------------------------------------


def test_trainer_config(model, data, quiet, tmp_path):
    trainer_config = TrainerConfig(
        # Hardware
        accelerator="gpu",
        devices=[0, 1],
        precision="16-mixed",
        # Training
        max_epochs=100,
        gradient_clip_val=1.0,
        # Validation
        val_check_interval=1.0,
        check_val_every_n_epoch=1,
        # Callbacks
        early_stopping=EarlyStoppingConfig(monitor="val/forces_mae"),
        checkpoint=ModelCheckpointConfig(monitor="val/forces_mae"),
        # Logging
        loggers=["tensorboard", "wandb"],
    )
    config = mt.MatterTunerConfig(
        model=model, data=data, trainer=trainer_config, run=mt.RunConfig(root=tmp_path / "runs")
    )
    assert [type(logger) for logger in trainer_config.loggers] == [
        mt.TensorBoardLoggerConfig,
        mt.WandbLoggerConfig,
    ]
    # valid and saveable anywhere; only starting it needs the hardware
    if not torch.cuda.is_available():
        with pytest.raises(mt.TrainingError, match=r"trainer\.accelerator: 'gpu' needs a GPU"):
            mt.MatterTuner(config).tune()
        assert not (tmp_path / "runs").exists()

    pytest.importorskip("tensorboard")
    here = trainer_config.model_copy(
        update={
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "max_epochs": 2,
            "loggers": TrainerConfig(loggers=["tensorboard", "csv"]).loggers,
        }
    )
    _, trainer = mt.MatterTuner(config.model_copy(update={"trainer": here})).tune()
    assert trainer.gradient_clip_val == 1.0
    assert trainer.early_stopping_callback.monitor == "val/forces_mae"
    assert trainer.checkpoint_callback.monitor == "val/forces_mae"
    run = Path(trainer.default_root_dir)
    assert list(run.rglob("events.out.tfevents*"))
    assert list(run.rglob("metrics.csv"))


# -- Advanced usage ------------------------------------------------------------------------------


class Custom(FinetuneModuleBase):
    # Custom training loop
    @override
    def training_step(self, batch, batch_idx):
        if self.trainer.global_rank == 0:
            # Do something only on main process
            self.seen = [*getattr(self, "seen", []), batch_idx]

        # Access trainer properties
        if self.trainer.is_last_batch:
            # Special handling for last batch
            self.last_batches = [*getattr(self, "last_batches", []), batch_idx]
        return super().training_step(batch, batch_idx)

    # Custom validation, by the name that Lightning 2 calls
    @override
    def on_validation_epoch_end(self):
        # Compute epoch-level metrics
        self.epochs = getattr(self, "epochs", 0) + 1


def test_custom_steps(model, data, quiet):
    trainer = Trainer(**quiet, logger=False)
    module = Custom(model)
    trainer.fit(module, datamodule=MatterTuneDataModule(data))
    assert module.seen == [0, 1, 2] * 2
    assert module.last_batches == [2, 2]
    assert module.epochs == 3  # the sanity check, and two epochs
    assert "val/forces_mae" in metrics_of(trainer)


def test_a_hook_that_lightning_dropped_is_refused_with_its_new_name():
    with pytest.raises(mt.ConfigError, match=r"name it 'on_validation_epoch_end\(self\)'"):

        class Old(FinetuneModuleBase):
            @override
            def validation_epoch_end(self, outputs):
                # Compute epoch-level metrics
                pass


def test_a_tuner_takes_the_same_subclass_and_callbacks(model, data, quiet, tmp_path):
    config = mt.MatterTunerConfig(
        model=model,
        data=data,
        trainer=TrainerConfig(max_epochs=2, accelerator="cpu"),
        run=mt.RunConfig(root=tmp_path / "runs"),
    )
    callback = EarlyStoppingConfig(monitor="train_loss", min_delta=100.0, patience=0)
    result = mt.MatterTuner(config, module_class=Logs).tune(callbacks=[callback.create_callback()])
    assert type(result.model) is Logs
    assert result == (result.model, result.trainer)
    assert result.trainer.current_epoch == 2


STANDS_IN = (
    "# ",
    "class ",
    "accelerator=",
    "devices=",
    "precision=",
    "...",
    "validation_epoch_end",
)


def test_the_guide_has_no_line_of_code_that_is_not_run_here():
    guide = Path(__file__).parents[2] / "shared" / "reference" / "lightning_guide.md"
    if not guide.is_file():
        pytest.skip("the guide is not on this machine")
    ours = _bare(Path(__file__).read_text(encoding="utf-8"))
    for snippet in re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.S):
        for line in snippet.splitlines():
            if not any(word in line for word in STANDS_IN):
                assert _bare(line) in ours, line


def _bare(code: str) -> str:
    """Return code without what a formatter may change."""
    return re.sub(r"[\s,()]", "", code)
