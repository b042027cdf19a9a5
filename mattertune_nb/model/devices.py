"""Checks that a device named by the user exists on this machine."""

from __future__ import annotations

from typing import Any

import torch

from mattertune_nb.config.errors import ConfigError


def require_device(device: Any) -> None:
    """Refuse a device that this machine does not have, or a name that is not a device.

    Raises
    ------
    ConfigError
        No tensor can be placed on the device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        msg = f"device '{device}' cannot be used on this machine ({reason}). Use 'cpu'."
        raise ConfigError(msg) from exc
