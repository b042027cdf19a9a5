"""Fine-tune from a config: make the run directory, train, and return the best model."""

from __future__ import annotations

import contextlib
import logging
import os
import pkgutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_only

from mattertune_nb.config.errors import ConfigError, MatterTuneError, RunError
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.data.validation import check_dataset
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.background import Run, start_run
from mattertune_nb.training.checkpoints import WholeCheckpointIO, newest_whole_checkpoint
from mattertune_nb.training.files import write_json
from mattertune_nb.training.hardware import accelerator_here, check_hardware
from mattertune_nb.training.recording import RunLogger
from mattertune_nb.training.run_dir import RunDirectory, State
from mattertune_nb.training.supervisor import RunStopped, RunSupervisor, StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mattertune_nb.training.config import MatterTunerConfig


log = logging.getLogger(__name__)

_RUN_VARIABLE = "MATTERTUNE_NB_RUN"
"""Tells the processes that Lightning starts for a distributed run which directory to join."""


class TuneResult(NamedTuple):
    """The tuned model, with the best weights by the monitor, and the Trainer that made it."""

    model: FinetuneModuleBase
    trainer: Trainer


class MatterTuner:
    """Fine-tunes a pretrained model as a config says.

    Parameters
    ----------
    config
        Settings of model, data, trainer and run.
    module_class
        A subclass of :class:`FinetuneModuleBase` with a user's own steps; not given: the one that
        ``config.run.module_class`` names, or :class:`FinetuneModuleBase` itself.
    """

    def __init__(
        self,
        config: MatterTunerConfig,
        *,
        module_class: type[FinetuneModuleBase] | None = None,
    ) -> None:
        self.module_class = module_class or _resolve(config.run.module_class)
        self.config = _with_module_class(config, self.module_class)

    def tune(self, callbacks: Sequence[Callback] = ()) -> TuneResult:
        """Train in a new run directory, ``runs/<name>``.

        An interrupted run (Ctrl-C, SIGTERM, a stop file) returns as well, with state ``stopped`` in
        its status file.

        Parameters
        ----------
        callbacks
            Further Lightning callbacks.

        Returns
        -------
        TuneResult
            ``model`` with the best weights by ``trainer.checkpoint.monitor``, and ``trainer``.

        Raises
        ------
        MatterTuneError
            Before anything is written, where config, data or this machine do not allow the run;
            during the run, where the loss becomes NaN.
        """
        self._check(callbacks)
        module, data = self._prepare()
        run, config = _create_or_join(self.config)
        return self._fit(run, config, module, data, callbacks, None)

    def start(self) -> Run:
        """Train in a process of its own and return at once; the kernel stays free.

        Several devices are used from a notebook this way.

        Raises
        ------
        MatterTuneError
            Before anything is written, where config or this machine do not allow the run, or the
            module class cannot be imported by another process.
        """
        name = self.config.run.module_class
        if self.module_class is not FinetuneModuleBase and name is None:
            msg = (
                f"{self.module_class.__name__} is defined in the notebook or script itself, where another "
                "process cannot import it. Move it to a file of its own, or use tune()."
            )
            raise RunError(msg)
        return start_run(self.config)

    def resume(
        self, run: RunDirectory | str | Path, callbacks: Sequence[Callback] = ()
    ) -> TuneResult:
        """Go on with a run from its newest whole checkpoint, or from the start if there is none.

        Raises
        ------
        RunError
            Where another process is training the run.
        """
        self._check(callbacks)
        if not isinstance(run, RunDirectory):
            run = RunDirectory.open(run)
        if _rank() == 0:  # the others train with it
            run.claim()
        try:
            module, data = self._prepare()
        except MatterTuneError as exc:
            run.write_status("failed", error=str(exc))
            raise
        checkpoint = newest_whole_checkpoint(run)
        if checkpoint is None:
            run.append_metrics("resumed", 0, -1, {})
        return self._fit(run, self.config, module, data, callbacks, checkpoint)

    def _check(self, callbacks: Sequence[Callback]) -> None:
        check_hardware(self.config.trainer)
        for logger in self.config.trainer.loggers:
            logger.require_installed()
        # a user's module or callback may log what is watched
        own = [c for c in callbacks if not isinstance(c, ProgressBar)]
        if self.module_class is FinetuneModuleBase and not own:
            self.config.check_monitors()

    def _prepare(self) -> tuple[FinetuneModuleBase, MatterTuneDataModule]:
        """Read and check data before anything is written."""
        seed_everything(self.config.run.seed, workers=True, verbose=False)
        data = MatterTuneDataModule(self.config.data)
        data.prepare_data()
        data.setup("fit")
        module = self.module_class(self.config.model)
        required = {p.name: p.missing for p in self.config.model.properties}
        for dataset in data.datasets.values():
            check_dataset(dataset, required, module.backbone.elements)
        return module, data

    def _fit(
        self,
        run: RunDirectory,
        config: MatterTunerConfig,
        module: FinetuneModuleBase,
        data: MatterTuneDataModule,
        callbacks: Sequence[Callback],
        checkpoint: Path | None,
    ) -> TuneResult:
        stop = StopRequest(run)
        state: State = "finished"
        with stop.catching_signals(), _logging_to(run.log_file), warnings.catch_warnings():
            _quiet_lightning()
            try:
                trainer = build_trainer(run, config, stop, callbacks)
                if trainer.is_global_zero:
                    write_json(run.splits_file, data.split_indices())
                trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            except RunStopped:
                state = "stopped"
            except BaseException as exc:
                log.exception("The run failed.")
                status = run.status()
                _write_status(
                    run, "failed", status.epoch, status.step, f"{type(exc).__name__}: {exc}"
                )
                raise
        _write_status(run, state, trainer.current_epoch, trainer.global_step)
        return TuneResult(_with_best_weights(module, run), trainer)


