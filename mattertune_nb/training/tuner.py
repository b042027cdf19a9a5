"""Fine-tunes according to a config: creates the run directory, trains, and returns the best model."""

from __future__ import annotations

import functools
import logging
import os
import signal
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import Callback, ProgressBar

from mattertune_nb.config.errors import ConfigError, MatterTuneError, RunError
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.model.normalizers import check_references
from mattertune_nb.model.starting import start_in
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.checkpoints import newest_whole_checkpoint
from mattertune_nb.training.ending import (
    RUN_VARIABLE,
    calibrate_copies,
    has_stopped_early,
    is_stop,
    look_back,
    own,
    place_of,
    rank,
    with_best_weights,
    worse_in_words,
    write_end,
)
from mattertune_nb.training.files import write_text
from mattertune_nb.training.logs import logging_to, quiet_lightning
from mattertune_nb.training.module_class import import_module_class, with_module_class
from mattertune_nb.training.outcome.verdict import EndedWorse
from mattertune_nb.training.preflight import check_machine, check_settings
from mattertune_nb.training.records.split import SplitRecord, check_record, write_record
from mattertune_nb.training.result import TuneResult
from mattertune_nb.training.run_dir import CLAIMED_BY, RunDirectory
from mattertune_nb.training.runs.heartbeat import beating
from mattertune_nb.training.runs.new_settings import NewSettings
from mattertune_nb.training.runs.resuming import keep_as_best, resumption
from mattertune_nb.training.runs.run import Run
from mattertune_nb.training.runs.start import start_run
from mattertune_nb.training.runs.stop import StopRequest
from mattertune_nb.training.trainer import build_trainer, check_batches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from lightning.pytorch import Trainer

    from mattertune_nb.training.checkpoints import Saved
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.records.status import State
    from mattertune_nb.training.runs.resuming import Resumption


log = logging.getLogger(__name__)


