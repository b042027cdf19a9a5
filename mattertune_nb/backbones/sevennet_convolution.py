"""SevenNet's convolution with the vendor's weights and results, without its wide tensors.

The vendor lays the messages of all paths side by side for each edge, and takes features, filters and weights
out of such tensors by slices. Where forces are trained on, the gradient of each slice is a tensor of the
full width, almost all of it zeros; these took half of a training step. Here each path is summed over the
neighbours by itself, and only the sums stand side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from e3nn.o3 import wigner_3j
from sevenn.nn.convolution import IrrepsConvolution
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


class Block(NamedTuple):
    """A part of the features with one multiplicity and degree, and what comes of it.

    Attributes
    ----------
    shape
        Multiplicity u and dimension i.
    paths
        Numbers of its paths, in the order of the weights.
    dims
        Dimension k of what each path leads to.
    coupling
        Name of the buffer with the coefficients, (filter j, i, all k of all paths).
    """

    shape: tuple[int, int]
    paths: list[int]
    dims: list[int]
    coupling: str


def work_by_paths(modules: Iterable[nn.Module]) -> None:
    """Turn the vendor's convolutions among `modules` into ours; parameters keep their names."""
    for module in modules:
        if type(module) is IrrepsConvolution:
            module.__class__ = PathConvolution
            cast("PathConvolution", module).set_up()


class PathConvolution(IrrepsConvolution):  # type: ignore[misc]
    """The vendor's convolution, path by path.

    The filter of an edge is multiplied into the coupling coefficients first, as all channels share it.
    """

    def set_up(self) -> None:
        """Prepare the coupling coefficients; the vendor's constructor was called long ago."""
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

    @override
    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
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
