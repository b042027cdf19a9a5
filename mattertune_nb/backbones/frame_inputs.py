"""Numbers of a structure that an energy depends on, such as its charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mattertune_nb.config.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms


def number_of(
    atoms: Atoms, name: str, default: float, whole: tuple[int, int] | None = None
) -> Tensor:
    """Return a number of a structure, (1,), in float64.

    Parameters
    ----------
    atoms
        The structure.
    name
        Key of its ``info``.
    default
        What holds where it has none.
    whole
        From which to which whole number it has to be; not given: any number.

    Raises
    ------
    DataError
        It is another.
    """
    given = atoms.info.get(name, default)
    try:
        number = torch.tensor([float(given)], dtype=torch.float64)
    except (TypeError, ValueError):
        number = torch.tensor([torch.nan])
    if not number.isfinite():
        msg = f"its '{name}' is {given!r}, and has to be a number; without one it is {default:g}."
        raise DataError(msg)
    if whole is not None and number != number.round().clamp(*whole):
        low, high = whole
        msg = (
            f"its '{name}' is {number.item():g}, and has to be a whole number from {low} to {high}."
        )
        raise DataError(msg)
    return number
