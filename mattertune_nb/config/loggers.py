"""Settings of Lightning's loggers; the run directory keeps its own record in any case."""

from __future__ import annotations

import inspect
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import ConfigError, MissingExtraError, did_you_mean
from mattertune_nb.config.messages import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger


class _LoggerConfig(StrictConfig):
    """What all loggers share."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Packages, one of which must be installed; the first is also the name of the extra."""

    def require_installed(self) -> None:
        """Raise a :class:`MissingExtraError` with the pip command if the package is missing."""
        if self.packages and all(find_spec(name) is None for name in self.packages):
            extra = self.packages[0]
            msg = f"The {extra} logger needs a package: pip install 'mattertune-nb[{extra}]'."
            raise MissingExtraError(msg)


class _FolderLoggerConfig(_LoggerConfig):
    """What the loggers share that write into a folder."""

    save_dir: Path | None = setting(
        None,
        "Folder; not set: the run's own folder. Set it to keep the records of many runs in one place.",
        label="Folder",
    )
    version: int | str | None = setting(
        None,
        "Folder below `name`; not set: numbered. Set it to find the record by name.",
        label="Version",
    )
    prefix: str = setting(
        "",
        "Put before each metric's name. Set it if several runs write to one record.",
        label="Prefix of metrics",
    )


class CSVLoggerConfig(_FolderLoggerConfig):
    """A table of metrics; :class:`lightning.pytorch.loggers.CSVLogger`."""

    type: Literal["csv"] = setting(
        "csv", "Kind of logger.", label="Kind of logger", options={"csv": "CSV table"}
    )
    name: str = setting(
        "csv", "Folder below `save_dir`. Set it to keep several records apart.", label="Subfolder"
    )
    flush_logs_every_n_steps: int = setting(
        100,
        "Steps between two writes. Lower it to see values sooner, raise it on a slow disk.",
        label="Steps between writes",
        ge=1,
    )

    def create_logger(self, default_dir: Path = Path()) -> CSVLogger:
        """Build the logger; it writes to `default_dir` if the settings name no folder."""
        from lightning.pytorch.loggers import CSVLogger

        return CSVLogger(**self.model_dump(exclude={"type"}) | _place(self.save_dir, default_dir))


class TensorBoardLoggerConfig(_FolderLoggerConfig):
    """Curves for TensorBoard; :class:`lightning.pytorch.loggers.TensorBoardLogger`."""

    packages: ClassVar[tuple[str, ...]] = ("tensorboard", "tensorboardX")

    type: Literal["tensorboard"] = setting(
        "tensorboard",
        "Kind of logger.",
        label="Kind of logger",
        options={"tensorboard": "TensorBoard"},
    )
    name: str = setting(
        "tensorboard",
        "Folder below `save_dir`. Set it to keep several records apart.",
        label="Subfolder",
    )

    def create_logger(self, default_dir: Path = Path()) -> TensorBoardLogger:
        """Build the logger, see CSV's `default_dir`; `MissingExtraError` if tensorboard is missing."""
        self.require_installed()
        from lightning.pytorch.loggers import TensorBoardLogger

        options: Any = self.model_dump(exclude={"type"}) | _place(self.save_dir, default_dir)
        return TensorBoardLogger(**options)


class WandbLoggerConfig(_LoggerConfig):
    """Weights & Biases; :class:`lightning.pytorch.loggers.WandbLogger`."""

    packages: ClassVar[tuple[str, ...]] = ("wandb",)

    type: Literal["wandb"] = setting(
        "wandb", "Kind of logger.", label="Kind of logger", options={"wandb": "Weights & Biases"}
    )
    project: str = setting(
        "mattertune_nb",
        "Project at Weights & Biases. Use the same one for all runs to be compared.",
        label="Project",
        basic=True,
    )
    name: str | None = setting(
        None,
        "Name of the run there; not set: chosen by wandb. Set it to the name of the run to find it by "
        "either.",
        label="Name of the run",
    )
    save_dir: Path | None = setting(
        None,
        "Folder of local files; not set: the run's own folder. Set it if the disk of the run is small.",
        label="Folder",
    )
    offline: bool = setting(
        False,
        "Keep the record local; `wandb sync` uploads it later. Turn it on on machines without a "
        "network.",
        label="Offline",
        basic=True,
    )
    log_model: bool = setting(
        False,
        "Upload checkpoints too. Turn it on to share the model, at some megabytes per run.",
        label="Upload checkpoints",
    )
    prefix: str = setting(
        "",
        "Put before each metric's name. Set it if several runs write to one record.",
        label="Prefix of metrics",
    )
    tags: list[str] = setting(list, "Tags of the run. Set them to filter runs there.", label="Tags")

    def create_logger(self, default_dir: Path = Path()) -> WandbLogger:
        """Build the logger, see CSV's `default_dir`; `MissingExtraError` if wandb is missing."""
        self.require_installed()
        from lightning.pytorch.loggers import WandbLogger

        options: Any = self.model_dump(exclude={"type"}) | _place(self.save_dir, default_dir)
        return WandbLogger(**options)


