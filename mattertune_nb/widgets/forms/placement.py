"""Which settings of a run stand on which tab, where that is not the one of their part of the config."""

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
"""Settings of the data that are looked for where the training is."""

OPTIMIZER = ("optimizer", "lr_scheduler")
"""Settings of the model that are looked for there."""


def own_problems(
    problems: Sequence[tuple[Path, str]], names: Collection[str]
) -> tuple[list[tuple[Path, str]], list[tuple[Path, str]]]:
    """Divide messages into those of some fields and the others."""
    inside = [(path, text) for path, text in problems if path and path[0] in names]
    return inside, [problem for problem in problems if problem not in inside]


def tab_of(part: str, name: str) -> str:
    """Return the tab on which a setting stands."""
    if part == "trainer" or name in BATCHES + OPTIMIZER:
        return "Training"
    return part.capitalize()
