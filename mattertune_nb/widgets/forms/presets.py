"""Starting points for a run; each is only a difference from the defaults."""

from __future__ import annotations

import html
from copy import deepcopy
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "quick look": {
        "trainer.max_epochs": 10,
        "model.lr_scheduler.warmup": 0.1,
    },
    "small data": {
        "trainer.max_epochs": 200,
        "trainer.early_stopping": {"patience": 40},
        "model.optimizer.weight_decay": 0.05,
        "data.batch_size": 1,
    },
    "careful": {
        "model.optimizer.lr": 2e-4,
        "model.lr_scheduler.warmup": 0.1,
        "trainer.gradient_clip_val": 10.0,
        "trainer.ema": {"decay": 0.99},
        "trainer.max_epochs": 200,
    },
}

MISSING: Any = object()
"""Stands for the value of a field that is not there; ``None`` is a field that is not set."""


def find(settings: Any, path: str) -> Any:
    """Return the value of a dotted field; :data:`MISSING` where it is not there."""
    for name in path.split("."):
        settings = settings.get(name, MISSING) if isinstance(settings, dict) else MISSING
    return settings


def apply_preset(settings: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the dotted fields of a preset set; what is not there is left out."""
    out = deepcopy(settings)
    for path, value in preset.items():
        if find(out, path) is not MISSING:
            parent, _, last = path.rpartition(".")
            find(out, parent)[last] = value
    return out


def describe(preset: dict[str, Any], defaults: dict[str, Any]) -> str:
    """Return the difference from the defaults as an HTML table."""
    rows = "".join(
        f"<tr><td><code>{path}</code></td><td>{_text(find(defaults, path))} → "
        f"<b>{_text(value)}</b></td></tr>"
        for path, value in preset.items()
    )
    return f'<table class="mt-diff">{rows}</table>' if rows else ""


def _text(value: Any) -> str:
    if value is None or value is MISSING:
        return "not set"
    if isinstance(value, dict):
        return html.escape(", ".join(f"{k} {v}" for k, v in value.items()))
    return html.escape(str(value))