class ImportedLoggerConfig(_LoggerConfig):
    """Any other logger from Lightning or another package, given by the import path of its class."""

    type: Literal["imported"] = setting(
        "imported",
        "Kind of logger.",
        label="Kind of logger",
        options={"imported": "another, by its import path"},
    )
    path: str = setting(
        ...,
        "Import path of the class, e.g. 'lightning.pytorch.loggers.MLFlowLogger'.",
        label="Import path",
        basic=True,
        pattern=r"^[A-Za-z_]\w*(\.\w+)+$",
        examples=["lightning.pytorch.loggers.MLFlowLogger"],
    )
    arguments: dict[str, Any] = setting(
        dict,
        "Arguments of the class; if it takes a 'save_dir', the default is the run's own folder.",
        label="Arguments",
        basic=True,
    )

    def require_installed(self) -> None:
        """Refuse a class that does not exist, is not a logger, or does not accept the arguments.

        Raises
        ------
        MissingExtraError
            A package is missing.
        ConfigError
            Any other problem.
        """
        self._checked(Path())

    def create_logger(self, default_dir: Path = Path()) -> Logger:
        """Build the logger, see CSV's `default_dir`."""
        kind, arguments = self._checked(default_dir)
        try:
            return kind(**arguments)
        except ModuleNotFoundError as exc:
            raise _missing(self.path, exc) from exc

    def _checked(self, default_dir: Path) -> tuple[Callable[..., Logger], dict[str, Any]]:
        """Return the class and its arguments."""
        kind = _logger_class(self.path)
        signature = inspect.signature(kind)
        place = {"save_dir": str(default_dir)} if "save_dir" in signature.parameters else {}
        arguments = place | self.arguments
        try:
            signature.bind(**arguments)
        except TypeError as exc:
            msg = f"trainer.loggers: {self.path} cannot be made with these arguments: {exc}."
            raise ConfigError(msg) from exc
        return kind, arguments


def _logger_class(path: str) -> type[Logger]:
    from lightning.pytorch.loggers import Logger

    try:
        kind = pkgutil.resolve_name(path)
    except ModuleNotFoundError as exc:
        raise _missing(path, exc) from exc
    except (ImportError, AttributeError) as exc:
        msg = f"trainer.loggers: there is no {path} ({exc}). Check the path."
        raise ConfigError(msg) from exc
    if not isinstance(kind, type) or not issubclass(kind, Logger):
        msg = f"trainer.loggers: {path} is not a Lightning logger."
        raise ConfigError(msg)
    return kind


def _missing(path: str, exc: ModuleNotFoundError) -> MissingExtraError:
    return MissingExtraError(
        f"trainer.loggers: {path} needs a package: {' '.join(str(exc).split())}."
    )


LoggerConfig = Annotated[
    CSVLoggerConfig | TensorBoardLoggerConfig | WandbLoggerConfig | ImportedLoggerConfig,
    Field(discriminator="type"),
]

_BY_NAME: dict[str, type[CSVLoggerConfig | TensorBoardLoggerConfig | WandbLoggerConfig]] = {
    "csv": CSVLoggerConfig,
    "tensorboard": TensorBoardLoggerConfig,
    "wandb": WandbLoggerConfig,
}


def logger_from_string(name: str) -> LoggerConfig:
    """Return the default config of a logger by its short name, or by the import path of its class."""
    if name in _BY_NAME:
        return _BY_NAME[name]()
    if "." in name:
        return ImportedLoggerConfig(path=name)
    hint = did_you_mean(name, _BY_NAME)
    msg = (
        f"unknown logger {shown(name)}.{hint} Allowed: {', '.join(_BY_NAME)}, or the import path of any of "
        "Lightning's, e.g. lightning.pytorch.loggers.MLFlowLogger"
    )
    raise ValueError(msg)


def _place(save_dir: Path | None, default_dir: Path) -> dict[str, str]:
    return {"save_dir": str(save_dir or default_dir)}
