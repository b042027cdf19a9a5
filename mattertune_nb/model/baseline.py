"""Before the first step: fit what the normalizers leave open, and evaluate the untuned model."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.config.properties import ENERGY, PROPERTIES
from mattertune_nb.model.energies import EnergyTable, TableBuilder
from mattertune_nb.model.first_predictions import FirstPredictions
from mattertune_nb.model.isolated_references import fix_to_isolated_atoms
from mattertune_nb.model.loader import as_list, check_processes, graph_dataset, graph_loader
from mattertune_nb.model.normalization import Spread
from mattertune_nb.model.processes import gathered
from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightning.pytorch import LightningModule, Trainer
    from numpy.typing import NDArray

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.model.potential import Potential


class ZeroShotBaseline(Callback):
    """Fit references and scales, and log the untuned errors as ``baseline/…``, once per run.

    ``baseline/energy_mae`` and the like are the errors of the backbone as it is, or of a model tuned earlier;
    ``baseline/referenced_…`` are the energy errors with the references from which training starts.
    """

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        loop = trainer.fit_loop
        if stage == "fit" and not trainer.ckpt_path and trainer.global_step and loop.done:
            progress: Any = loop.epoch_progress.current
            msg = (
                f"This Trainer has trained its {progress.processed} epochs, {trainer.global_step} steps, so "
                "that another fit would train nothing. Make a new Trainer, or raise "
                "trainer.fit_loop.max_epochs first."
            )
            raise TrainingError(msg)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # a model that was loaded or tuned before is in eval mode, and Lightning leaves it there
        if not pl_module.training:
            pl_module.train()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Potential", pl_module)
        check_processes(trainer.train_dataloader, trainer.world_size)
        if module.baseline and (trainer.ckpt_path or trainer.global_step):
            return  # a resumed run: the baseline is its own
        tuned_before = bool(module.baseline) or module.start is not None
        if module.baseline:
            warnings.warn(
                "This model was tuned before: baseline/… are its errors before this fit, and not those of "
                "the untuned backbone.",
                UserWarning,
                stacklevel=2,
            )
        if len(module.heads):
            module.heads.fit(graph_dataset(trainer.train_dataloader).frames)
        was_training = module.training
        module.eval()
        held_out = self._evaluate(trainer, module)
        if held_out is not None:
            untuned = held_out.errors(_references(module) if tuned_before else np.zeros(N_ELEMENTS))
            module.baseline |= {f"baseline/{name}": value for name, value in untuned.items()}
        if tuned_before or not bool(module.normalization.fitted):
            # the data of this run may have a different zero of energy from those of the last
            _fit(trainer, module, held_out)
        if held_out is not None:
            module.baseline |= {
                f"baseline/referenced_{name}": value
                for name, value in held_out.errors(_references(module)).items()
            }
        module.train(was_training)
        for logger in trainer.loggers:
            logger.log_metrics(module.baseline, step=0)

    def _evaluate(self, trainer: Trainer, module: Potential) -> EnergyTable | None:
        """Evaluate the untuned model on the validation set; return its energies if there are labels."""
        metrics: Any = module.metrics["val"]
        metrics.reset()
        table = TableBuilder(module.normalization.references)
        loaders = _validation_loaders(trainer)
        module.named_errors.begin(trainer.val_dataloaders, module.device)
        first = FirstPredictions(len(graph_dataset(loaders[0])) if loaders else 0)
        module.first_predictions = first
        for k, loader in enumerate(loaders):
            for batch in _limited(loader, module, trainer.limit_val_batches):
                with trainer.precision_plugin.forward_context():
                    predictions = module(batch)["predicted_properties"]
                _check_finite(predictions, batch, loader)
                labels = module.batch_to_labels(batch)
                metrics.update_errors(predictions, labels, labels["num_atoms"])
                module.named_errors.add(predictions, labels, k)
                if k == 0:
                    first.add(predictions, batch, module.properties)
                if ENERGY.name in predictions:
                    table.add(batch, predictions[ENERGY.name])
        module.baseline = {f"baseline/{k}": float(v) for k, v in metrics.compute().items()}
        named = module.named_errors.compute()
        module.baseline |= {f"baseline/{name}": float(value) for name, value in named.items()}
        metrics.reset()
        return table.build(trainer)


def fit_normalization(trainer: Trainer, module: Potential) -> None:
    """Fit what heads and normalizers leave open, unless already fitted, without evaluating the model."""
    if bool(module.normalization.fitted):
        return
    module.heads.fit(graph_dataset(trainer.train_dataloader).frames)
    was_training = module.training
    module.eval()
    _fit(trainer, module, None)
    module.train(was_training)


def _fit(trainer: Trainer, module: Potential, held_out: EnergyTable | None) -> None:
    normalization = module.normalization
    if normalization.takes_isolated_atoms:
        fix_to_isolated_atoms(trainer, module)
    energies, spreads = _training_set(trainer, module)
    if energies is not None:
        if normalization.fits_energy:
            judge = held_out or energies
            before = judge.errors(_references(module))[ENERGY.main_metric]
            normalization.fit_shift(
                energies.counts,
                energies.residuals(_references(module)),
                keep=lambda: judge.errors(_references(module))[ENERGY.main_metric] < before,
            )
        per_atom = all(
            p.is_scaled_per_atom for p in module.hparams.properties if p.about() is ENERGY
        )
        labels = energies.loss_labels(_references(module), per_atom=per_atom)
        rms = float(np.sqrt(np.square(labels).mean()))
        spreads[ENERGY.name] = Spread(float(np.std(labels)), rms)
    if not bool(normalization.fitted):
        normalization.fit_scales(spreads)


def _training_set(
    trainer: Trainer, module: Potential
) -> tuple[EnergyTable | None, dict[PropertyName, Spread | None]]:
    """Read the training set once: energies, predicted if a fit needs them, and spreads of other labels."""
    # the same dataset as in the epochs, so that each graph is built once
    dataset = graph_dataset(trainer.train_dataloader)
    loader = graph_loader(
        dataset,
        # each frame once, in the order of the data
        replace(dataset.frames.loader, shuffle=False, pin_memory=False),
        num_replicas=trainer.world_size,
        rank=trainer.global_rank,
    )
    table = TableBuilder(module.normalization.references)
    moments: dict[PropertyName, NDArray[np.float64]]
    moments = {p.name: np.zeros(3) for p in PROPERTIES.values() if not p.has_references}
    for batch in _limited(loader, module, 1.0):
        if module.normalization.fits_energy and ENERGY.name in batch.labels:
            with trainer.precision_plugin.forward_context():
                predictions = module.predict_properties(batch, [ENERGY.name])
            _check_finite(predictions, batch, trainer.train_dataloader)
            table.add(batch, predictions[ENERGY.name])
        elif ENERGY.name in batch.labels:
            table.add(batch, torch.zeros_like(batch.labels[ENERGY.name]))
        for name in moments:
            if name in batch.labels:
                labels = batch.labels[name].cpu().numpy()
                labels = labels[np.isfinite(labels)]
                moments[name] += labels.size, labels.sum(), np.square(labels).sum()
    energies = table.build(trainer)
    return energies, {n: _spread(np.sum(gathered(trainer, m), 0)) for n, m in moments.items()}


def _references(module: Potential) -> NDArray[np.float64]:
    references: NDArray[np.float64] = module.normalization.references.cpu().numpy().copy()
    return references


def _spread(moments: NDArray[np.float64]) -> Spread | None:
    """Return the spread of values, given their number, sum, and sum of squares."""
    n, total, squares = moments.tolist()
    if not n:
        return None
    return Spread(max(squares / n - (total / n) ** 2, 0.0) ** 0.5, (squares / n) ** 0.5)


def _validation_loaders(trainer: Trainer) -> list[Any]:
    if trainer.val_dataloaders is None and trainer.enable_validation:
        # Lightning has not created them yet if the first epoch has no validation
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
        trainer.training = True
    return as_list(trainer.val_dataloaders)


def _check_finite(predictions: dict[str, torch.Tensor], batch: GraphBatch, loader: Any) -> None:
    """Name any structure without a finite untuned energy, e.g. because the number format is too small."""
    if ENERGY.name not in predictions or predictions[ENERGY.name].isfinite().all():
        return
    i = int((~predictions[ENERGY.name].isfinite()).nonzero()[0])
    source = graph_dataset(loader).source(int(batch.index[i]))
    msg = (
        f"{source}: the untuned model's energy is {float(predictions[ENERGY.name][i])}. Look at the "
        "structure, or set trainer.precision to '32-true'."
    )
    raise TrainingError(msg)


def _limited(loader: Iterable[GraphBatch], module: Potential, limit: float) -> Iterator[GraphBatch]:
    """Yield the batches within Lightning's ``limit_…_batches``, on the model's device."""
    n_batches = len(cast("Any", loader))
    limit = int(limit * n_batches) if isinstance(limit, float) else limit
    for i, batch in enumerate(loader):
        if i >= limit:
            return
        yield batch.to(module.device)
