"""Any logger of Lightning's by its import path, and what is wrong with one in words."""

from __future__ import annotations

import json

import pytest
from lightning.pytorch.loggers.logger import Logger

import mattertune_nb as mt


class LinesLogger(Logger):
    """A logger of somebody's own."""

    def __init__(self, save_dir: str, *, mark: str = "-", tags: list[str] | None = None) -> None:
        super().__init__()
        self.file = open(f"{save_dir}/lines.txt", "a", encoding="utf-8")  # noqa: SIM115, PTH123
        self.mark = mark

    name = "lines"
    version = "0"

    def log_metrics(self, metrics, step=None):
        self.file.write(f"{self.mark}{json.dumps(metrics)}\n")

    def log_hyperparams(self, *args, **kwargs): ...

    def finalize(self, status):
        self.file.close()


PATH = f"{__name__}.LinesLogger"


def test_a_logger_by_its_path_gets_its_arguments_and_the_runs_folder(morse_config):
    config = morse_config(
        max_epochs=1, loggers=[{"type": "imported", "path": PATH, "arguments": {"mark": "* "}}]
    )
    again = mt.MatterTunerConfig.from_yaml_text(config.to_yaml())
    assert again.trainer.loggers == config.trainer.loggers
    run = mt.MatterTuner(again).tune().run
    # one logger wrote, once for each record: none was made for a trial
    lines = (run.path / "lines.txt").read_text().splitlines()
    assert all(line.startswith("* {") for line in lines)
    assert sum("val/forces_mae" in line for line in lines) == 1
    assert not (run.path.parent / "lines.txt").exists()


def test_a_path_alone_is_a_short_form_beside_the_three_names():
    trainer = mt.TrainerConfig(loggers=["csv", PATH, "wandb"])
    assert [type(logger) for logger in trainer.loggers] == [
        mt.CSVLoggerConfig,
        mt.ImportedLoggerConfig,
        mt.WandbLoggerConfig,
    ]
    assert trainer.loggers[1].path == PATH
    with pytest.raises(
        mt.ConfigError, match=r"unknown logger \"mlflow\".*lightning\.pytorch\.loggers"
    ):
        mt.TrainerConfig(loggers=["mlflow"])


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("nowhere.Logger", r"nowhere\.Logger needs a package: No module named 'nowhere'"),
        (
            "lightning.pytorch.loggers.MFLogger",
            r"there is no lightning\.pytorch\.loggers\.MFLogger",
        ),
        ("lightning.pytorch.Trainer", "is not a Lightning logger"),
        (
            {"type": "imported", "path": PATH, "arguments": {"colour": 1}},
            "unexpected keyword.*colour",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(logger, message, morse_config):
    config = morse_config(loggers=[logger])
    with pytest.raises(mt.MatterTuneError, match=message):
        mt.MatterTuner(config).tune()
    assert not config.run.root.exists()
