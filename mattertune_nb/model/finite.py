"""Predictions that are not finite, refused with their cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.soundness import same_place

if TYPE_CHECKING:
    from ase import Atoms

    from mattertune_nb.model.potential import Potential


def require_finite(result: dict[str, Any], atoms: Atoms, what: str, model: Potential) -> None:
    """Refuse NaN and infinite numbers, and name their cause if known."""
    if next(model.backbone.parameters()).dtype == torch.float16:
        found = (name for name, value in result.items() if not np.isfinite(value).all())
        wrong = next(found, None)
        if wrong is not None:
            msg = (
                f"{what}: the {wrong} are not all finite in half precision (float16), too narrow for "
                "this model. Use model.float(), or model.bfloat16()."
            )
            raise DataError(msg)
    if not np.isfinite(result.get(ENERGY.name, 0.0)):
        pair = same_place(atoms)
        reason = (
            f"atoms {pair[0]} and {pair[1]} are in the same place"
            if pair
            else "check positions and cell"
        )
        msg = f"{what}: the energy is {result[ENERGY.name]}: {reason}."
        raise DataError(msg)