def build_trainer(
    run: RunDirectory,
    config: MatterTunerConfig,
    stop: StopRequest,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """Build Lightning's Trainer with the record, the checkpoints and the supervisor of a run."""
    settings = config.trainer
    own: list[Callback] = [LearningRateMonitor(logging_interval="step")]
    if settings.checkpoint.dirpath is not None or settings.checkpoint.filename is not None:
        own.append(settings.checkpoint.create_callback(run.checkpoints))
    if settings.early_stopping is not None:
        own.append(settings.early_stopping.create_callback())
    if settings.ema is not None:
        own.append(settings.ema.create_callback())
    best = ModelCheckpoint(
        dirpath=run.checkpoints,
        filename=run.best.stem,
        monitor=settings.checkpoint.monitor,
        mode=settings.checkpoint.mode,
        enable_version_counter=False,
    )
    # the supervisor comes last, so that `last` holds what all others have decided
    own += [best, RunSupervisor(run, stop, config.run.save_every)]
    kwargs: dict[str, Any] = {
        "logger": [RunLogger(run), *settings.create_loggers(run.path)],
        "default_root_dir": run.path,
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
        "enable_model_summary": False,
    } | settings.trainer_kwargs()
    kwargs["accelerator"] = accelerator_here(settings)
    kwargs["plugins"] = [WholeCheckpointIO(), *kwargs.get("plugins", [])]
    return Trainer(**kwargs, callbacks=[*callbacks, *own])


def _resolve(name: str | None) -> type[FinetuneModuleBase]:
    if name is None:
        return FinetuneModuleBase
    try:
        module_class = pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as exc:
        msg = f"run.module_class: '{name}' cannot be imported ({exc})."
        raise ConfigError(msg) from exc
    if not (isinstance(module_class, type) and issubclass(module_class, FinetuneModuleBase)):
        msg = f"run.module_class: '{name}' is not a subclass of FinetuneModuleBase."
        raise ConfigError(msg)
    return module_class


def _with_module_class(
    config: MatterTunerConfig, module_class: type[FinetuneModuleBase]
) -> MatterTunerConfig:
    """Name an importable subclass in the config, so that another process can resume the run."""
    name = f"{module_class.__module__}:{module_class.__qualname__}"
    importable = module_class.__module__ != "__main__" and "<locals>" not in name
    if module_class is FinetuneModuleBase or not importable:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"module_class": name})})


def _create_or_join(config: MatterTunerConfig) -> tuple[RunDirectory, MatterTunerConfig]:
    """Make the run's directory, or find the one that the first process of a distributed run made."""
    if _rank() == 0:
        run, config = RunDirectory.create(config)
        os.environ[_RUN_VARIABLE] = str(run.path.absolute())
        return run, config
    if _RUN_VARIABLE in os.environ:
        path = Path(os.environ[_RUN_VARIABLE])
    elif config.run.name is not None:
        path = config.run.root / config.run.name
    else:
        msg = "run.name: give the run a name, so that all processes of the job find its directory."
        raise RunError(msg)
    return RunDirectory(path), config


def _rank() -> int:
    """Return which process of a distributed run this is; known before a Trainer exists."""
    return int(getattr(rank_zero_only, "rank", 0))


def _with_best_weights(module: FinetuneModuleBase, run: RunDirectory) -> FinetuneModuleBase:
    if run.best.is_file():
        module.load_state_dict(read_checkpoint(run.best)["state_dict"])
    return module.eval()


@rank_zero_only
def _write_status(
    run: RunDirectory, state: State, epoch: int, step: int, error: str | None = None
) -> None:
    os.environ.pop(_RUN_VARIABLE, None)
    run.write_status(state, epoch=epoch, step=step, error=error)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send what Lightning and this package say to the run's log; the first process speaks for all."""
    handler: logging.Handler = logging.NullHandler()
    if _rank() == 0:
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    loggers = [
        logging.getLogger(name) for name in ("mattertune_nb", "lightning.pytorch", "py.warnings")
    ]
    before = [(logger.level, logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()


def _quiet_lightning() -> None:
    """Drop advice of Lightning's that does not hold here."""
    for message in (
        ".*does not have many workers.*",  # graphs are built once and kept
        ".*smaller than the logging interval.*",
        ".*exists and is not empty.*",  # the run's own checkpoint directory
        ".*in eval mode at the start of training.*",
        ".*LeafSpec.*",
        ".*you have turned on `Trainer.*",
        "Grad strides do not match bucket view strides",  # CHGNet's, harmless
    ):
        warnings.filterwarnings("ignore", message=message)
