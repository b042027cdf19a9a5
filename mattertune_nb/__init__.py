"""Fine-tune atomistic foundation models from a notebook, Python or a shell.

Public names are loaded on first use, so that importing the package costs next to nothing and a form
can be shown before torch is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES: dict[str, tuple[str, ...]] = {
    "config.errors": (
        "ConfigError",
        "DataError",
        "MatterTuneError",
        "MissingExtraError",
        "RunError",
        "TrainingError",
    ),
    "config.callbacks": ("EMAConfig", "EarlyStoppingConfig", "ModelCheckpointConfig"),
    "config.loggers": ("CSVLoggerConfig", "TensorBoardLoggerConfig", "WandbLoggerConfig"),
    "config.optim": (
        "AdamConfig",
        "AdamWConfig",
        "SGDConfig",
    ),
    "config.run": ("RunConfig",),
    "config.schedules": (
        "ConstantLRConfig",
        "CosineAnnealingLRConfig",
        "ExponentialConfig",
        "LinearLRConfig",
        "MultiStepLRConfig",
        "ReduceOnPlateauConfig",
        "StepLRConfig",
    ),
    "config.task": (
        "EnergyPropertyConfig",
        "ForcesPropertyConfig",
        "HuberLossConfig",
        "L2MAELossConfig",
        "MAELossConfig",
        "MSELossConfig",
        "MeanStdNormalizerConfig",
        "PerAtomReferencingNormalizerConfig",
        "RMSNormalizerConfig",
        "StressesPropertyConfig",
    ),
    "config.trainer": ("TrainerConfig",),
    "data.datasets": ("AtomsListDatasetConfig", "DBDatasetConfig", "XYZDatasetConfig"),
    "data.splits": ("AutoSplitDataModuleConfig", "ManualSplitDataModuleConfig"),
    "data.module": ("MatterTuneDataModule",),
    "backbones.base": ("BackboneConfig",),
    "backbones.backbone": ("Backbone",),
    "backbones.chgnet": ("CHGNetBackboneConfig",),
    "backbones.sevennet": ("SevenNetBackboneConfig",),
    "model.module": ("FinetuneModuleBase",),
    "model.optim": ("create_optimizer",),
    "calculator": ("MatterTuneCalculator", "PropertyPredictor"),
    "training.background": ("Run",),
    "training.config": ("MatterTunerConfig",),
    "training.estimate": ("Estimate", "estimate"),
    "training.tuner": ("MatterTuner", "TuneResult"),
    "widgets.forms.trainer_form": ("TrainerForm",),
    "widgets.forms.tuner_form": ("TunerForm",),
    "widgets.live.live": ("LiveCurves",),
    "widgets.live.compare": ("compare",),
    "widgets.live.runs": ("runs",),
    "widgets.views.view": ("view",),
    "widgets.views.explore": ("explore",),
    "widgets.views.parity": ("parity",),
    "widgets.views.before_after": ("before_after",),
    "demo": ("demo_config", "demo_data"),
}

_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [*sorted(_PLACES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
