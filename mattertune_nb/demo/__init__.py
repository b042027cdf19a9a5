"""The bundled data, ethanol at 600 K with GFN2-xTB labels, and the run that uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mattertune_nb.backbones.chgnet.config import CHGNetBackboneConfig
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
from mattertune_nb.data.sources.configs import XYZDatasetConfig
from mattertune_nb.training.config import MatterTunerConfig

Split = Literal["train", "validation", "test"]


def demo_data(split: Split) -> Path:
    """Return the bundled file with frames for training, validation or test.

    Each comes from separate trajectories: two of 80 frames for training, one of 40 for choosing the best
    weights, one of 60 that is never seen in training.

    Parameters
    ----------
    split
        ``"train"``, ``"validation"`` or ``"test"``.
    """
    return Path(__file__).parent / f"ethanol_{split}.xyz"


def demo_config(root: Path = Path("runs"), name: str | None = None) -> MatterTunerConfig:
    """Return the config of the demo: CHGNet on ethanol, a few minutes on two cores.

    Parameters
    ----------
    root
        Folder of the runs.
    name
        Name of the run; by default made from the time and the backbone.
    """
    return MatterTunerConfig(
        model=CHGNetBackboneConfig(),
        data=ManualSplitDataModuleConfig(
            train=XYZDatasetConfig(src=demo_data("train")),
            validation=XYZDatasetConfig(src=demo_data("validation")),
            test=XYZDatasetConfig(src=demo_data("test")),
            batch_size=16,
        ),
        trainer=TrainerConfig(max_epochs=32, accelerator="cpu", log_every_n_steps=5),
        run=RunConfig(root=root, name=name),
    )
