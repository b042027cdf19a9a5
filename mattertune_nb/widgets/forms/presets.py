"""Goals for a run, each a set of differences from the defaults; the values come from the study."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import ENERGY, FORCES

if TYPE_CHECKING:
    from mattertune_nb.config.base import StrictConfig


@dataclass(frozen=True)
class Goal:
    """A goal of the user, as settings.

    Attributes
    ----------
    why
        A sentence that explains them.
    settings
        Value of each dotted field; an item of a list is addressed by its ``name``.
    needs
        The property without which the goal makes no sense.
    """

    why: str
    settings: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None


NO_GOAL = "No goal: keep the current settings"

GOALS: dict[str, Goal] = {
    NO_GOAL: Goal("A goal changes a few of the settings below, and lists them here."),
    "A fast look": Goal(
        "Ten epochs show whether it learns at all.",
        {"trainer.max_epochs": 10},
    ),
    "I have a few dozen frames": Goal(
        "Few frames mean few steps per epoch: more epochs, and an early stop once nothing improves.",
        {"trainer.max_epochs": 300, "trainer.early_stopping": {"patience": 60}},
    ),
    "Forces matter most": Goal(
        "The best weights are those with the best forces; gradient clipping helps forces a little.",
        {
            "trainer.checkpoint.monitor": f"val/{FORCES.main_metric}",
            "trainer.gradient_clip_val": 0.1,
        },
        needs=FORCES.name,
    ),
    "Energies matter most": Goal(
        "Energies benefit from more epochs and from full weight at the end, once forces are learnt.",
        {
            "trainer.checkpoint.monitor": f"val/{ENERGY.main_metric}",
            "model.properties.energy.final_loss_coefficient": 1.0,
            "trainer.max_epochs": 200,
        },
        needs=ENERGY.name,
    ),
    "Keep the rest": Goal(
        "Replay, one structure per target structure, and EWC: of everything tried, this forgets least. "
        "Steps take about 1.6 times as long, and the errors on the target are an eighth larger.",
        {
            "trainer.replay": {"file": None, "share": 1.0, "weight": 0.25},
            "trainer.ewc": {"weight": 1.0},
        },
    ),
    "The untuned model is nearly right": Goal(
        "Small steps preserve what it knows.",
        {"model.optimizer.lr": 3e-4},
    ),
}

MISSING: Any = object()
"""Stands for the value of a missing field; ``None`` is the value of an unset one."""


def find(settings: Any, path: str) -> Any:
    """Return the value of a dotted field; :data:`MISSING` if there is no such field."""
    for name in path.split("."):
        if isinstance(settings, list):
            named = (item for item in settings if item.get("name") == name)
            settings = next(named, MISSING)
        else:
            settings = settings.get(name, MISSING) if isinstance(settings, dict) else MISSING
    return settings


def apply_settings(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with dotted fields set; missing fields are left out."""
    out = deepcopy(settings)
    for path, value in changes.items():
        if find(out, path) is not MISSING:
            parent, _, last = path.rpartition(".")
            find(out, parent)[last] = value
    return out


def describe(goal: Goal, replaced: dict[str, tuple[Any, Any]], config: StrictConfig) -> str:
    """Return, as HTML, the reason for a goal and what it has changed.

    Parameters
    ----------
    goal
        The goal.
    replaced
        For each dotted field, its value before and after.
    config
        Contains the fields, which are shown by their labels.
    """
    changes = " · ".join(
        f"{escaped(label(config, path))} {_text(before)} → <b>{_text(after)}</b>"
        for path, (before, after) in replaced.items()
        if before != after
    )
    return f'<div class="mt-note">{escaped(goal.why)} {changes}</div>'


def label(config: Any, path: str) -> str:
    """Return the label of a dotted field, preceded by the name of the list item that contains it."""
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
        return escaped(", ".join(f"{k} {v}" for k, v in told.items()))
    return escaped(f"{value:g}" if isinstance(value, float) else str(value))
