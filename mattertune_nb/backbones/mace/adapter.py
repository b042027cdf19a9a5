"""MACE's own model on our graphs, up to the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols
from mace.calculators import LAMMPS_MACE
from mace.modules.models import o3  # not from e3nn, see files.py
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.lammps import PairStyle
from mattertune_nb.backbones.mace.files import build
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch

_SCALAR = o3.Irrep(0, 1)


class MACEBackbone(MultiHeadBackbone):
    """Adapter of ``ScaleShiftMACE``, called without computing its gradients.

    The vendor adds the energies of isolated atoms in the precision of the weights; in float32, all-electron
    energies of thousands of eV would lose digits, so here they are summed in float64.
    """

    types: Tensor  # (119,), by atomic number
    isolated: Tensor  # (heads, elements), eV
    scalars: Tensor  # (n_features,), columns of the vendor's features
    has_atom_energies = True
    always_double = ("isolated",)

    def __init__(self, model: Any, label: str, settings: dict[str, Any], head: str | None) -> None:
        super().__init__()
        self.architecture = settings
        self.label = label
        self.cutoff = float(settings["r_max"])
        self.heads = tuple(settings["heads"])
        self.head = head_of(self.heads, head, label)
        if len(self.heads) > 1:
            self.frame_inputs = {"head": self.heads[self.head]}
            self.input_ranges = {"head": self.heads}
        numbers = [int(z) for z in settings["atomic_numbers"]]
        self.elements = tuple(chemical_symbols[z] for z in numbers)
        types = torch.full((len(chemical_symbols),), -1)
        types[numbers] = torch.arange(len(numbers))
        energies = _by_head(model).clone()
        self.model = model.float().requires_grad_()
        self.register_buffer("types", types, persistent=False)
        self.register_buffer("isolated", energies)
        features: list[int] = []
        start = 0
        for product in model.products:
            irreps = o3.Irreps(str(product.linear.irreps_out))
            for (mul, ir), part in zip(irreps, irreps.slices(), strict=True):
                if ir == _SCALAR:
                    features += range(start + part.start, start + part.start + mul)
            start += irreps.dim
        self.register_buffer("scalars", torch.tensor(features), persistent=False)
        self.n_features = len(features)

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        torch.save(self._vendors(references), path)

    @override
    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        from e3nn.util import jit

        # like the vendor's mace_create_lammps_model, which asks for the head at a prompt
        vendors = LAMMPS_MACE(self._vendors(references), head=self.heads[self.head])
        jit.compile(vendors).save(str(path))
        # the pair style looks for the atom that a periodic image belongs to
        before = ("newton on", "atom_modify map yes")
        return PairStyle("mace no_domain_decomposition", path.name, before_atoms=before)

    def _vendors(self, references: NDArray[np.float64]) -> Any:
        """Return the vendor's model in float64, with reference energies added to those of its heads."""
        assert self.architecture is not None
        model = build(self.architecture).double()
        model.load_state_dict(self.model.state_dict())
        energies = self.isolated.cpu().clone()
        energies += torch.from_numpy(references[self.architecture["atomic_numbers"]])
        own = model.atomic_energies_fn.atomic_energies
        model.atomic_energies_fn.atomic_energies = energies.reshape(own.shape)
        return model

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        types = self.types[batch.numbers]
        head = batch.extra.get("head", torch.full_like(batch.n_atoms, self.head))
        dtype = edge_vectors.dtype
        n_types = len(self.elements)
        found = self.model(
            {
                "node_attrs": torch.nn.functional.one_hot(types, n_types).to(dtype),
                # the vendor's vectors are position - position + shift
                "positions": edge_vectors.new_zeros(len(types), 3),
                "shifts": edge_vectors,
                "edge_index": batch.edge_index,
                "cell": batch.cell.to(dtype),
                "batch": batch.batch,
                "ptr": torch.cat([batch.n_atoms.new_zeros(1), batch.n_atoms.cumsum(0)]),
                "head": head,
            },
            compute_force=False,
        )
        lost = self.isolated - _by_head(self.model)
        atoms = found["node_energy"] + lost[head[batch.batch], types]
        energy = atoms.new_zeros(len(batch)).index_add(0, batch.batch, atoms)
        out = {ENERGY.name: energy}
        if FEATURES in heads:
            out[FEATURES] = found["node_feats"].index_select(1, self.scalars)
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = atoms
        return out


def _by_head(model: Any) -> Tensor:
    """Return the energies of isolated atoms, (heads, elements), in float64."""
    energies: Tensor = model.atomic_energies_fn.atomic_energies.detach().double()
    return energies.view(-1, len(model.atomic_numbers))


def head_of(names: Sequence[str], head: str | None, label: str) -> int:
    """Return the index of a head; without a name, of the only one or the one called default."""
    lower = [name.lower() for name in names]
    if head is None and (len(names) == 1 or "default" in lower):
        return lower.index("default") if "default" in lower else 0
    if head not in names:
        msg = f"head: {label} has {', '.join(names)}; set one of them in place of {head}."
        raise ConfigError(msg)
    return names.index(head)
