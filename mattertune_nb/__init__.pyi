"""Public names and where they live: loaded on first use, and known to type checkers and editors."""

from .backbones.backbone import Backbone as Backbone
from .backbones.base import BackboneConfig as BackboneConfig
from .backbones.chgnet.config import CHGNetBackboneConfig as CHGNetBackboneConfig
from .backbones.fairchem.config import FairchemBackboneConfig as FairchemBackboneConfig
from .backbones.mace.config import MACEBackboneConfig as MACEBackboneConfig
from .backbones.matgl.config import MatGLBackboneConfig as MatGLBackboneConfig
from .backbones.mattersim.config import MatterSimBackboneConfig as MatterSimBackboneConfig
from .backbones.nequip.config import (
    AllegroBackboneConfig as AllegroBackboneConfig,
    NequIPBackboneConfig as NequIPBackboneConfig,
)
from .backbones.orb.config import (
    ORBBackboneConfig as ORBBackboneConfig,
    ORBDirectBackboneConfig as ORBDirectBackboneConfig,
)
from .backbones.pet.config import PETBackboneConfig as PETBackboneConfig
from .backbones.sevennet.config import SevenNetBackboneConfig as SevenNetBackboneConfig
from .calculator import MatterTuneCalculator as MatterTuneCalculator
from .config.callbacks import (
    EarlyStoppingConfig as EarlyStoppingConfig,
    EMAConfig as EMAConfig,
    ModelCheckpointConfig as ModelCheckpointConfig,
)
from .config.cosine_schedules import (
    CosineAnnealingLRConfig as CosineAnnealingLRConfig,
    CosineAnnealingWarmRestartsConfig as CosineAnnealingWarmRestartsConfig,
    OneCycleLRConfig as OneCycleLRConfig,
)
from .config.errors import (
    ConfigError as ConfigError,
    DataError as DataError,
    MatterTuneError as MatterTuneError,
    MissingExtraError as MissingExtraError,
    RunError as RunError,
    TrainingError as TrainingError,
)
from .config.loggers import (
    CSVLoggerConfig as CSVLoggerConfig,
    ImportedLoggerConfig as ImportedLoggerConfig,
    TensorBoardLoggerConfig as TensorBoardLoggerConfig,
    WandbLoggerConfig as WandbLoggerConfig,
)
from .config.optim import (
    AdamConfig as AdamConfig,
    AdamWConfig as AdamWConfig,
    SGDConfig as SGDConfig,
)
from .config.own_properties import (
    AtomPropertyConfig as AtomPropertyConfig,
    GraphPropertyConfig as GraphPropertyConfig,
    VectorPropertyConfig as VectorPropertyConfig,
)
from .config.recipes import (
    EWCConfig as EWCConfig,
    ForeignSetConfig as ForeignSetConfig,
    L2SPConfig as L2SPConfig,
    LoRAConfig as LoRAConfig,
    ReplayConfig as ReplayConfig,
    UnfreezingConfig as UnfreezingConfig,
)
from .config.run import RunConfig as RunConfig
from .config.schedule_kinds import (
    ConstantLRConfig as ConstantLRConfig,
    ExponentialConfig as ExponentialConfig,
    LinearLRConfig as LinearLRConfig,
    MultiStepLRConfig as MultiStepLRConfig,
    ReduceOnPlateauConfig as ReduceOnPlateauConfig,
    StepLRConfig as StepLRConfig,
)
from .config.task import (
    EnergyPropertyConfig as EnergyPropertyConfig,
    ForcesPropertyConfig as ForcesPropertyConfig,
    HuberLossConfig as HuberLossConfig,
    L2MAELossConfig as L2MAELossConfig,
    MAELossConfig as MAELossConfig,
    MeanStdNormalizerConfig as MeanStdNormalizerConfig,
    MSELossConfig as MSELossConfig,
    PerAtomReferencingNormalizerConfig as PerAtomReferencingNormalizerConfig,
    RMSNormalizerConfig as RMSNormalizerConfig,
    StressesPropertyConfig as StressesPropertyConfig,
)
from .config.trainer import TrainerConfig as TrainerConfig
from .config.units import LabelUnitsConfig as LabelUnitsConfig
from .data.division.manual_split import ManualSplitDataModuleConfig as ManualSplitDataModuleConfig
from .data.division.splits import AutoSplitDataModuleConfig as AutoSplitDataModuleConfig
from .data.module import MatterTuneDataModule as MatterTuneDataModule
from .data.sources.configs import (
    AtomsListDatasetConfig as AtomsListDatasetConfig,
    DBDatasetConfig as DBDatasetConfig,
    XYZDatasetConfig as XYZDatasetConfig,
)
from .data.sources.matbench import MatbenchDatasetConfig as MatbenchDatasetConfig
from .data.sources.materials_project import MPDatasetConfig as MPDatasetConfig
from .data.sources.open_dataset import open_dataset as open_dataset
from .demo import (
    demo_config as demo_config,
    demo_data as demo_data,
)
from .doctor.check import check as check
from .model.ensemble import Ensemble as Ensemble
from .model.module import FinetuneModuleBase as FinetuneModuleBase
from .model.optim import create_optimizer as create_optimizer
from .predictor import PropertyPredictor as PropertyPredictor
from .recipes.ewc import EWC as EWC
from .recipes.foreign import ForeignMonitor as ForeignMonitor
from .recipes.l2_sp import L2SP as L2SP
from .recipes.replay import Replay as Replay
from .recipes.unfreezing import GradualUnfreezing as GradualUnfreezing
from .recipes.walls import WallMonitor as WallMonitor
from .training.config import MatterTunerConfig as MatterTunerConfig
from .training.ensemble import (
    EnsembleRun as EnsembleRun,
    ensemble as ensemble,
)
from .training.estimate.estimate import (
    Estimate as Estimate,
    estimate as estimate,
)
from .training.estimate.finders import (
    find_batch_size as find_batch_size,
    find_lr as find_lr,
)
from .training.learning_curve import (
    LearningCurve as LearningCurve,
    learning_curve as learning_curve,
)
from .training.result import TuneResult as TuneResult
from .training.runs.run import Run as Run
from .training.selection import (
    Selection as Selection,
    select as select,
)
from .training.tuner import (
    MatterTuner as MatterTuner,
)
from .widgets.forms.trainer_form import TrainerForm as TrainerForm
from .widgets.forms.tuner_form import TunerForm as TunerForm
from .widgets.live.compare import compare as compare
from .widgets.live.live import LiveCurves as LiveCurves
from .widgets.live.runs import runs as runs
from .widgets.views.before_after import before_after as before_after
from .widgets.views.explore import explore as explore
from .widgets.views.parity import parity as parity
from .widgets.views.view import view as view

__version__: str
