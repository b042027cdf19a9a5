"""matgl's models on our graphs, up to the energy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from ase.data import atomic_numbers
from matgl.apps.pes import Potential
from matgl.models import CHGNet, M3GNet, TensorNet
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.graph import Graph, GraphBatch, collate_graphs
from mattertune_nb.backbones.lammps import ONLY_FROM_PYTHON
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

_MODELS = {"CHGNet": CHGNet, "M3GNet": M3GNet, "TensorNet": TensorNet}


class MatGLBackbone(MultiHeadBackbone):
    """Adapter of :class:`matgl.apps.pes.Potential` around one of three models.

    The vendor adds ``pbc_offshift`` to the difference of two positions. With all atoms at the origin, it is
    the vector of the edge. Energies of atoms are not offered, as the vendor's models return only their sum.
    """

    no_lammps = ONLY_FROM_PYTHON

    element_index: Tensor  # (119,), by atomic number

    def __init__(self, potential: Any, label: str, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.potential = potential
        self.architecture = architecture
        self.label = label
        self.cutoff = float(potential.model.cutoff)
        model = potential.model
        self.angle_cutoff = float(
            getattr(model, "threebody_cutoff", 0) or getattr(model, "three_body_cutoff", 0)
        )
        self.elements = tuple(potential.model.element_types)
        index = torch.zeros(119, dtype=torch.int64)
        index[[atomic_numbers[symbol] for symbol in self.elements]] = torch.arange(
            len(self.elements)
        )
        self.register_buffer("element_index", index, persistent=False)
        self.n_features = _n_features(potential.model)

    @property
    @override
    def graph_kind(self) -> str:
        return f"{super().graph_kind} angle_cutoff={self.angle_cutoff!r}"

    @override
    def graph(self, atoms: Atoms) -> Graph:
        graph = super().graph(atoms)
        short = graph.edge_index[0][graph.lengths() <= self.angle_cutoff]
        # the vendor finds the angles in its pass; here we only store whether there will be any
        graph.extra["most_short_edges"] = torch.bincount(short, minlength=1).max().view(1)
        return graph

    @override
    def collate(self, graphs: Sequence[Graph]) -> GraphBatch:
        return collate_graphs(graphs, {"most_short_edges": "none"})

    @override
    def reaches_all(self, batch: GraphBatch) -> bool:
        if not self.angle_cutoff:
            return super().reaches_all(batch)
        return bool((batch.extra["most_short_edges"] > 1).any())

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        # matgl's checkpoints are folders
        before = self.potential.element_refs
        added = torch.from_numpy(references[[atomic_numbers[symbol] for symbol in self.elements]])
        if before is not None:
            added = added + before.property_offset.cpu()
        offset = added.float()
        potential = build({**(self.architecture or {}), "element_refs": offset})
        weights = {name: value.cpu() for name, value in self.potential.state_dict().items()}
        potential.load_state_dict(weights | {"element_refs.property_offset": offset})
        potential.save(path)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        potential, model = self.potential, self.potential.model
        graph = SimpleNamespace(
            node_type=self.element_index[batch.numbers],
            pos=edge_vectors.new_zeros(len(batch.numbers), 3),
            edge_index=batch.edge_index,
            pbc_offset=batch.cell_shifts,
            pbc_offshift=edge_vectors,
            batch=batch.batch,
            num_graphs=len(batch.n_atoms),
        )
        energy = potential.data_std * model(g=graph) + potential.data_mean
        # the vendor keeps the tensors of the last pass, which would prevent copying the model
        kept, model.feature_dict = model.feature_dict, {}
        if potential.element_refs is not None:
            energy = energy + potential.element_refs(graph)
        out = {ENERGY.name: energy.view(-1)}
        if FEATURES in heads:
            out[FEATURES] = _features(model, kept)
        return out


def build(architecture: Mapping[str, Any]) -> Any:
    """Return the vendor's potential, built from its architecture, without its weights.

    The vendor's own loader calls any class of any package that the file names, with arguments from the file.

    Parameters
    ----------
    architecture
        Content of the vendor's ``model.pt``.

    Raises
    ------
    ConfigError
        It is not one of the potentials known to this adapter.
    """
    inner = architecture.get("model")
    name = inner.get("@class") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or name not in _MODELS:
        msg = (
            f"it holds {name or 'no potential'}, and this backbone is for the potentials "
            f"{', '.join(_MODELS)}."
        )
        raise ConfigError(msg)
    settings = {k: v for k, v in inner["init_args"].items() if k != "use_warp"}
    model = _MODELS[name](**settings)
    if getattr(model, "is_intensive", False) or settings.get("include_state"):
        msg = "it predicts a property of a material or needs a state, and is no potential."
        raise ConfigError(msg)
    if architecture.get("calc_repuls"):
        msg = "it has the vendor's term of nuclear repulsion, which the vendor's own pass does not run."
        raise ConfigError(msg)
    kept = {k: v for k, v in architecture.items() if k != "compile_model" and not k.startswith("@")}
    return Potential(**kept | {"model": model})


def _n_features(model: Any) -> int:
    if isinstance(model, TensorNet):
        return int(model.linear.out_features)
    embedding = (
        model.atom_embedding if isinstance(model, CHGNet) else model.embedding.layer_node_embedding
    )
    return int(embedding.embedding_dim)


def _features(model: Any, kept: Mapping[str, Any]) -> Tensor:
    if isinstance(model, TensorNet):
        features: Tensor = kept["readout"]
        return features
    last = kept[f"gc_{model.n_blocks}"]
    node: Tensor = last["atom_feat"] if isinstance(model, CHGNet) else last["node_feat"]
    return node
