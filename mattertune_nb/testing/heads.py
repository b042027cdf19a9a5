"""A backbone's own heads and features: the same for single structures, in batches, and when rotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mattertune_nb.backbones.backbone import FEATURES, Backbone
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY, PROPERTIES, STRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ase import Atoms

_SAME = 1e-6
"""Largest allowed difference between values that must be equal, in float64."""


def heads_alike(
    backbone: Backbone,
    implements: Sequence[str],
    structures: Mapping[str, Atoms],
    *,
    turned: bool = True,
) -> Iterator[str]:
    """Yield a line for each head that, in float64, depends on the batch or, if `turned`, on the axes."""
    names = [name for name in implements if name != ENERGY.name]
    names += [FEATURES] if backbone.n_features else []
    names += [ATOM_ENERGIES.name] if backbone.has_atom_energies else []
    if not names:
        return
    chosen = {name: structures[name] for name in ("crystal", "molecule")}
    together = _outputs(backbone, [*chosen.values()], names)
    first = 0
    for i, (name, atoms) in enumerate(chosen.items()):
        rotated = atoms.copy()
        rotated.rotate(40, (1, 2, 3), rotate_cell=True)
        alone, after = (_outputs(backbone, [a], names) for a in (atoms, rotated))
        for head in names:
            rows = slice(i, i + 1) if head == STRESSES.name else slice(first, first + len(atoms))
            error = _difference(together[head][rows], alone[head])
            if not error < _SAME:
                yield f"{name}: {head} in a batch off by {error:.2g}"
            # vectors and tensors would only be equal after being rotated
            is_scalar = turned and head not in PROPERTIES
            if is_scalar and not torch.allclose(alone[head], after[head], atol=_SAME):
                yield f"{name}: {head} change as it is turned"
        if ATOM_ENERGIES.name in names:
            error = float((alone[ATOM_ENERGIES.name].sum() - alone[ENERGY.name]).abs().max())
            if not error < _SAME * len(atoms):
                yield f"{name}: the energies of atoms differ from the energy by {error:.2g} eV"
        first += len(atoms)


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference; entries without a value in both count as equal."""
    is_same = (one == other) | (one.isnan() & other.isnan())
    return float(torch.where(is_same, 0.0, (one - other).abs()).max())


def _outputs(
    backbone: Backbone, structures: Sequence[Atoms], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    batch = backbone.collate([backbone.graph(atoms) for atoms in structures])
    out: dict[str, torch.Tensor] = backbone(batch, stress=True, heads=names)
    return out
