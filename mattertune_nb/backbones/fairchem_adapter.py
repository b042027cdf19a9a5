"""UMA's and eSEN's own modules on our graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols
from fairchem.core.datasets.atomic_data import AtomicData
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES, Backbone
from mattertune_nb.backbones.fairchem_files import Loaded, build, save
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


class FairchemBackbone(Backbone):
    """Adapter of ``HydraModel``; normalizer and energies of elements, which are beside it, are added here."""

    scale: Tensor
    shift: Tensor
    references: Tensor
    always_double = ("scale", "shift", "references")

    def __init__(
        self,
        recipe: dict[str, Any],
        loaded: Loaded | None,
        label: str,
        inputs: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.model = build(recipe).float()
        self.architecture = recipe
        self.task = recipe["task"]
        self.label = label
        backbone = self.model.backbone
        # it draws a figure of its experts in each step of training
        backbone.log_MOLE_stats = _nothing
        self.cutoff = float(backbone.cutoff)
        self.max_neighbors = int(backbone.max_neighbors)
        self.elements = tuple(chemical_symbols[1 : int(backbone.max_num_elements)])
        self.n_features = int(backbone.sphere_channels)
        self.frame_inputs = dict(inputs)
        self.input_ranges = {"charge": (-100, 100), "spin": (0, 100)}
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros((), dtype=torch.float64))
        by_element = torch.zeros(len(chemical_symbols), dtype=torch.float64)
        self.register_buffer("references", by_element)
        if loaded is not None:
            self.model.load_state_dict(loaded.weights, strict=False)
            self.scale.fill_(loaded.scale)
            self.shift.fill_(loaded.shift)
            self.references.copy_(loaded.references)

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        assert self.architecture is not None
        weights = {k: v.detach().cpu() for k, v in self.model.state_dict().items()}
        by_element = self.references.cpu() + torch.from_numpy(references)
        numbers = float(self.scale), float(self.shift)
        save(Loaded(self.architecture, weights, *numbers, by_element), path)

    @override
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        return self.outputs(batch, edge_vectors, ())[ENERGY.name]

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        data = self._data(batch, edge_vectors)
        found = self.model.backbone(data)
        predicted: dict[str, Any] = {}
        for name, head in self.model.output_heads.items():
            answer = head(data, found)
            predicted |= answer if self.model.pass_through_head_outputs else {name: answer}
        assert self.architecture is not None
        energy = predicted[self.architecture["output"]]
        if isinstance(energy, dict):
            energy = energy[ENERGY.name]
        self._let_go()
        of_elements = self.references[batch.numbers]
        energy = energy.double().view(-1) * self.scale + self.shift
        out = {ENERGY.name: energy.index_add(0, batch.batch, of_elements)}
        if FEATURES in heads:
            out[FEATURES] = found["node_embedding"][:, 0]
        return out

    def _data(self, batch: GraphBatch, edge_vectors: Tensor) -> AtomicData:
        """Return the batch as the vendor has it; an edge points from neighbour to centre."""
        n, b = len(batch.numbers), len(batch)
        of_atom = batch.numbers.new_zeros(n)
        return AtomicData(
            # the vendor's vectors are position - position + offset @ cell
            pos=edge_vectors.new_zeros(n, 3),
            cell=torch.eye(3, dtype=edge_vectors.dtype, device=edge_vectors.device).expand(b, 3, 3),
            cell_offsets=edge_vectors,
            edge_index=batch.edge_index.flip(0),
            nedges=torch.bincount(batch.batch[batch.edge_index[0]], minlength=b),
            atomic_numbers=batch.numbers,
            pbc=batch.pbc,
            natoms=batch.n_atoms,
            charge=batch.extra["charge"].long(),
            spin=batch.extra["spin"].long(),
            fixed=of_atom,
            tags=of_atom,
            batch=batch.batch,
            sid=[""] * b,
            dataset=[self.task] * b,
        )

    def _let_go(self) -> None:
        """Detach what the vendor's layers of experts keep of a pass, with which no copy can be made."""
        for module in self.model.modules():
            kept = getattr(module, "global_mole_tensors", None)
            if kept is not None and kept.expert_mixing_coefficients is not None:
                kept.expert_mixing_coefficients = kept.expert_mixing_coefficients.detach()


def _nothing() -> None:
    pass
