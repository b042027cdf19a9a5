"""What is known about the curves of a run before its first record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.training.outcome.headlines import FOREIGN, MAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mattertune_nb.config.model import ModelConfig
    from mattertune_nb.config.properties import Property
    from mattertune_nb.training.runs.run import Run


def expected_of(run: Run) -> tuple[str | None, str, list[str], list[Property]]:
    """Return the arguments of :class:`CurveData` for a run."""
    try:
        config = run.config()
    except MatterTuneError:  # reported by the parts that need the config
        return None, "min", [], []
    checkpoint = config.trainer.checkpoint
    looks_elsewhere = config.trainer.foreign_set is not None
    return checkpoint.monitor, checkpoint.mode, *expected_from(config.model, looks_elsewhere)


def expected_from(
    model: ModelConfig, looks_elsewhere: bool = False
) -> tuple[list[str], list[Property]]:
    """Return the metrics that a run of a `model` records, and its custom properties."""
    own = [prop for prop in model.learnt if prop.name not in PROPERTIES]
    elsewhere = FOREIGN if looks_elsewhere else ()
    metrics = metrics_of(model.property_names)
    return [*metrics, *(f"val/{prop.main_metric}" for prop in own), *elsewhere], own


def metrics_of(properties: Iterable[str]) -> list[str]:
    """Return the metrics recorded by a run that trains some properties."""
    return ["val/total_loss", *(MAIN[name] for name in properties if name in MAIN), "lr"]
