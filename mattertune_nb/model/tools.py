"""Support for Lightning's own tools: finders, weight averaging, fine-tuning in stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import BackboneFinetuning, BatchSizeFinder, WeightAveraging
from typing_extensions import override

from mattertune_nb.model.baseline import ZeroShotBaseline, fit_normalization
from mattertune_nb.model.lightning_private import average_of
from mattertune_nb.model.potential import Potential

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from lightning.pytorch import LightningModule, Trainer
    from torch.optim.swa_utils import AveragedModel


class Findable(Potential):
    """The attributes Lightning's ``Tuner`` looks for in a module, and what its trials need."""

    @property
    def lr(self) -> float:
        """The learning rate, which ``Tuner.lr_find`` sets."""
        return self._config.optimizer.lr

    @lr.setter
    def lr(self, rate: float) -> None:
        optimizer = self._config.optimizer.model_copy()
        optimizer.lr = rate
        # the given config may also be used by another model
        self._config = self._config.model_copy(update={"optimizer": optimizer})

    @override
    def on_train_start(self) -> None:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        # finders set aside all callbacks, including the one that fits the references
        if not any(isinstance(callback, ZeroShotBaseline) for callback in callbacks):
            fit_normalization(self.trainer, self)


class LightningTools(Callback):
    """Complements Lightning's callbacks, in each case in the hook after theirs.

    Averaged models take their buffers from the model in training, because integers and flags cannot be
    averaged. Reference energies fitted to the averaged model are also set in the model in training.
    Parameters frozen by the config stay frozen when ``BackboneFinetuning`` unfreezes the backbone, and
    schedules include the parameters it adds. Schedules are rebuilt after a batch size has been found.
    """

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if any(isinstance(c, BatchSizeFinder) for c in trainer.callbacks):  # type: ignore[attr-defined]
            trainer.strategy.setup_optimizers(trainer)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for average in _averages(trainer):
            average.use_buffers = False
            if not int(average.n_averaged):
                # if validated before averaging starts, it has the fitted references and scales
                _copy_buffers(pl_module, average.module)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not any(isinstance(c, BackboneFinetuning) for c in trainer.callbacks):  # type: ignore[attr-defined]
            return
        module = cast("Potential", pl_module)
        for name, parameter in module.backbone.named_parameters():
            if name in module.held:
                parameter.requires_grad_(False)
        for config in trainer.lr_scheduler_configs:
            for scheduler in getattr(config.scheduler, "_schedulers", [config.scheduler]):
                _take_in(scheduler)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for average in _averages(trainer):
            measured = cast("Potential", average.module).normalization.references
            cast("Potential", pl_module).normalization.references.copy_(measured)


def _averages(trainer: Trainer) -> Iterator[AveragedModel]:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        average = average_of(callback) if isinstance(callback, WeightAveraging) else None
        if average is not None:
            yield average


def _copy_buffers(source: torch.nn.Module, target: torch.nn.Module) -> None:
    for theirs, ours in zip(target.buffers(), source.buffers(), strict=True):
        theirs.copy_(ours)


def _take_in(scheduler: Any) -> None:
    """Let one of torch's schedules also change the rate of parameter groups added to its optimizer later."""
    rates = getattr(scheduler, "base_lrs", None)
    if rates is not None:
        rates += [group["lr"] for group in scheduler.optimizer.param_groups[len(rates) :]]
