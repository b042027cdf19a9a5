"""The terms that a run's settings add to its loss, for code that makes steps without a Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.recipes.ewc import fisher_information
from mattertune_nb.recipes.l2_sp import DistancePenalty, start_of_backbone
from mattertune_nb.recipes.replay import ReplayPenalty, replay_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from mattertune_nb.config.trainer import TrainerConfig
    from mattertune_nb.model.potential import Penalty, Potential


def penalties(
    settings: TrainerConfig, module: Potential, target: Sequence[Atoms]
) -> dict[str, Penalty]:
    """Return the additional loss terms of a run with these settings, by name.

    Parameters
    ----------
    settings
        Settings of the run.
    module
        The model before tuning.
    target
        Structures of the target.
    """
    found: dict[str, Penalty] = {}
    if settings.replay is not None:
        foreign = replay_set(module, target, settings.replay.file)
        share, weight = settings.replay.share, settings.replay.weight
        found["replay"] = ReplayPenalty(foreign, module.backbone, share, weight, 0)
    if settings.l2_sp is not None:
        found["l2_sp"] = DistancePenalty("l2_sp", start_of_backbone(module), settings.l2_sp.weight)
    if settings.ewc is not None:
        foreign = replay_set(module, target, settings.ewc.file)
        fisher = fisher_information(module, foreign.frames)
        found["ewc"] = DistancePenalty(
            "ewc", start_of_backbone(module), settings.ewc.weight, fisher
        )
    return found