class MatterTuner:
    """Fine-tunes a pretrained model according to a config.

    Parameters
    ----------
    config
        Settings of model, data, trainer and run.
    module_class
        A subclass of :class:`FinetuneModuleBase` with a user's own steps; by default the class named in
        ``config.run.module_class``, or :class:`FinetuneModuleBase` itself.
    """

    def __init__(
        self,
        config: MatterTunerConfig,
        *,
        module_class: type[FinetuneModuleBase] | None = None,
    ) -> None:
        if isinstance(config, (str, Path)):
            msg = f"MatterTuner: give MatterTunerConfig.from_yaml('{config}'), not the path."
            raise ConfigError(msg)
        self._own_class = module_class
        self.config = config if module_class is None else with_module_class(config, module_class)

    @functools.cached_property
    def module_class(self) -> type[FinetuneModuleBase]:
        """The class of the model, imported on first use so that the run records any failure."""
        return self._own_class or import_module_class(self.config.run.module_class)

    def tune(self, callbacks: Sequence[Callback] = ()) -> TuneResult:
        """Train in a new run directory, ``runs/<name>``.

        An interrupted run (Ctrl-C, SIGTERM, a stop file) returns as well, with the state ``stopped`` in its
        status file.

        Parameters
        ----------
        callbacks
            Additional Lightning callbacks.

        Returns
        -------
        TuneResult
            ``model`` with the best weights by ``trainer.checkpoint.monitor``, ``trainer``, and ``run``.

        Raises
        ------
        MatterTuneError
            Config, data or this machine do not allow the run, raised before anything is written; or the loss
            becomes NaN during the run.
        """
        self._check(callbacks)
        module, data = self._prepare()
        data.say_notes(rank())
        run, config = _create_or_join(self.config)
        return self._fit(run, config, module, data, callbacks)

    def start(self) -> Run:
        """Train in a separate process and return immediately; the kernel stays free.

        This is how to use several devices from a notebook. The other process reads all data before training;
        if it refuses a frame, the run ends with the reason in its status.

        Raises
        ------
        MatterTuneError
            Config, this machine or a sample of the data do not allow the run, or another process cannot
            import the module class; raised before anything is written.
        """
        name = self.config.run.module_class
        if self.module_class is not FinetuneModuleBase and name is None:
            msg = (
                f"{self.module_class.__name__} is defined in the notebook or script itself, from which "
                "another process cannot import it. Move it to a separate file, or use tune()."
            )
            raise RunError(msg)
        return start_run(self.config)

    def resume(
        self, run: RunDirectory | str | Path, callbacks: Sequence[Callback] = ()
    ) -> TuneResult:
        """Continue a run from its newest complete checkpoint, or from the start if there is none.

        The run's ``config.yaml`` is replaced if the tuner's config differs. Permitted changes take effect
        from the checkpoint on (a learning rate or a schedule as if it had been set from the start) and are
        recorded.

        Parameters
        ----------
        run
            Directory of the run.
        callbacks
            Additional Lightning callbacks, which are not part of the config.

        Raises
        ------
        RunError
            Another process is training the run, its data have changed since it began, or a setting has
            changed that a run must keep, such as the backbone; nothing is written in these cases.
        MatterTuneError
            Config, data or this machine do not allow the run.
        """
        if not isinstance(run, RunDirectory):
            run = RunDirectory.open(run)
        saved = newest_whole_checkpoint(run)
        try:
            new = resumption(run, saved, self.config)
        except RunError as exc:
            if CLAIMED_BY in os.environ:  # this process was started for the run
                write_end(run, "failed", error=str(exc))
            raise
        if rank() == 0:  # the other processes train with it
            run.claim()
        try:
            with _beating(run):
                self._check(callbacks)
                record = None if saved is None else SplitRecord.read(run)
                module, data = self._prepare(saved, record)
                if record is not None:
                    check_record(run, record, data)
                data.say_notes(rank())
        except MatterTuneError as exc:
            write_end(run, "failed", error=str(exc))
            raise
        if rank() == 0:
            RunDirectory.open(run.path)  # it may have been removed while the data were read
            os.environ[RUN_VARIABLE] = str(run.path.absolute())
            place = {"root": run.path.parent, "name": run.path.name}
            self.config = _with_run(self.config, place)
            if self.config.to_yaml() != run.config_file.read_text(encoding="utf-8"):
                write_text(run.config_file, self.config.to_yaml())
            if saved is None:
                run.append_metrics("resumed", 0, 0, {})
            keep_as_best(run, new.kept)
        checkpoint = None if saved is None else saved.path
        return self._fit(run, self.config, module, data, callbacks, checkpoint, new)

    def _check(self, callbacks: Sequence[Callback]) -> None:
        theirs = [c for c in callbacks if not isinstance(c, ProgressBar)]
        logs_own = self.module_class is not FinetuneModuleBase or bool(theirs)
        check_machine(self.config, callbacks)
        check_settings(self.config, logs_own=logs_own)

    def _prepare(
        self, saved: Saved | None = None, record: SplitRecord | None = None
    ) -> tuple[FinetuneModuleBase, MatterTuneDataModule]:
        """Read and check data before anything is written; `saved` and `record` belong to a resumed run."""
        seed_everything(self.config.run.seed, workers=True, verbose=False)
        data = MatterTuneDataModule(self.config.data)
        data.prepare_data()
        if record is not None:
            data.restore(record.parts)
        data.setup("fit")
        data.reseed(self.config.run.seed)
        model = self.config.model
        # the file of the weights that the run started with may be gone
        start = None if saved is None else start_in(saved.contents)
        module = self.module_class(model.starting_from(start))
        required = model.labels
        found = data.check(required, module.backbone.elements)
        isolated = data.isolated_atoms() if module.normalization.takes_isolated_atoms else ()
        for summary in found:
            check_references(model.normalizers, summary.elements, isolated)
        check_batches(self.config, len(data.datasets["train"]))
        return module, data

    def _fit(
        self,
        run: RunDirectory,
        config: MatterTunerConfig,
        module: FinetuneModuleBase,
        data: MatterTuneDataModule,
        callbacks: Sequence[Callback],
        checkpoint: Path | None = None,
        resumption: Resumption | None = None,
    ) -> TuneResult:
        """Train a new run, or a resumed one from its checkpoint, if it has one, by its new settings."""
        stop = StopRequest(run, config.trainer.max_seconds)
        with (
            _beating(run),
            stop.catching_signals(),
            logging_to(run.log_file, is_first=rank() == 0),
            warnings.catch_warnings(),
        ):
            quiet_lightning()
            trainer = build_trainer(run, config, stop, callbacks, resumption)
            state = _train(trainer, run, module, data, checkpoint, is_new=resumption is None)
            model = with_best_weights(module, run)
            if rank() == 0:
                calibrate_copies(model, run, data.datasets.get("validation"))
                look_back(trainer, model)
            worse = worse_in_words(run)
            if worse:
                log.warning("%s", worse)
            _, step = place_of(trainer, run)
            why = f": {stop.reason}" if state == "stopped" and stop.reason else ""
            log.info("%s at step %d%s.", state.capitalize(), step, why)
        _end(trainer, run, state, worse)
        return TuneResult(model, trainer, Run(run.path), _interrupted_by(trainer, state, stop))


