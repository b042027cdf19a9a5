"""A pretrained backbone with heads and reference energies, and what is recorded about its errors."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from typing_extensions import override

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.model.arguments import own_arguments
from mattertune_nb.model.copies import add_copies
from mattertune_nb.model.depth import freeze_blocks
from mattertune_nb.model.freezing import freeze, freeze_unreached
from mattertune_nb.model.heads import PropertyHeads
from mattertune_nb.model.lightning_private import trainer_of
from mattertune_nb.model.lora import add_lora
from mattertune_nb.model.metrics import PropertyMetrics
from mattertune_nb.model.named_errors import NamedErrors
from mattertune_nb.model.normalization import Normalization
from mattertune_nb.model.normalizers import with_references_read
from mattertune_nb.model.sample import ErrorSample
from mattertune_nb.model.spread import mean_and_spread, whose, with_spreads
from mattertune_nb.model.starting import build, give_weights, start_of
from mattertune_nb.model.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.model.first_predictions import FirstPredictions


class Potential(LightningModule):
    """What callbacks, calculators and checkpoints know of a model; how it is trained is in a subclass.

    Parameters
    ----------
    config
        A backbone's config, which ``hparams`` returns.
    """

    arguments: dict[str, Any]
    """Arguments of a user's own class other than the config."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments of a user's own class other than the config, so that checkpoints keep them."""
        module = super().__new__(cls)
        object.__setattr__(module, "arguments", own_arguments(module, args, kwargs))
        return module

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        start = start_of(config)
        self._config = config = with_references_read(config).starting_from(None)
        self.backbone = config.create_backbone() if start is None else build(start, config)
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
            give_weights(start, self.backbone, self.heads, self.normalization)
        add_lora(self.backbone, config.lora)
        add_copies(self.backbone, config.last_block_copies)
        self.factors: dict[PropertyName, float] = {}
        """Factors by which the spreads of copies are multiplied."""
        if self.backbone.members is not None:
            self.properties = with_spreads(self.properties)
            self.factors = dict.fromkeys(self.properties, 1.0)
        self.steps_in_time = math.inf
        """Optimizer steps that fit into the run's time limit."""
        self.ends_by_time = False
        """Whether the run has a time limit, which its schedules follow if nothing else ends the run."""

    @property
    @override
    def hparams(self) -> BackboneConfig:  # type: ignore[override]
        """The config from which the model was built."""
        return self._config

    def predict_properties(
        self, batch: GraphBatch, properties: Sequence[PropertyName]
    ) -> dict[str, Tensor]:
        """Predict `properties` of a `batch`: energy and gradients, configured or not, and custom ones."""
        if self._needs_each_copy(properties):
            of = whose(properties, self.properties)
            each = self.heads.outputs_of_each(self.backbone, batch, list(of.values()))
            found = [self.normalization.with_references(out, batch) for out in each]
            return mean_and_spread(found, of, self.factors)
        if self.backbone.members is not None:
            self.backbone.members.epoch = self.current_epoch
        out = self.heads.outputs(self.backbone, batch, properties)
        out = self.normalization.with_references(out, batch)
        return {name: out[name] for name in properties}

    def _needs_each_copy(self, properties: Sequence[PropertyName]) -> bool:
        """Return whether each copy's own prediction is needed: for spreads, and for our own heads.

        The gradient of the mean energy is the mean of the forces, but a head applied to the mean features
        does not give the mean of its outputs.
        """
        if self.backbone.members is None or self.training:
            return False
        ours = self.heads.named()
        return any(name in ours or self.properties[name].spread_of for name in properties)

    def batch_to_labels(self, batch: GraphBatch) -> dict[str, Tensor]:
        """Return the labels of a `batch` (NaN if missing), ``num_atoms``, ``index``; ``refit`` (B,) in eV."""
        labels = {**batch.labels, "num_atoms": batch.n_atoms, "index": batch.index}
        change = self.normalization.change_of_shift(batch.numbers, batch.batch, len(batch.n_atoms))
        return labels if change is None else labels | {"refit": change}

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Hold the model in eval mode for predictions, by one thread at a time.

        Raises
        ------
        TrainingError
            Another thread is fitting it: weights would change in the middle of a prediction.
        """
        turns, trainer = self.turns, trainer_of(self)
        with turns.lock:
            is_fitted = (
                trainer is not None
                and trainer.state.fn == TrainerFn.FITTING
                and trainer.state.status == TrainerStatus.RUNNING
            )
            if is_fitted and turns.fitted_by not in (None, threading.get_ident()):
                msg = (
                    "The model is being trained in another thread, so it cannot predict in this one. Wait "
                    "until the fit has ended, or predict with a copy of the model that was made before."
                )
                raise TrainingError(msg)
            was_training = self.training
            self.eval()
            try:
                yield
            finally:
                self.train(was_training)


class Penalty(Protocol):
    """A loss that keeps a model close to its original state, in addition to those of its data.

    A callback adds it to ``module.penalties``, a mapping by name, for the duration of a fit.
    """

    def losses(self, module: Potential, n_structures: int) -> dict[str, tuple[Tensor, float]]:
        """Return losses by name, recorded as ``train/NAME_loss``, with the weight of each in the total.

        Parameters
        ----------
        module
            The model, in training.
        n_structures
            Number of structures in the current training batch.
        """
