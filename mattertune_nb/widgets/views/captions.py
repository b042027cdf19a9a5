"""The caption of a structure: its elements with their colours, and the colour scale of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.escaped import escaped
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views.shown import element_colors

if TYPE_CHECKING:
    from ase import Atoms

    from mattertune_nb.widgets.views.shown import Shown


def legend_html(atoms: Atoms) -> str:
    """Return the elements with their colours."""
    from matplotlib.colors import to_hex

    parts = []
    present = np.unique(atoms.numbers)
    for z, color in zip(present.tolist(), element_colors(present), strict=True):
        parts.append(
            f'<span style="white-space:nowrap"><span style="background:{to_hex(color)};'
            "border:1px solid #888;border-radius:50%;"
            f'display:inline-block;width:10px;height:10px"></span> {chemical_symbols[z]}</span>'
        )
    return " ".join(parts)


def color_bar_html(shown: Shown) -> str:
    """Return the colour bar of the values with its title, or nothing if there are none."""
    if shown.values is None:
        return ""
    low, high = shown.limits
    ticks = "".join(f"<span>{number(at)}</span>" for at in (low, (low + high) / 2, high))
    return (
        '<div class="mt-color-bar" role="img" style="max-width:420px;line-height:1.3">'
        f"<div>{escaped(shown.label)}</div>"
        f'<div style="background:linear-gradient(to right,{",".join(shown.colormap)});height:10px;'
        'border-radius:2px"></div>'
        f'<div style="display:flex;justify-content:space-between">{ticks}</div></div>'
    )
