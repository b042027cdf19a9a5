"""Settings of callbacks that watch a fit, or that preserve what a model knew before it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mattertune_nb.config.base import StrictConfig, setting


class ReplayConfig(StrictConfig):
    """Structures away from the target that are trained on as well, so that less is forgotten."""

    file: Path | None = setting(
        None,
        "Structures with or without energies and forces, which the untuned model provides if missing; not "
        "set: generated. Set it if you have data on which the tuned model should stay good.",
        label="File",
        basic=True,
    )
    share: float = setting(
        0.25,
        "Replayed structures per target structure. Raise it if too much is forgotten; each takes as long as "
        "a target structure of its size.",
        label="Structures per target structure",
        basic=True,
        gt=0,
        le=4,
    )
    weight: float = setting(
        0.25,
        "Weight of their losses relative to those of the target. Raise it if too much is forgotten, lower "
        "it if the errors on the target suffer.",
        label="Weight",
        gt=0,
    )


class LoRAConfig(StrictConfig):
    """Low-rank updates to linear layers and tensor products, trained in place of the weights.

    They are merged into the weights in the best checkpoint and in everything exported.
    """

    fields_are_fixed: ClassVar[bool] = True

    rank: int = setting(
        8,
        "Rank of each update. Raise it if the target is not learnt, lower it if the model overfits little "
        "data.",
        label="Rank",
        basic=True,
        ge=1,
    )
    alpha: float = setting(
        16.0,
        "Size of the updates: they are multiplied by this divided by the rank. Raise it if training is slow.",
        label="Size (alpha)",
        gt=0,
    )
    targets: list[str] = setting(
        lambda: ["*"],
        "Which weights get an update, as patterns over their names (`*convolution*`); `*`: all linear "
        "layers and, in e3nn, linear layers and tensor products, path by path.",
        label="Weights with an update",
        min_length=1,
    )


class UnfreezingConfig(StrictConfig):
    """Start with the readout and unfreeze one interaction block after the other, the last one first."""

    epochs: int = setting(
        1,
        "Epochs until the next interaction block is trained as well, from the last to the first.",
        label="Epochs per block",
        basic=True,
        ge=1,
    )


class EWCConfig(StrictConfig):
    """Keep each weight near its pretrained value as strongly as predictions elsewhere need it (EWC)."""

    weight: float = setting(
        1.0,
        "Weight of the penalty in the loss. Raise it if too much is forgotten, lower it if the target is "
        "not learnt.",
        label="Weight",
        basic=True,
        gt=0,
    )
    file: Path | None = setting(
        None,
        "Structures used to find the weights that matter; not set: those generated for replay. Set it if "
        "you have data on which the tuned model should stay good.",
        label="File",
    )


class L2SPConfig(StrictConfig):
    """Keep the weights near the pretrained ones: half their squared distance is added to the loss."""

    weight: float = setting(
        1e-3,
        "Weight of the penalty in the loss. Raise it if too much is forgotten, lower it if the target is "
        "not learnt.",
        label="Weight",
        basic=True,
        gt=0,
    )


class ForeignSetConfig(StrictConfig):
    """Structures away from the target, on which a run measures what else changes."""

    file: Path | None = setting(
        None,
        "Structures to compare, with or without energies and forces; not set: generated from the elements "
        "of the backbone. Set it if you have data on which the tuned model should stay good.",
        label="File",
        basic=True,
    )
    share: float = setting(
        0.03,
        "Fraction of the training time that it may take together with the check for short-range holes; both "
        "measure as often as that allows. Raise it for a finer curve.",
        label="Share of the time",
        gt=0,
        le=1,
    )
