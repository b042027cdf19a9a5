"""Settings of what watches a fit, or keeps what a model knew before it."""

from __future__ import annotations

from pathlib import Path

from mattertune_nb.config.base import StrictConfig, setting


class ReplayConfig(StrictConfig):
    """Structures away from the target that are trained on beside it, so that less is forgotten."""

    file: Path | None = setting(
        None,
        "Structures with energies and forces, or without, which the untuned model then labels; not set: some "
        "are made. Set it where you have data that the tuned model should stay good at.",
        label="File",
        basic=True,
    )
    share: float = setting(
        0.25,
        "Structures for each one of the target. Raise it where too much is forgotten; each takes as long as "
        "one of its size in the target.",
        label="Structures a target structure",
        basic=True,
        gt=0,
        le=4,
    )
    weight: float = setting(
        0.25,
        "Weight of their losses beside those of the target. Raise it where too much is forgotten, lower it "
        "where the target's errors suffer.",
        label="Weight",
        gt=0,
    )


class L2SPConfig(StrictConfig):
    """Hold the weights near the pretrained ones: half their squared distance is added to the loss."""

    weight: float = setting(
        1e-3,
        "Weight of the penalty in the loss. Raise it where too much is forgotten, lower it where the target "
        "is not learnt.",
        label="Weight",
        basic=True,
        gt=0,
    )


class ForeignSetConfig(StrictConfig):
    """Structures away from the target, on which a run measures what else it changes."""

    file: Path | None = setting(
        None,
        "Structures to look at, with energies and forces or without; not set: some are made over the "
        "elements of the backbone. Set it where you have data that the tuned model should stay good at.",
        label="File",
        basic=True,
    )
    share: float = setting(
        0.03,
        "Part of the training's time that it may take; it is measured as often as that allows. Raise it for "
        "a finer curve.",
        label="Share of the time",
        gt=0,
        le=1,
    )
