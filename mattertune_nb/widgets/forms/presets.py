"""Goals that a run may have, each as a difference from the defaults; the values are from the study."""

from __future__ import annotations

import html
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.properties import ENERGY, FORCES

if TYPE_CHECKING:
    from mattertune_nb.config.base import StrictConfig


@dataclass(frozen=True)
class Goal:
    """What a person wants, in settings.

    Attributes
    ----------
    why
        A sentence about them.
    settings
        Value of each dotted field; an item of a list is called by its ``name``.
    needs
        The property without which it makes no sense.
    """

    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None


NO_GOAL = "No goal: the settings as they are"

GOALS: dict[str, Goal] = {
    NO_GOAL: Goal("A goal changes a few of the settings below, and names them here."),
    "A fast look": Goal(
        "Ten epochs tell whether it learns at all.",
        {"trainer.max_epochs": 10},
    ),
    "I have a few dozen frames": Goal(
        "Few frames make few steps per epoch: more epochs, and an end once nothing improves.",
        {"trainer.max_epochs": 300, "trainer.early_stopping": {"patience": 60}},
    ),
    "Forces matter most": Goal(
        "The best weights are those of the best forces; clipped gradients help these a little.",
        {
            "trainer.checkpoint.monitor": f"val/{FORCES.main_metric}",
            "trainer.gradient_clip_val": 0.1,
        },
        needs=FORCES.name,
    ),
    "Energies matter most": Goal(
        "Energies gain from more epochs and from a full weight at the end, once forces are learnt.",
        {
            "trainer.checkpoint.monitor": "val/energy_per_atom_mae",
            "model.properties.energy.final_loss_coefficient": 1.0,
            "trainer.max_epochs": 200,
        },
        needs=ENERGY.name,
    ),
    "Keep the rest": Goal(
        "Replay, one structure for each of the target, and EWC: of what was tried, it forgets least. Steps "
        "take some 1.6 times as long, and the target's errors are an eighth larger.",
        {
            "trainer.replay": {"file": None, "share": 1.0, "weight": 0.25},
            "trainer.ewc": {"weight": 1.0},
        },
    ),
    "The untuned model is nearly right": Goal(
        "Small steps keep what it knows.",
        {"model.optimizer.lr": 3e-4},
    ),
}

MISSING: Any = object()
"""Stands for the value of a field that is not there; ``None`` is a field that is not set."""


def find(settings: Any, path: str) -> Any:
    """Return the value of a dotted field; :data:`MISSING` where it is not there."""
    for name in path.split("."):
        if isinstance(settings, list):
            named = (item for item in settings if item.get("name") == name)
            settings = next(named, MISSING)
        else:
            settings = settings.get(name, MISSING) if isinstance(settings, dict) else MISSING
    return settings


def apply_settings(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with dotted fields set; what is not there is left out."""
    out = deepcopy(settings)
    for path, value in changes.items():
        if find(out, path) is not MISSING:
            parent, _, last = path.rpartition(".")
            find(out, parent)[last] = value
    return out


def describe(goal: Goal, replaced: dict[str, tuple[Any, Any]], config: StrictConfig) -> str:
    """Return why a goal asks for what, and what it has changed, as HTML.

    Parameters
    ----------
    goal
        The goal.
    replaced
        For each dotted field its value before and after.
    config
        Has the fields, by whose labels they are called.
    """
    changes = " · ".join(
        f"{html.escape(label(config, path))} {_text(before)} → <b>{_text(after)}</b>"
        for path, (before, after) in replaced.items()
        if before != after
    )
    return f'<div class="mt-note">{html.escape(goal.why)} {changes}</div>'


def label(config: Any, path: str) -> str:
    """Return the label of a dotted field, after the name of the item of a list that it is in."""
    words, owner = "", ""
    for name in path.split("."):
        if isinstance(config, list):
            config, owner = next(item for item in config if item.name == name), f"{name}: "
        else:
            declared = type(config).model_fields[name]
            words, config = declared.title or name.replace("_", " "), getattr(config, name)
    return owner + words


def _text(value: Any) -> str:
    if value is None or value is MISSING:
        return "not set"
    if isinstance(value, dict):
        told = {k: v for k, v in value.items() if k in ("patience", "decay", "share")} or value
        return html.escape(", ".join(f"{k} {v}" for k, v in told.items()))
    return html.escape(f"{value:g}" if isinstance(value, float) else str(value))
