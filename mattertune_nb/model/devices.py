"""Devices that a person names, which this machine may not have."""

from __future__ import annotations

from typing import Any

import torch

from mattertune_nb.config.errors import ConfigError


def require_device(device: Any) -> None:
    """Refuse a device that is not on this machine, or is none.

    Raises
    ------
    ConfigError
        Where a tensor cannot be put there.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        msg = f"device '{device}' cannot be used on this machine ({reason}). Use 'cpu'."
        raise ConfigError(msg) from exc
