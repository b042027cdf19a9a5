"""SevenNet's own modules on our graphs, up to the energy."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import sevenn
import sevenn._keys as KEY  # noqa: N812  the vendor's own alias
import torch
from ase.data import chemical_symbols
from e3nn.o3 import wigner_3j
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.convolution import IrrepsConvolution
from sevenn.scripts.deploy import deploy
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.lammps import PairStyle
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch

_READOUT = "reduce_input_to_hidden"
"""The module that computes an atom's energy from its features, which are scalars at that point."""

_SHIFT = "rescale_atomic_energy.shift"
"""The vendor's energy of each element, (elements,), or of each element in each modality."""

_GRADIENT_MODULES = ("force_output", "edge_preprocess")


class SevenNetBackbone(MultiHeadBackbone):
    """Adapter of :class:`sevenn.nn.sequential.AtomGraphSequential`.

    Its modules are run in order, without the one that differentiates the energy, and with convolutions
    computed path by path.
    """

    element_index: Tensor  # (atomic numbers,)
    block_pattern = r"^model\.(\d+)_"
    has_atom_energies = True

    def __init__(
        self, model: Any, label: str, modality: str | None, vendor_config: dict[str, Any]
    ) -> None:
        super().__init__()
        self.vendor_config = vendor_config
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
        readout: Any = self.model[_READOUT]
        self.n_features = int(readout.linear.irreps_in.dim)
        modalities = model.modal_map or {}
        if (modality is None) == bool(modalities) or (modalities and modality not in modalities):
            msg = f"modality: {label} has {', '.join(modalities) or 'none'}, not '{modality}'."
            raise ConfigError(msg)
        self.modality = modality
        if modality is not None:
            self.frame_inputs = {"modality": modality}
            self.input_ranges = {
                "modality": tuple(sorted(modalities, key=lambda name: modalities[name]))
            }

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        with torch.random.fork_rng():
            model = build_E3_equivariant_model(dict(self.vendor_config))
        # the tensor products of the vendor's convolutions hold only constants
        state = model.state_dict() | {
            name: value.detach().to("cpu", torch.float32)
            if value.is_floating_point()
            else value.cpu()
            for name, value in self.model.state_dict().items()
        }
        types = {z: k for z, k in model.type_map.items() if z < len(references)}
        added = torch.zeros(len(model.type_map))
        added[list(types.values())] = torch.from_numpy(references[list(types)]).float()
        # in a model with several modalities, each has its own energies
        shift = state[_SHIFT] + added
        # weights of older versions were converted to these on loading, and must not be converted again
        config = self.vendor_config | {"version": sevenn.__version__}
        torch.save({"config": config, "model_state_dict": state | {_SHIFT: shift}}, path)

    @override
    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        checkpoint = path.with_suffix(".pth")
        self.save_vendor(checkpoint, references)
        deploy(checkpoint, str(path), modal=self.modality)
        return PairStyle("e3gnn", path.name)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        return self.before_last_block(batch, edge_vectors, heads)()

    @override
    def before_last_block(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> Callable[[], dict[str, Tensor]]:
        data: dict[str, Tensor] = {
            KEY.ATOMIC_NUMBERS: batch.numbers,
            KEY.NODE_FEATURE: self.element_index[batch.numbers],
            KEY.POS: batch.positions.to(edge_vectors.dtype),
            KEY.EDGE_IDX: batch.edge_index,
            KEY.EDGE_VEC: edge_vectors,
            KEY.BATCH: batch.batch,
            KEY.NUM_ATOMS: batch.n_atoms,
        }
        if self.modality is not None:
            data[KEY.MODAL_TYPE] = batch.extra["modality"]
        names = list(self.model)
        blocks = [re.match(r"\d+", name) for name in names]
        last = blocks.index(max(filter(None, blocks), key=lambda found: int(found[0])))
        for name in names[:last]:
            data = _in_format(self.model[name](data), edge_vectors.dtype)
        return partial(self._last_block, names[last:], data, edge_vectors.dtype, heads)

    def _last_block(
        self,
        names: Sequence[str],
        given: Mapping[str, Tensor],
        dtype: torch.dtype,
        heads: Collection[str],
    ) -> dict[str, Tensor]:
        # the vendor's modules modify their input
        data = dict(given)
        out: dict[str, Tensor] = {}
        for name in names:
            if name == _READOUT and FEATURES in heads:
                out[FEATURES] = data[KEY.NODE_FEATURE]
            data = _in_format(self.model[name](data), dtype)
        out[ENERGY.name] = data[KEY.PRED_TOTAL_ENERGY].view(-1)
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = data[KEY.ATOMIC_ENERGY].view(-1)
        return out


def _in_format(data: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Convert to the format of the weights; the vendor's one-hot encoding is always float32."""
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in data.items()}


class Block(NamedTuple):
    """A part of the features with one multiplicity and degree, and the paths that start from it.

    Attributes
    ----------
    shape
        Multiplicity u and dimension i.
    paths
        Indices of its paths, in the order of the weights.
    dims
        Dimension k of each path's output.
    coupling
        Name of the buffer with the coefficients, (filter j, i, all k of all paths).
    """

    shape: tuple[int, int]
    paths: list[int]
    dims: list[int]
    coupling: str


def work_by_paths(modules: Iterable[nn.Module]) -> None:
    """Convert SevenNet's convolutions to ones with the same parameters and results, without wide tensors.

    For each edge, the vendor concatenates the messages of all paths, and slices features, filters and
    weights out of such tensors. When training on forces, the gradient of each slice is a tensor of the full
    width, almost all of it zeros; these took half of a training step. Here each path is summed over the
    neighbours separately, and only the sums are concatenated.
    """
    for module in modules:
        if type(module) is IrrepsConvolution:
            module.__class__ = PathConvolution
            cast("PathConvolution", module).set_up()


class PathConvolution(IrrepsConvolution):  # type: ignore[misc]
    """The vendor's convolution, path by path.

    The filter of an edge is multiplied by the coupling coefficients first, as all channels share it.
    """

    def set_up(self) -> None:
        """Prepare the coupling coefficients; the vendor's constructor has already been called."""
        product: Any = self.convolution
        self._widths = [path.path_shape[0] for path in product.instructions]
        self._order = sorted(
            range(len(self._widths)), key=lambda k: int(product.instructions[k].i_out)
        )
        self._blocks: list[Block] = []
        for i, (mul, ir) in enumerate(product.irreps_in1):
            paths = [k for k, path in enumerate(product.instructions) if path.i_in1 == i]
            outs = [product.irreps_out[product.instructions[k].i_out].ir for k in paths]
            block = Block((mul, ir.dim), paths, [out.dim for out in outs], f"coupling_{i}")
            coupling = torch.zeros(product.irreps_in2.dim, ir.dim, sum(block.dims))
            for k, out, part in zip(
                paths, outs, torch.split(coupling, block.dims, dim=2), strict=True
            ):
                path = product.instructions[k]
                filters = product.irreps_in2[path.i_in2].ir
                part[product.irreps_in2.slices()[path.i_in2]] = path.path_weight * wigner_3j(
                    ir.l, filters.l, out.l
                ).transpose(0, 1)
            self.register_buffer(block.coupling, coupling, persistent=False)
            self._blocks.append(block)
        # a copy of compiled code has different buffers, which break a running average of weights
        del self.convolution

    @override
    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        # features of atoms (N, channels), filters (E, harmonics), edges (2, E)
        features, filters = data[self.key_x], data[self.key_filter]
        centre, neighbor = data[self.key_edge_idx]
        weights = torch.split(self.weight_nn(data[self.key_weight_input]), self._widths, dim=1)
        sums: dict[int, Tensor] = {}
        parts = torch.split(features, [mul * dim for (mul, dim), *_ in self._blocks], dim=1)
        for part, block in zip(parts, self._blocks, strict=True):
            coupling: Tensor = getattr(self, block.coupling)
            filtered = (filters @ coupling.flatten(1)).view(-1, *coupling.shape[1:])
            around = part.reshape(-1, *block.shape).index_select(0, neighbor)
            messages = torch.split(around @ filtered, block.dims, dim=2)
            for k, message in zip(block.paths, messages, strict=True):
                weighted = (message * weights[k].unsqueeze(2)).to(features.dtype)
                total = features.new_zeros(len(features), *weighted.shape[1:])
                sums[k] = total.index_add(0, centre, weighted).flatten(1)
        joined = torch.cat([sums[k] for k in self._order], dim=1)
        data[self.key_x] = joined / self.denominator
        return data
