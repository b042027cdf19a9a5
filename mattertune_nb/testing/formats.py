"""Tensors of a backbone that stay in float64, whatever the format of the others."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from mattertune_nb.model.module import FinetuneModuleBase

_FORMATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def kept_in_float64(model: FinetuneModuleBase) -> Iterator[str]:
    """Yield a line for each tensor in the adapter's ``always_double`` that a change of format changes."""
    before = _tensors(model)
    for dtype in _FORMATS:
        after = _tensors(copy.deepcopy(model).to(dtype))
        for name in model.backbone.always_double:
            found = after[name]
            if found.dtype != torch.float64:
                yield f"'{name}' is {found.dtype} in a model in {dtype}"
            elif not torch.equal(found, before[name]):
                yield f"'{name}' has other values in a model in {dtype}"


def _tensors(model: FinetuneModuleBase) -> dict[str, Tensor]:
    """Return the backbone's parameters and buffers, also those that no checkpoint has."""
    return {**dict(model.backbone.named_parameters()), **dict(model.backbone.named_buffers())}
