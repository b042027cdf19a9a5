"""The settings that every model shares, whatever its backbone."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from mattertune_nb.config.base import HyperParameters, setting
from mattertune_nb.config.cosine_schedules import CosineAnnealingLRConfig
from mattertune_nb.config.errors import about
from mattertune_nb.config.optim import AdamWConfig, OptimizerConfig
from mattertune_nb.config.own_properties import PropertyConfig  # noqa: TC001  pydantic reads it
from mattertune_nb.config.properties import ENERGY, PROPERTIES, Property, PropertyName
from mattertune_nb.config.recipes import LoRAConfig  # noqa: TC001  pydantic reads it
from mattertune_nb.config.schedules import LRSchedulerConfig, check_sequence
from mattertune_nb.config.task import (
    EnergyPropertyConfig,
    ForcesPropertyConfig,
    NormalizerConfig,
    PerAtomReferencingNormalizerConfig,
)


class ModelConfig(HyperParameters):
    """What is trained and how; each backbone's config adds its own weights to it."""

    properties: list[PropertyConfig] = setting(
        lambda: [EnergyPropertyConfig(), ForcesPropertyConfig()],
        "What is predicted and trained on. Add the stress if cells change in your simulations "
        "and the file contains it.",
        label="Properties",
        fixed=True,
        basic=True,
        min_length=1,
        group="properties and losses",
    )
    optimizer: OptimizerConfig = setting(
        AdamWConfig,
        "How weights are updated. AdamW works for nearly all runs; change the learning rate first.",
        label="Optimizer",
        fixed=True,
        basic=True,
        group="optimizer",
    )
    lr_scheduler: LRSchedulerConfig | list[LRSchedulerConfig] | None = setting(
        CosineAnnealingLRConfig,
        "How the learning rate changes; the schedules of a list follow one another. Decay to zero "
        "(cosine decay) gives the lowest errors if the length of the run is known.",
        label="Learning-rate schedule",
        basic=True,
        kinds={"none": "constant", "config": "one schedule", "list": "one after the other"},
        group="learning rate",
    )
    lr_decay: float = setting(
        1.0,
        "Factor of the learning rate from each interaction block to the one before it; 1: the same for all. "
        "0.5 to 0.8 changes the first, most general layers less.",
        label="Rate from block to block",
        fixed=True,
        gt=0,
        le=1,
        group="learning rate",
    )
    normalizers: dict[PropertyName, list[NormalizerConfig]] = setting(
        lambda: {ENERGY.name: [PerAtomReferencingNormalizerConfig()]},
        "How labels are mapped to what the backbone predicts; undone by calculator and predictor. "
        "Keep the reference energies if your code uses a different zero of energy from the "
        "backbone's data.",
        label="Normalizers",
        fixed=True,
        group="normalization",
    )
    final_stage: float = setting(
        0.75,
        "Part of the run after which the properties' `final_loss_coefficient` apply, if set. "
        "Lower it to give the final weights more epochs.",
        label="Start of the final stage",
        gt=0,
        lt=1,
        group="properties and losses",
    )
    freeze: list[str] = setting(
        list,
        "Parameters held at their pretrained values, as patterns over their names (`*embedding*`); "
        "use it against overfitting on a few dozen frames.",
        label="Frozen parameters",
        fixed=True,
        group="frozen weights",
    )
    frozen_blocks: int = setting(
        0,
        "Number of interaction blocks, counted from the first, held at their pretrained values together "
        "with the embeddings. With all of them, only the readout of the energy from the features is trained.",
        label="Frozen interaction blocks",
        fixed=True,
        ge=0,
        group="frozen weights",
    )
    last_block_copies: int = setting(
        1,
        "Copies of the last interaction block and the readout. They share everything before and learn from "
        "different bootstrap samples of the frames: an ensemble in one run, at little extra cost. Where the "
        "copies differ, the model is uncertain. Train for several times as many epochs as there are copies; "
        "with SGD, each copy moves as many times slower.",
        label="Copies of the last block",
        fixed=True,
        ge=1,
        le=32,
        group="uncertainty",
    )
    lora: LoRAConfig | None = setting(
        None,
        "Freeze all weights and train low-rank updates to them (LoRA): few parameters, and small optimizer "
        "files. This alone does not reduce forgetting.",
        label="Low-rank updates (LoRA)",
        fixed=True,
        group="frozen weights",
    )

    @field_validator("lr_scheduler")
    @classmethod
    def _check_schedule(cls, value: Any) -> Any:
        if isinstance(value, list):
            check_sequence(value)
        return value or None

    @model_validator(mode="after")
    def _check_properties(self) -> Self:
        names = self.property_names
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            text = f"'{twice.pop()}' is listed twice; remove one"
            raise about(text, "properties")
        if all(p.loss_coefficient == 0 for p in self.properties):
            text = "the Weight of every property is 0, so there is nothing to train on; raise one"
            raise about(text, "properties")
        for name, normalizers in self.normalizers.items():
            if name in names and name not in PROPERTIES:
                text = (
                    f"'{name}' needs no normalizer: its head uses the mean and spread of the "
                    "training labels"
                )
                raise about(text, "normalizers", name)
            # the energy is there for calculators even if it is not trained on
            if normalizers and name not in {ENERGY.name, *names}:
                text = f"'{name}' is not among the properties; add it, or remove its normalizers"
                raise about(text, "normalizers", name)
            if name != ENERGY.name and any(
                isinstance(n, PerAtomReferencingNormalizerConfig) for n in normalizers
            ):
                text = "reference energies are for the energy only"
                raise about(text, "normalizers", name)
        return self

    @model_validator(mode="after")
    def _check_copies(self) -> Self:
        if self.last_block_copies > 1 and self.lora is not None:
            text = "LoRA holds the weights in which copies would differ; use one of them"
            raise about(text, "last_block_copies")
        return self

    @property
    def property_names(self) -> list[PropertyName]:
        """Names of the predicted properties, in the order of the config."""
        return [prop.name for prop in self.learnt]

    @property
    def learnt(self) -> list[Property]:
        """What is declared about each of them."""
        return [p.about() for p in self.properties]

    @property
    def labels(self) -> dict[Property, Literal["error", "mask"]]:
        """The labels used in training, and how frames without one are treated."""
        return {p.about(): p.missing for p in self.properties}

    @property
    def schedules(self) -> list[LRSchedulerConfig]:
        """The learning-rate schedules as a list, empty for a constant rate."""
        if self.lr_scheduler is None:
            return []
        return self.lr_scheduler if isinstance(self.lr_scheduler, list) else [self.lr_scheduler]
