"""Inputs of a structure that its energy depends on besides the atoms: a charge, or a level of theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from mattertune_nb.config.errors import DataError, cut

if TYPE_CHECKING:
    from ase import Atoms


Allowed = tuple[int, int] | tuple[str, ...]
"""Allowed values of an input: the smallest and largest integer, or a list of words."""


def input_of(
    atoms: Atoms, name: str, default: float | str, allowed: Allowed | None = None
) -> Tensor:
    """Return an input of a structure, (1,): a number in float64, or the index of a word among those allowed.

    Parameters
    ----------
    atoms
        The structure.
    name
        Key in its ``info``.
    default
        Value if the structure has none.
    allowed
        Allowed values; by default any number.

    Raises
    ------
    DataError
        The value is not allowed.
    """
    given = atoms.info.get(name, default)
    if not isinstance(default, str):
        return _number(given, name, default, cast("tuple[int, int] | None", allowed))
    words = cast("tuple[str, ...]", allowed)
    if str(given) not in words:
        msg = (
            f"its '{name}' is {cut(repr(given))}, and has to be one of {', '.join(words)}; without one it "
            f"is {default}."
        )
        raise DataError(msg)
    return torch.tensor([words.index(str(given))])


def _number(given: Any, name: str, default: float, whole: tuple[int, int] | None) -> Tensor:
    try:
        number = torch.tensor([float(given)], dtype=torch.float64)
    except (TypeError, ValueError):
        number = torch.tensor([torch.nan])
    if not number.isfinite():
        msg = f"its '{name}' is {cut(repr(given))}, and has to be a number; without one it is {default:g}."
        raise DataError(msg)
    if whole is not None and number != number.round().clamp(*whole):
        low, high = whole
        msg = (
            f"its '{name}' is {number.item():g}, and has to be a whole number from {low} to {high}."
        )
        raise DataError(msg)
    return number
