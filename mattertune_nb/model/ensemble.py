"""Several tuned models combined: their mean, with their spread as its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.config.places import factors_of, members_of
from mattertune_nb.model.module import FinetuneModuleBase, as_model
from mattertune_nb.model.potential import Potential
from mattertune_nb.model.spread import mean_and_spread, whose, with_spreads
from mattertune_nb.model.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.places import RunLike
    from mattertune_nb.config.properties import PropertyName


class Ensemble(FinetuneModuleBase):
    """Several tuned models combined into one that can be used wherever a model predicts.

    Each property is the mean over the members. In addition, calculator and predictor return the members'
    standard deviation, multiplied by its factor, under the property's name with ``_std``: ``energy_std`` in
    eV, and ``forces_std`` (n, 3) in eV/Å for each component.

    Parameters
    ----------
    members
        At least two tuned models of the same backbone and properties: models, runs, their directories or
        checkpoints.
    factors
        Factor by which the spread of each property is multiplied to match the typical size of its errors;
        1 by default. :meth:`EnsembleRun.model` uses the factors of the validation set.

    Raises
    ------
    ConfigError
        There are fewer than two members, or they do not match each other.
    """

    def __init__(
        self,
        members: Sequence[FinetuneModuleBase | str | Path | RunLike],
        factors: Mapping[PropertyName, float] | None = None,
    ) -> None:
        super(Potential, self).__init__()  # no backbone is built besides the members'
        models = [as_model(member) for member in members]
        _check(models)
        first = models[0]
        self.members: Any = torch.nn.ModuleList(models)
        self._config = first.hparams
        self.backbone, self.normalization, self.heads = (
            first.backbone,
            first.normalization,
            first.heads,
        )
        self.metrics, self.sample = first.metrics, first.sample
        self.named_errors, self.baseline = first.named_errors, first.baseline
        self.start, self.held, self.penalties = first.start, first.held, {}
        self.first_predictions = None
        self.turns = Turns()
        self.factors = dict.fromkeys(first.properties, 1.0) | dict(factors or {})
        self.properties = with_spreads(first.properties)
        self.eval()

    @override
    def predict_properties(
        self, batch: GraphBatch, properties: Sequence[PropertyName]
    ) -> dict[str, Tensor]:
        of = whose(properties, self.properties)
        wanted = list(dict.fromkeys(of.values()))
        found = [member.predict_properties(batch, wanted) for member in self.members]
        return mean_and_spread(found, of, self.factors)

    @override
    def configure_optimizers(self) -> Any:
        msg = "An ensemble is not trained itself; mt.ensemble(config) tunes its members."
        raise TrainingError(msg)


def load_ensemble(folder: Path, load: Callable[[Path], FinetuneModuleBase]) -> Ensemble:
    """Load the members trained so far, each from its run directory, and the factors of their spreads."""
    return Ensemble([load(path) for path in members_of(folder)], factors_of(folder))


def _check(models: Sequence[Potential]) -> None:
    if len(models) < 2:
        msg = f"An ensemble needs two members or more, got {len(models)}."
        raise ConfigError(msg)
    first = models[0]
    for model in models[1:]:
        for what, a, b in (
            ("backbone", first.backbone.graph_kind, model.backbone.graph_kind),
            ("elements", first.backbone.elements, model.backbone.elements),
            ("properties", first.properties, model.properties),
        ):
            if a != b:
                msg = f"The members of an ensemble do not have the same {what}. Tune them alike."
                raise ConfigError(msg)
