"""Which tab shows a setting, if not the tab of its section of the config."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mattertune_nb.widgets.forms.editor import Path

BATCHES = (
    "batch_size",
    "max_atoms",
    "num_workers",
    "graph_memory_mb",
    "graph_disk_mb",
    "pin_memory",
)
"""Data settings that people expect on the training tab."""

OPTIMIZER = ("optimizer", "lr_scheduler")
"""Model settings that people expect there."""


def own_problems(
    problems: Sequence[tuple[Path, str]], names: Collection[str]
) -> tuple[list[tuple[Path, str]], list[tuple[Path, str]]]:
    """Separate the messages about some fields from the others."""
    inside = [(path, text) for path, text in problems if path and path[0] in names]
    return inside, [problem for problem in problems if problem not in inside]


def tab_of(part: str, name: str) -> str:
    """Return the tab that shows a setting."""
    if part == "trainer" or name in BATCHES + OPTIMIZER:
        return "Training"
    return part.capitalize()
