"""The Lightning module: a pretrained backbone with its losses, metrics and references."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from typing_extensions import override

from mattertune_nb.config.properties import ENERGY, PROPERTIES
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.model.callbacks import own_callbacks
from mattertune_nb.model.copies import (
    add_copies,
    asks_each,
    predict_each,
    set_up_spreads,
    take_about_copies,
)
from mattertune_nb.model.depth import freeze_blocks, rate_factors
from mattertune_nb.model.formats import upgrade
from mattertune_nb.model.freezing import freeze, freeze_unreached
from mattertune_nb.model.heads import PropertyHeads
from mattertune_nb.model.hooks import adapt_hooks
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.loading import about, load, own_arguments
from mattertune_nb.model.lora import add_lora, merge_lora, pack, unpack
from mattertune_nb.model.metrics import PropertyMetrics
from mattertune_nb.model.named_errors import NamedErrors
from mattertune_nb.model.normalization import Normalization, with_references_read
from mattertune_nb.model.optim import create_optimizer, run_length
from mattertune_nb.model.predictions import INDEX, split_predictions
from mattertune_nb.model.property_losses import loss_weight, property_loss
from mattertune_nb.model.sample import ErrorSample
from mattertune_nb.model.schedules import create_lr_schedulers
from mattertune_nb.model.starting import start_of
from mattertune_nb.model.tools import Findable
from mattertune_nb.model.turns import Turns
from mattertune_nb.model.uses import Usable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from lightning.pytorch import Callback
    from torch import Tensor
    from torchdata.stateful_dataloader import StatefulDataLoader

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.places import RunLike
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.first_predictions import FirstPredictions
    from mattertune_nb.model.penalties import Penalty

_STAGES = {"train": "train", "sanity_check": "val", "validate": "val", "test": "test"}


class FinetuneModuleBase(Usable, Findable):
    """Fine-tunes a pretrained backbone under any Lightning Trainer.

    Parameters
    ----------
    config
        A backbone's config, e.g. :class:`CHGNetBackboneConfig`, which ``hparams`` returns.

    Notes
    -----
    Any step can be overridden as in plain Lightning. Losses and metrics are recorded inside
    :meth:`_compute_loss`, so an overridden step that calls it keeps all of them. Energies are in eV, forces
    in eV/Å, stresses in eV/Å³ (Voigt, ASE's sign).
    """

    arguments: dict[str, Any]
    """Arguments of a user's own class other than the config."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adapt_hooks(cls, FinetuneModuleBase.configure_callbacks)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments of a user's own class other than the config, so that checkpoints keep them."""
        module = super().__new__(cls)
        object.__setattr__(module, "arguments", own_arguments(module, args, kwargs))
        return module

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self._config = config = with_references_read(config)
        start = start_of(config)
        self.backbone = config.create_backbone() if start is None else start.backbone(config)
        self.start = start.settings if start is not None and start.is_tuned else None
        """Backbone settings of an earlier run, if this model started from its tuned weights."""
        self.properties = PROPERTIES | {prop.name: prop for prop in config.learnt}
        self.heads = PropertyHeads(config, self.backbone)
        freeze_unreached(self.backbone, self.heads.trained)
        freeze_blocks(self.backbone, config.frozen_blocks)
        self.held = freeze(self.backbone, config.freeze)
        self.normalization = Normalization(config.normalizers)
        weights = {p.about().name: p.loss_coefficient for p in config.properties}
        metrics = {s: PropertyMetrics(config.learnt, weights) for s in ("val", "test")}
        self.metrics = torch.nn.ModuleDict(metrics)
        self.sample = ErrorSample(config.learnt)
        self.named_errors = NamedErrors(config.learnt)
        self.baseline: dict[str, float] = {}
        """Errors before the first step, e.g. ``baseline/forces_mae``."""
        self.first_predictions: FirstPredictions | None = None
        """Predictions for some validation frames, made when the baseline was measured."""
        self.turns = Turns()
        self.penalties: dict[str, Penalty] = {}
        """Additional terms of the training loss, added by callbacks."""
        if start is not None:
            start.give_weights(self)
        add_lora(self.backbone, config.lora)
        add_copies(self.backbone, config.last_block_copies)
        self.factors: dict[PropertyName, float] = {}
        """Factors by which the spreads of copies are multiplied."""
        set_up_spreads(self)
        self.steps_in_time = math.inf
        """Optimizer steps that fit into the run's time limit."""
        self.ends_by_time = False
        """Whether the run has a time limit, which its schedules follow if nothing else ends the run."""

    @property
    @override
    def hparams(self) -> BackboneConfig:  # type: ignore[override]
        """The config from which the model was built."""
        return self._config

    @override
    def forward(self, batch: GraphBatch) -> dict[str, dict[str, Tensor]]:
        """Predict the configured properties of a batch.

        Returns
        -------
        dict
            ``{"predicted_properties": {"energy": (B,), "forces": (N, 3), "stresses": (B, 6)}}``, in the units
            of the labels, including references; the energy is in float64.

        Notes
        -----
        To change what calculator and predictor return, too, override :meth:`predict_properties` instead.
        """
        return {"predicted_properties": self.predict_properties(batch, self._config.property_names)}

    def predict_properties(
        self, batch: GraphBatch, properties: Sequence[PropertyName]
    ) -> dict[str, Tensor]:
        """Predict `properties` of a `batch`: energy and gradients, configured or not, and custom ones."""
        if asks_each(self, properties):
            return predict_each(self, batch, properties)
        if self.backbone.members is not None:
            self.backbone.members.epoch = self.current_epoch
        out = self.heads.outputs(self.backbone, batch, properties)
        out = self.normalization.with_references(out, batch)
        return {name: out[name] for name in properties}

    def batch_to_labels(self, batch: GraphBatch) -> dict[str, Tensor]:
        """Return the labels of a `batch` (NaN if missing), ``num_atoms``, ``index``; ``refit`` (B,) in eV."""
        labels = {**batch.labels, "num_atoms": batch.n_atoms, "index": batch.index}
        change = self.normalization.change_of_shift(batch.numbers, batch.batch, len(batch.n_atoms))
        return labels if change is None else labels | {"refit": change}

    def _compute_loss(self, predictions: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
        """Return the total loss; under a Trainer, also record losses and metrics."""
        losses: dict[str, tuple[Tensor, int]] = {}
        num_atoms = labels["num_atoms"]
        total = predictions.get(ENERGY.name, next(iter(predictions.values()))).new_zeros(())
        for config in self._config.properties:
            name = config.about().name
            losses[name] = property_loss(self, config, predictions[name], labels[name], num_atoms)
            total = total + loss_weight(self, config) * losses[name][0]
        for penalty in self.penalties.values() if self.training else ():
            for name, (loss, weight) in penalty.losses(self, len(num_atoms)).items():
                losses[name] = loss, 1
                total = total + weight * loss
        self._record(total, losses, predictions, labels)
        return total

    def _record(
        self,
        total: Tensor,
        losses: dict[str, tuple[Tensor, int]],
        predictions: dict[str, Tensor],
        labels: dict[str, Tensor],
    ) -> None:
        stage = None if self._trainer is None else self._trainer.state.stage
        match _STAGES.get("" if stage is None else stage.value):
            case "train":
                values = {
                    f"train/{name}_loss": loss for name, (loss, count) in losses.items() if count
                }
                self.log_dict(
                    {"train/total_loss": total.detach()}
                    | {k: v.detach() for k, v in values.items()},
                    batch_size=len(labels["num_atoms"]),
                )
            case "val" | "test" as name:
                metrics: Any = self.metrics[name]
                metrics.update_errors(predictions, labels, labels["num_atoms"])
                metrics.update_losses(losses)
                self.named_errors.add(predictions, labels, self.sample.loader)
                self.sample.add(predictions, labels)

    @override
    def training_step(self, batch: GraphBatch, batch_idx: int) -> Tensor:
        output = self(batch)
        return self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    @override
    def validation_step(
        self, batch: GraphBatch, batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        output = self(batch)
        self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    @override
    def test_step(self, batch: GraphBatch, batch_idx: int = 0, dataloader_idx: int = 0) -> None:
        output = self(batch)
        self._compute_loss(output["predicted_properties"], self.batch_to_labels(batch))

    @override
    def predict_step(
        self, batch: GraphBatch, batch_idx: int = 0, dataloader_idx: int = 0
    ) -> list[dict[str, Any]]:
        """Return one dict per structure, as :meth:`PropertyPredictor.predict` does, with its ``index``."""
        predictions = self.predict_properties(batch, self._config.property_names)
        parts = split_predictions(predictions, batch, self.properties)
        return [{INDEX: i, **part} for i, part in zip(batch.index.tolist(), parts, strict=True)]

    @override
    def configure_optimizers(self) -> Any:
        factors = rate_factors(self.backbone, self.hparams.lr_decay)
        optimizer = create_optimizer(self.hparams.optimizer, self.named_parameters(), factors)
        schedules = self.hparams.schedules
        if not schedules:
            return optimizer
        n_steps, n_epochs = run_length(self.trainer)
        return [optimizer], create_lr_schedulers(
            schedules,
            optimizer,
            n_steps=n_steps,
            n_epochs=n_epochs,
            ends_by_time=self.ends_by_time,
        )

    @override
    def configure_callbacks(self) -> list[Callback]:
        """Return the callbacks that make the numbers the same under any Trainer."""
        return own_callbacks(self.trainer)

    def create_dataloader(
        self,
        dataset: AtomsDataset | Sequence[Atoms],
        has_labels: bool,
        *,
        cache: bool = True,
        **settings: Any,
    ) -> StatefulDataLoader[Any]:
        """Return a loader of graph batches; settings not given are the dataset's own.

        Parameters
        ----------
        dataset
            A dataset of a data module, or any list of :class:`ase.Atoms`.
        has_labels
            Whether the batches carry labels.
        cache
            Keep the graphs for the next epoch and the next run, within the bounds in the settings.
        **settings
            Fields of :class:`~mattertune_nb.data.dataset.LoaderSettings`, e.g. ``batch_size=4``, overriding
            those the data module has set on the dataset.
        """
        frames = as_dataset(dataset)
        loader = replace(frames.loader, **settings)
        labels = self._config.labels if has_labels else None
        graphs = GraphDataset(
            frames,
            self.backbone,
            labels,
            memory_mb=loader.graph_memory_mb if cache else 0.0,
            disk_mb=loader.graph_disk_mb if cache else 0.0,
        )
        trainer = self._trainer
        return graph_loader(
            graphs,
            loader,
            num_replicas=1 if trainer is None else trainer.world_size,
            rank=0 if trainer is None else trainer.global_rank,
        )

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= about(self)
        pack(self.backbone, checkpoint, "backbone.")

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        upgrade(checkpoint)
        self.baseline = dict(checkpoint.get("baseline", {}))
        unpack(self.backbone, checkpoint)
        take_about_copies(self, checkpoint)

    def merge_lora(self) -> None:
        """Add the updates trained by LoRA to the weights, as ``tune`` and ``load_from_checkpoint`` do."""
        merge_lora(self.backbone)

    @classmethod
    @override
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path | RunLike,
        map_location: Any = "cpu",
        *,
        strict: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Load a model with its backbone and references from a checkpoint alone.

        The model computes in the number format it was trained in. A user's own class is not imported: to keep
        its behaviour, call its ``load_from_checkpoint``, or :meth:`Run.model`; its arguments other than the
        config are those it was trained with.

        Parameters
        ----------
        checkpoint_path
            The file, or a run or its directory, whose best checkpoint is used.
        map_location
            Device of the model.
        strict
            Whether the checkpoint must hold exactly the weights of the model.
        **kwargs
            Arguments for the class, overriding those it was trained with.

        Raises
        ------
        ConfigError
            This machine has no such device, or the class had arguments that no checkpoint can hold.
        TrainingError
            The file is missing, damaged, or holds anything but tensors and builtins.
        """
        base = FinetuneModuleBase
        return load(cls, checkpoint_path, map_location, kwargs, strict=strict, base=base)
