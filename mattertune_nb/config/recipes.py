"""Settings of what watches a fit, or keeps what a model knew before it."""

from __future__ import annotations

from pathlib import Path

from mattertune_nb.config.base import StrictConfig, setting


class ForeignSetConfig(StrictConfig):
    """Structures away from the target, on which a run measures what else it changes."""

    file: Path | None = setting(
        None,
        "Structures to look at, with energies and forces or without; not set: some are made over the "
        "elements of the backbone. Set it where you have data that the tuned model should stay good at.",
        label="File",
        basic=True,
    )
    share: float = setting(
        0.03,
        "Part of the training's time that it may take; it is measured as often as that allows. Raise it for "
        "a finer curve.",
        label="Share of the time",
        gt=0,
        le=1,
    )
