"""SevenNet's own modules on our graphs, up to the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sevenn._keys as KEY  # noqa: N812  the vendor's own alias
import torch
from ase.data import chemical_symbols
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import Backbone, freeze_unreached
from mattertune_nb.backbones.sevennet_convolution import work_by_paths
from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch

_GRADIENT_MODULES = ("force_output", "edge_preprocess")


class SevenNetBackbone(Backbone):
    """Adapter of :class:`sevenn.nn.sequential.AtomGraphSequential`.

    Its modules are run in order, without the one that differentiates the energy, and with the
    convolutions computed path by path.
    """

    element_index: Tensor

    def __init__(self, model: Any, label: str, modality: str | None) -> None:
        super().__init__()
        model.set_is_batch_data(True)
        self.model = nn.ModuleDict(
            {
                name: module
                for name, module in model._modules.items()
                if name not in _GRADIENT_MODULES
            }
        )
        work_by_paths(self.model.values())
        self.label = label
        self.cutoff = float(model.cutoff)
        self.elements = tuple(chemical_symbols[z] for z in sorted(model.type_map))
        self.register_buffer("element_index", model.z_to_onehot_tensor, persistent=False)
        modalities = model.modal_map or {}
        if (modality is None) == bool(modalities) or (modalities and modality not in modalities):
            msg = f"modality: {label} has {', '.join(modalities) or 'none'}, not '{modality}'."
            raise ConfigError(msg)
        self._modality = None if modality is None else int(modalities[modality])
        freeze_unreached(self)

    @override
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        data: dict[str, Tensor] = {
            KEY.ATOMIC_NUMBERS: batch.numbers,
            KEY.NODE_FEATURE: self.element_index[batch.numbers],
            KEY.POS: batch.positions.to(edge_vectors.dtype),
            KEY.EDGE_IDX: batch.edge_index,
            KEY.EDGE_VEC: edge_vectors,
            KEY.BATCH: batch.batch,
            KEY.NUM_ATOMS: batch.n_atoms,
        }
        if self._modality is not None:
            data[KEY.MODAL_TYPE] = torch.full_like(batch.n_atoms, self._modality)
        dtype = edge_vectors.dtype
        for module in self.model.values():
            # the vendor's one-hot encoding is float32 whatever the weights are
            data = {k: v.to(dtype) if v.is_floating_point() else v for k, v in module(data).items()}
        return data[KEY.PRED_TOTAL_ENERGY].view(-1)
