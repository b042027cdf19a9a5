"""LoRA: weights are frozen, and low-rank updates to them are trained (Hu et al., ICLR 2022)."""

from __future__ import annotations

import fnmatch
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mattertune_nb.config.recipes import LoRAConfig

KEY = "lora"
"""Checkpoint key for the weights before the update, and the factors of the update."""

_PREFIX = "lora."


class LowRank(nn.Module):
    """An update of a weight: α / rank times the product of two factors, for each matrix in it.

    Parameters
    ----------
    weight
        The weight; the second factor is initialized with the weight's spread, the first with zeros.
    shapes
        Shapes of the matrices stored one after the other in the weight: for e3nn's linear layers and tensor
        products, one for each path; it mixes only multiplicities, so equivariance is preserved.
    rank
        Rank of the update, lower for matrices with fewer rows or columns.
    alpha
        The update is multiplied by this number divided by the rank.
    """

    def __init__(
        self, weight: Tensor, shapes: Sequence[tuple[int, int]], rank: int, alpha: float
    ) -> None:
        super().__init__()
        self.shape, self.factor = weight.shape, alpha / rank
        spread = float(weight.detach().double().square().mean().sqrt())
        self.up, self.down = nn.ParameterList(), nn.ParameterList()
        for rows, columns in shapes:
            r = min(rank, rows, columns)
            self.up.append(nn.Parameter(weight.new_zeros(rows, r)))
            self.down.append(nn.Parameter(spread * torch.randn(r, columns).to(weight)))

    @override
    def forward(self) -> Tensor:
        """Return the update in the shape of the weight, of any number of dimensions."""
        return low_rank_update(list(self.up), list(self.down), self.factor).view(self.shape)


def low_rank_update(up: Sequence[Tensor], down: Sequence[Tensor], factor: float) -> Tensor:
    """Return the products of the factors, flattened and concatenated."""
    device = up[0].device.type
    with torch.autocast(device, enabled=False):
        return factor * torch.cat([(u @ d).flatten() for u, d in zip(up, down, strict=True)])


class LoRA(nn.Module):
    """The updates of a backbone, which are applied for as long as they are attached.

    Parameters
    ----------
    backbone
        The model; its weights are frozen from now on.
    config
        Rank, size and targets.

    Raises
    ------
    ConfigError
        A pattern matches no trained matrix.
    """

    def __init__(self, backbone: nn.Module, config: LoRAConfig) -> None:
        super().__init__()
        found = matrices(backbone)
        for pattern in config.targets:
            if not fnmatch.filter(found, pattern):
                example = f", e.g. '{next(iter(found))}'" if found else " (there are none)"
                msg = f"lora.targets: '{pattern}' fits no matrix that is trained{example}."
                raise ConfigError(msg)
        own = dict(backbone.named_parameters())
        self.names = [n for n in found if any(fnmatch.fnmatchcase(n, p) for p in config.targets)]
        """Names of the weights in the backbone."""
        self.freed = [name for name, parameter in own.items() if parameter.requires_grad]
        """Names of the parameters that were trainable before."""
        self.updates = nn.ModuleList(
            LowRank(own[name], found[name], config.rank, config.alpha) for name in self.names
        )
        self.held: dict[str, nn.Parameter] = {}

    def swap_in(self, backbone: nn.Module) -> None:
        """Replace the weights by those with the updates, until they are swapped out."""
        has_graph = backbone.training and torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(has_graph):
            for name, update in zip(self.names, self.updates, strict=True):
                owner, leaf = _owner(backbone, name)
                weight = owner._parameters[leaf]
                assert isinstance(weight, nn.Parameter)
                self.held[name] = weight
                owner._parameters[leaf] = weight + update().to(weight.dtype)

    def swap_out(self, backbone: nn.Module) -> None:
        """Undo :meth:`swap_in`."""
        for name, weight in self.held.items():
            owner, leaf = _owner(backbone, name)
            owner._parameters[leaf] = weight
        self.held.clear()


