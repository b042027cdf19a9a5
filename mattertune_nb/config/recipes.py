"""Settings of what watches a fit, or keeps what a model knew before it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

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
        label="Structures per target structure",
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


class LoRAConfig(StrictConfig):
    """Updates of low rank to linear layers and tensor products, which are trained in place of the weights.

    They are added to the weights in the checkpoint of the best weights and in all that is exported.
    """

    fields_are_fixed: ClassVar[bool] = True

    rank: int = setting(
        8,
        "Rank of each update. Raise it where the target is not learnt, lower it where too little data makes "
        "the model overfit.",
        label="Rank",
        basic=True,
        ge=1,
    )
    alpha: float = setting(
        16.0,
        "Size of the updates: they are multiplied with this over the rank. Raise it where training is slow.",
        label="Size (alpha)",
        gt=0,
    )
    targets: list[str] = setting(
        lambda: ["*"],
        "Which weights get an update, as patterns over their names (`*convolution*`); `*`: all linear layers "
        "and, of e3nn, linear layers and tensor products, path by path.",
        label="Weights with an update",
        min_length=1,
    )


class UnfreezingConfig(StrictConfig):
    """Begin with the readout, and set one interaction block after the other free, the last one first."""

    epochs: int = setting(
        1,
        "Epochs until the next interaction block, from the last to the first, is trained as well.",
        label="Epochs per block",
        basic=True,
        ge=1,
    )


class EWCConfig(StrictConfig):
    """Hold each weight near the pretrained one as much as predictions elsewhere depend on it (EWC)."""

    weight: float = setting(
        1.0,
        "Weight of the penalty in the loss. Raise it where too much is forgotten, lower it where the target "
        "is not learnt.",
        label="Weight",
        basic=True,
        gt=0,
    )
    file: Path | None = setting(
        None,
        "Structures by which the weights that matter are told; not set: those that replay makes. Set it "
        "where you have data that the tuned model should stay good at.",
        label="File",
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
