"""Identifies weights by their values, for what is cached about a model."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the hash of weights by name; equal values have the same on any device, in any format."""
    content = hashlib.sha256()
    for name, tensor in state.items():
        content.update(name.encode())
        content.update(np.ascontiguousarray(tensor.detach().double().cpu().numpy()).tobytes())
    return content.hexdigest()