def matrices(backbone: nn.Module) -> dict[str, list[tuple[int, int]]]:
    """Return the trained weights of linear layers and tensor products, with the matrices in each."""
    found = {}
    for prefix, module in backbone.named_modules():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if weight is None or not weight.requires_grad or isinstance(module, nn.Embedding):
            continue
        shapes = [tuple(weight.shape)] if weight.ndim == 2 else _paths(module)
        if shapes and sum(math.prod(shape) for shape in shapes) == weight.numel():
            found[f"{prefix}.weight" if prefix else "weight"] = shapes
    return found


def _paths(module: nn.Module) -> list[tuple[int, int]]:
    """Return the shapes of the matrices in the flat weight of an e3nn layer; columns are outputs."""
    shapes = []
    for path in getattr(module, "instructions", ()):
        shape = tuple(getattr(path, "path_shape", ()))
        if getattr(path, "has_weight", len(shape) > 1) and shape:
            shapes.append((math.prod(shape[:-1]), shape[-1]))
    return shapes


def _owner(backbone: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return backbone.get_submodule(path), leaf


def add_lora(backbone: nn.Module, config: LoRAConfig | None) -> None:
    """Freeze all weights of a backbone, and train low-rank updates instead.

    Parameters
    ----------
    backbone
        The model; parameters already frozen get no update.
    config
        Rank, size and targets; ``None``: nothing is done.

    Raises
    ------
    ConfigError
        A pattern matches no trained matrix.
    """
    if config is None:
        return
    lora = LoRA(backbone, config)
    for parameter in backbone.parameters():
        parameter.requires_grad_(False)
    backbone.lora = lora
    backbone.register_forward_pre_hook(_swap_in)
    backbone.register_forward_hook(_swap_out, always_call=True)


def _swap_in(backbone: nn.Module, _given: Any) -> None:
    lora = lora_of(backbone)
    if lora is not None:
        lora.swap_in(backbone)


def _swap_out(backbone: nn.Module, _given: Any, _out: Any) -> None:
    lora = lora_of(backbone)
    if lora is not None:
        lora.swap_out(backbone)


def lora_of(backbone: nn.Module) -> LoRA | None:
    """Return the updates of a backbone, or ``None`` if it has none."""
    found = backbone._modules.get("lora")
    return found if isinstance(found, LoRA) else None


def weights_of_updates(backbone: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter of the updates, and of the weight it belongs to."""
    lora = lora_of(backbone)
    if lora is None:
        return
    for name, _ in lora.updates.named_parameters():
        yield f"{_PREFIX}updates.{name}", lora.names[int(name.partition(".")[0])]


def merge_lora(backbone: nn.Module) -> None:
    """Add the updates to the weights, and make the weights trainable again."""
    lora = lora_of(backbone)
    if lora is None:
        return
    own = dict(backbone.named_parameters())
    with torch.no_grad():
        for name, update in zip(lora.names, lora.updates, strict=True):
            own[name].add_(update().to(own[name].dtype))
    for name in lora.freed:
        own[name].requires_grad_(True)
    del backbone.lora


def pack(backbone: nn.Module, checkpoint: dict[str, Any], prefix: str) -> None:
    """Replace the weights in a checkpoint by those with the updates, as in a model without LoRA.

    What is needed to continue training is kept under :data:`KEY`.

    Parameters
    ----------
    backbone
        The model.
    checkpoint
        Its ``state_dict``, which may be an average, is replaced.
    prefix
        Prefix of the backbone's names in it.
    """
    lora = lora_of(backbone)
    if lora is None:
        return
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    own = {name: value for name, value in state.items() if name.startswith(prefix + _PREFIX)}
    merged = {name: value for name, value in state.items() if name not in own}
    for k, name in enumerate(lora.names):
        update = lora.updates[k]
        assert isinstance(update, LowRank)
        up, down = (
            [own[f"{prefix}{_PREFIX}updates.{k}.{side}.{i}"] for i in range(len(update.up))]
            for side in ("up", "down")
        )
        before = own[prefix + name] = state[prefix + name]
        added = low_rank_update(up, down, update.factor).view(before.shape)
        merged[prefix + name] = before + added.to(before.dtype)
    checkpoint["state_dict"], checkpoint[KEY] = merged, own


def unpack(backbone: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Undo :func:`pack`, for a model that continues training with its updates."""
    if lora_of(backbone) is not None and KEY in checkpoint:
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **checkpoint[KEY]}
