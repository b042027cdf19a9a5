"""Spread of the members of an ensemble: the uncertainty of their mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mattertune_nb.config.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mattertune_nb.config.properties import Property, PropertyName

SPREAD = "_std"
"""Suffix of the names of spreads, e.g. ``forces_std``."""


def with_spreads(properties: Mapping[PropertyName, Property]) -> dict[PropertyName, Property]:
    """Return the descriptions of the properties and of the spread of each."""
    own = {name: p for name, p in properties.items() if not p.spread_of}
    return own | {name + SPREAD: _spread_of(p) for name, p in own.items()}


def whose(
    asked: Sequence[PropertyName], properties: Mapping[PropertyName, Property]
) -> dict[PropertyName, PropertyName]:
    """Return what to predict for each requested property: itself, or the property whose spread it is."""
    return {
        name: properties[name].spread_of or name if name in properties else name for name in asked
    }


def mean_and_spread(
    found: Sequence[Mapping[PropertyName, Tensor]],
    of: Mapping[PropertyName, PropertyName],
    factors: Mapping[PropertyName, float],
) -> dict[PropertyName, Tensor]:
    """Return the mean over members, and their standard deviation times its factor.

    Parameters
    ----------
    found
        Predictions of each member.
    of
        Result of :func:`whose`.
    factors
        Factor by which the spread of each property is multiplied.
    """
    stacked = {
        name: torch.stack([one[name].detach() for one in found]) for name in set(of.values())
    }
    return {
        name: stacked[base].mean(dim=0)
        if name == base
        else factors[base] * stacked[base].std(dim=0)
        for name, base in of.items()
    }


def _spread_of(prop: Property) -> Property:
    title = f"spread of {prop.title}"
    return replace(
        prop,
        name=prop.name + SPREAD,
        ase=(prop.ase if prop.name in PROPERTIES else prop.name) + SPREAD,
        quantities=(replace(prop.quantities[0], title=title),),
        has_references=False,
        is_extensive=False,
        is_gradient=False,
        spread_of=prop.name,
    )
