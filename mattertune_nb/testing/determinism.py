"""Deterministic sums while a backbone is checked."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def deterministic() -> Iterator[None]:
    """Use the same order of summation each time, and keep Lightning from announcing its Trainer."""
    before = torch.are_deterministic_algorithms_enabled()
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        log.setLevel(level)
