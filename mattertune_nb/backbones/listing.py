"""All backbones and their weights, as text."""

from __future__ import annotations

from mattertune_nb.backbones.others import ELSEWHERE
from mattertune_nb.backbones.registry import available


def listing() -> str:
    """Return what is known of each of the pretrained weights, and why others are not here."""
    lines = []
    for name, info in available().items():
        lines += [f"{name}: {'installed' if info.installed else info.install_hint}"]
        lines += [f"    not {trait}: {why}" for trait, why in info.config_class.lacks.items()]
        for weights, facts in info.config_class.weights().items():
            lines += [f"    {weights}"]
            lines += [f"        {title}: {text}" for title, text in facts.rows().items()]
        lines += [""]
    return "\n".join([*lines, "not here:", *(f"    {why}" for why in ELSEWHERE.values())])
