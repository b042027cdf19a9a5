"""Starting points for a run; each is only a difference from the defaults."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "quick look": {
        "trainer.max_epochs": 10,
        "model.lr_scheduler.warmup": 0.1,
    },
    "small data": {
        "trainer.max_epochs": 200,
        "trainer.early_stopping": {"patience": 40},
        "model.optimizer.weight_decay": 0.05,
        "data.batch_size": 2,
    },
    "careful": {
        "model.optimizer.lr": 2e-4,
        "model.lr_scheduler.warmup": 0.1,
        "trainer.gradient_clip_val": 10.0,
        "trainer.ema": {"decay": 0.99},
        "trainer.max_epochs": 200,
    },
}


def apply_preset(settings: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the dotted fields of a preset set; what is not there is left out."""
    out = deepcopy(settings)
    for path, value in preset.items():
        *parents, last = path.split(".")
        target: Any = out
        for name in parents:
            target = target.get(name) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[last] = value
    return out


def describe(preset: dict[str, Any]) -> str:
    """Return the difference from the defaults as text."""
    return ", ".join(f"{path} = {value}" for path, value in preset.items()) or "no difference"
