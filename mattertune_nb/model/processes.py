"""Communication between the processes of a distributed run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

T = TypeVar("T")


def gathered(trainer: Trainer, value: T) -> list[T]:
    """Return the values of all processes, by rank; each process must call this."""
    if trainer.world_size == 1:
        return [value]
    values: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values
