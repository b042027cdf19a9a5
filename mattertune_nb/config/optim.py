"""Optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import about

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch


class _OptimizerConfig(StrictConfig):
    """What all optimizers share."""

    lr: float = setting(
        2e-3,
        "Learning rate. Lower it (3e-4) where the untuned model is already good or the loss jumps.",
        label="Learning rate",
        basic=True,
        gt=0,
    )

    def create_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Build torch's optimizer of the same name over `parameters`."""
        import torch

        kind: type[torch.optim.Optimizer] = getattr(
            torch.optim, type(self).__name__.removesuffix("Config")
        )
        optimizer: torch.optim.Optimizer = kind(parameters, **self.model_dump(exclude={"name"}))
        return optimizer


class AdamConfig(_OptimizerConfig):
    """Adam, :class:`torch.optim.Adam`."""

    name: Literal["adam"] = setting(
        "adam", "Kind of optimizer.", label="Kind of optimizer", options={"adam": "Adam"}
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting(
            (0.9, 0.999),
            "Decay of the running means of gradient and squared gradient.",
            label="Decay of averages (betas)",
        )
    )
    eps: float = setting(
        1e-8, "Added to the denominator for stability.", label="Stabilizer (eps)", gt=0
    )
    weight_decay: float = setting(
        0.0, "L2 penalty added to the gradient.", label="Weight decay", ge=0
    )
    amsgrad: bool = setting(False, "Use the AMSGrad variant.", label="AMSGrad", fixed=True)


class AdamWConfig(_OptimizerConfig):
    """AdamW, :class:`torch.optim.AdamW`; the default."""

    name: Literal["adamw"] = setting(
        "adamw", "Kind of optimizer.", label="Kind of optimizer", options={"adamw": "AdamW"}
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting(
            (0.9, 0.999),
            "Decay of the running means of gradient and squared gradient.",
            label="Decay of averages (betas)",
        )
    )
    eps: float = setting(
        1e-8, "Added to the denominator for stability.", label="Stabilizer (eps)", gt=0
    )
    weight_decay: float = setting(
        0.01, "Decoupled weight decay; raise it against overfitting.", label="Weight decay", ge=0
    )
    amsgrad: bool = setting(False, "Use the AMSGrad variant.", label="AMSGrad", fixed=True)


class SGDConfig(_OptimizerConfig):
    """Stochastic gradient descent, :class:`torch.optim.SGD`."""

    name: Literal["sgd"] = setting(
        "sgd", "Kind of optimizer.", label="Kind of optimizer", options={"sgd": "SGD"}
    )
    momentum: float = setting(0.0, "Momentum factor; 0.9 is usual.", label="Momentum", ge=0, lt=1)
    weight_decay: float = setting(
        0.0, "L2 penalty added to the gradient.", label="Weight decay", ge=0
    )
    dampening: float = setting(0.0, "Dampening of the momentum.", label="Dampening", ge=0)
    nesterov: bool = setting(
        False, "Nesterov momentum; needs momentum and no dampening.", label="Nesterov momentum"
    )

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            text = "Nesterov momentum needs Momentum above 0, e.g. 0.9, and Dampening 0"
            raise about(text, "nesterov")
        return self


OptimizerConfig = Annotated[AdamWConfig | AdamConfig | SGDConfig, Field(discriminator="name")]
