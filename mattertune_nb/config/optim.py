"""Optimizers."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import ConfigError, about
from mattertune_nb.config.messages import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch


_OTHERS = "others"
"""Name of the group of parameters that match no pattern."""


class _OptimizerConfig(StrictConfig):
    """What all optimizers share."""

    lr: float = setting(
        2e-3,
        "Learning rate. Lower it (3e-4) if the untuned model is already good or the loss jumps.",
        label="Learning rate",
        basic=True,
        gt=0,
    )

    lr_factors: dict[str, Annotated[float, Field(gt=0)]] = setting(
        dict,
        "Factors of the learning rate for parameters whose names match a pattern, e.g. "
        "`{'*embedding*': 0.1}`; the first matching pattern applies.",
        label="Factors for some parameters",
        fixed=True,
        examples=[{"*embedding*": 0.1}],
    )

    def create_optimizer(
        self,
        parameters: Iterable[torch.nn.Parameter | tuple[str, torch.nn.Parameter]],
        factors: Mapping[str, float] | None = None,
    ) -> torch.optim.Optimizer:
        """Build torch's optimizer of the same name.

        Parameters
        ----------
        parameters
            Named if some have their own rate; patterns are matched against names without the prefix
            ``backbone.``, as in ``freeze``.
        factors
            Further factors of the learning rate, by parameter name without the prefix; 1 for the others.

        Raises
        ------
        ConfigError
            A pattern matches no parameter, or the parameters have no names.
        """
        import torch

        kind: type[torch.optim.Optimizer] = getattr(
            torch.optim, type(self).__name__.removesuffix("Config")
        )
        given = [p if isinstance(p, tuple) else ("", p) for p in parameters]
        has_own = self.lr_factors or factors
        groups: Any = self._groups(given, factors or {}) if has_own else [p for _, p in given]
        settings = self.model_dump(exclude={"name", "lr_factors"})
        optimizer: torch.optim.Optimizer = kind(groups, **settings)
        return optimizer

    def _groups(
        self, given: list[tuple[str, torch.nn.Parameter]], factors: Mapping[str, float]
    ) -> list[dict[str, Any]]:
        """Return torch's groups of parameters: those with the full rate first."""
        groups: dict[tuple[str, float], list[torch.nn.Parameter]] = {}
        names = [name.removeprefix("backbone.") for name, _ in given]
        if not all(names):
            msg = "lr_factors: the parameters have no names; give module.named_parameters()."
            raise ConfigError(msg)
        for name, (_, parameter) in zip(names, given, strict=True):
            fits = (pattern for pattern in self.lr_factors if fnmatchcase(name, pattern))
            key = next(fits, _OTHERS), factors.get(name, 1.0)
            groups.setdefault(key, []).append(parameter)
        for pattern in self.lr_factors:
            if pattern not in {key for key, _ in groups}:
                msg = (
                    f"lr_factors: {shown(pattern)} matches no trained parameter that an earlier pattern "
                    f"does not match, e.g. '{names[0]}'."
                )
                raise ConfigError(msg)
        order = [_OTHERS, *self.lr_factors]
        return [
            {
                "params": groups[pattern, factor],
                "lr": self.lr * self.lr_factors.get(pattern, 1.0) * factor,
                "name": pattern if factor == 1 else f"{pattern} × {factor:.4g}",
            }
            for pattern, factor in sorted(groups, key=lambda key: (order.index(key[0]), -key[1]))
        ]


def _l2_penalty() -> Any:
    return setting(
        0.0,
        "L2 penalty added to the gradient. Raise it (1e-4) against overfitting on a few dozen "
        "frames; AdamW does this better.",
        label="Weight decay",
        ge=0,
    )


class _AdamBaseConfig(_OptimizerConfig):
    """What Adam and AdamW share."""

    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting(
            (0.9, 0.999),
            "Decay of the running means of gradient and squared gradient. The usual values hold "
            "for nearly all runs; 0.99 or less for the second one calms loss spikes.",
            label="Decay of averages (betas)",
        )
    )
    eps: float = setting(
        1e-8,
        "Added to the denominator for stability. Raise it (1e-6) only if the loss becomes NaN "
        "in half precision.",
        label="Stabilizer (eps)",
        gt=0,
    )
    weight_decay: float = _l2_penalty()
    amsgrad: bool = setting(
        False,
        "Use the AMSGrad variant, whose steps never grow again. Try it if the loss oscillates late in a "
        "run.",
        label="AMSGrad",
        fixed=True,
    )


class AdamConfig(_AdamBaseConfig):
    """Adam, :class:`torch.optim.Adam`."""

    name: Literal["adam"] = setting(
        "adam", "Kind of optimizer.", label="Kind of optimizer", options={"adam": "Adam"}
    )


class AdamWConfig(_AdamBaseConfig):
    """AdamW, :class:`torch.optim.AdamW`; the default."""

    name: Literal["adamw"] = setting(
        "adamw", "Kind of optimizer.", label="Kind of optimizer", options={"adamw": "AdamW"}
    )
    weight_decay: float = setting(
        0.01, "Decoupled weight decay; raise it against overfitting.", label="Weight decay", ge=0
    )


class SGDConfig(_OptimizerConfig):
    """Stochastic gradient descent, :class:`torch.optim.SGD`."""

    name: Literal["sgd"] = setting(
        "sgd", "Kind of optimizer.", label="Kind of optimizer", options={"sgd": "SGD"}
    )
    momentum: float = setting(
        0.0,
        "Momentum factor; 0.9 is usual. Lower it if the loss oscillates.",
        label="Momentum",
        ge=0,
        lt=1,
    )
    weight_decay: float = _l2_penalty()
    dampening: float = setting(
        0.0,
        "Dampening of the momentum. Leave it at 0 unless a recipe says otherwise.",
        label="Dampening",
        ge=0,
    )
    nesterov: bool = setting(
        False,
        "Nesterov momentum; needs momentum and no dampening. Try it if SGD converges slowly.",
        label="Nesterov momentum",
    )

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            text = "Nesterov momentum needs Momentum above 0, e.g. 0.9, and Dampening 0"
            raise about(text, "nesterov")
        return self


OptimizerConfig = Annotated[AdamWConfig | AdamConfig | SGDConfig, Field(discriminator="name")]