def _train(
    trainer: Trainer,
    run: RunDirectory,
    module: FinetuneModuleBase,
    data: MatterTuneDataModule,
    checkpoint: Path | None,
    *,
    is_new: bool,
) -> State:
    """Train, and return how the run ended; a new run refused before its first step is removed."""
    try:
        for note in data.notes:
            log.info(note)
        if trainer.is_global_zero:
            write_record(run, data)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as exc:
        if is_stop(exc):
            return "stopped"
        is_refused = isinstance(exc, MatterTuneError) and not own(trainer, RunSupervisor).started
        if is_new and is_refused:
            if rank() == 0:
                run.remove()
        else:
            log.exception("The run failed.")
            write_end(run, "failed", *place_of(trainer, run), f"{type(exc).__name__}: {exc}")
        raise
    is_cut = own(trainer, RunSupervisor).is_cut and not has_stopped_early(trainer)
    return "stopped" if is_cut else "finished"


def _interrupted_by(trainer: Trainer, state: State, stop: StopRequest) -> int | None:
    """Return the signal that stopped a run, SIGINT for a stop file; none for its time limit or a callback."""
    by_itself = stop.is_late or own(trainer, RunSupervisor).is_cut
    if state != "stopped" or (by_itself and stop.signal is None):
        return None
    return stop.signal or signal.SIGINT


def _end(trainer: Trainer, run: RunDirectory, state: State, worse: str) -> None:
    """Write how a run ended, and warn the caller of `tune` or `resume` if necessary."""
    supervisor = own(trainer, RunSupervisor)
    error, said = None, own(trainer, NewSettings).note
    if state == "stopped" and not supervisor.started and not run.last.is_file():
        said = "Stopped before the first step: nothing was trained. A resume starts over."
    elif rank() == 0 and not run.last.is_file():
        error = "No checkpoint could be written; log.txt says why."
        warnings.warn(f"{run.path}: {error}", UserWarning, stacklevel=4)
    epoch, step = place_of(trainer, run)
    note = " ".join(filter(None, (said, worse)))
    write_end(run, state, None if supervisor.is_cut else epoch, step, error, note)
    if said:
        warnings.warn(f"{run.path}: {said}", UserWarning, stacklevel=4)
    elif note:
        warnings.warn(f"{run.path}: {note}", EndedWorse, stacklevel=4)


def _beating(run: RunDirectory) -> AbstractContextManager[None]:
    """Send signs of life from the first process of a run, which owns the status."""
    return beating(run.status_file) if rank() == 0 else nullcontext()


def _with_run(config: MatterTunerConfig, update: dict[str, Any]) -> MatterTunerConfig:
    return config.model_copy(update={"run": config.run.model_copy(update=update)})


def _create_or_join(config: MatterTunerConfig) -> tuple[RunDirectory, MatterTunerConfig]:
    """Create the run's directory, or find the one made by the first process of a distributed run."""
    if rank() == 0:
        run, config = RunDirectory.create(config)
        os.environ[RUN_VARIABLE] = str(run.path.absolute())
        return run, config
    if RUN_VARIABLE in os.environ:
        path = Path(os.environ[RUN_VARIABLE])
    elif config.run.name is not None:
        path = config.run.root / config.run.name
    else:
        msg = "run.name: give the run a name, so that all processes of the job find its directory."
        raise RunError(msg)
    return RunDirectory(path), config
