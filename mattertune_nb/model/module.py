"""The Lightning module: how a potential is trained, tested, saved and loaded."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from typing_extensions import override

from mattertune_nb.config.places import members_of, path_of
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.model.callbacks import own_callbacks
from mattertune_nb.model.checkpoint import without_functions
from mattertune_nb.model.depth import rate_factors
from mattertune_nb.model.hooks import adapt_hooks
from mattertune_nb.model.lightning_private import trainer_of
from mattertune_nb.model.loader import GraphDataset, graph_loader
from mattertune_nb.model.loading import about, load, take_about
from mattertune_nb.model.lora import merge_lora, pack
from mattertune_nb.model.optim import create_optimizer, run_length
from mattertune_nb.model.potential import Potential
from mattertune_nb.model.predictions import INDEX, split_predictions
from mattertune_nb.model.property_losses import loss_weight, property_loss
from mattertune_nb.model.schedules import create_lr_schedulers
from mattertune_nb.model.tools import Findable
from mattertune_nb.model.uses import Usable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from lightning.pytorch import Callback
    from torch import Tensor
    from torchdata.stateful_dataloader import StatefulDataLoader

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.places import RunLike
    from mattertune_nb.data.dataset import AtomsDataset

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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adapt_hooks(cls, FinetuneModuleBase.configure_callbacks)

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
        trainer = trainer_of(self)
        stage = None if trainer is None else trainer.state.stage
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
        trainer = trainer_of(self)
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
        for key in {"lr_schedulers", "callbacks"} & set(checkpoint):
            checkpoint[key] = without_functions(checkpoint[key])

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        take_about(self, checkpoint)

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
        is_own = cls is not FinetuneModuleBase
        if not is_own and members_of(checkpoint_path):
            from mattertune_nb.model.ensemble import load_ensemble

            member = partial(cls.load_from_checkpoint, map_location=map_location)
            return cast("Self", load_ensemble(path_of(checkpoint_path), member))
        return load(cls, checkpoint_path, map_location, kwargs, strict=strict, is_own=is_own)


def as_model(model: Potential | str | Path | RunLike) -> Potential:
    """Return a model itself, or load that of a run, its directory or a checkpoint."""
    return model if isinstance(model, Potential) else FinetuneModuleBase.load_from_checkpoint(model)
