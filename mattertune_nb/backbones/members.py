"""Copies of a backbone's last interaction block: members of an ensemble that share the layers before it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mattertune_nb.data.content import numbers_of, structure_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


class Members:
    """Parameters of a backbone that exist in several copies, and which structure trains which copy.

    They stay in place, with an additional first axis, (n, …): one row per copy.

    In each epoch a structure trains one copy. Which one is drawn from its hash for n epochs, after which the
    draws repeat: a structure counts for each copy as often as it is drawn, which over n epochs is a bootstrap
    sample (Efron 1979). Copies on a shared trunk trained on such samples follow Osband et al., NeurIPS 2016
    (Bootstrapped DQN). Because structures are independent of each other, one gradient of the sum of energies
    gives all forces, each from its own copy, and a step costs hardly more than without copies.

    Parameters
    ----------
    backbone
        The model, whose parameters are replaced.
    names
        Names of the parameters to copy.
    n
        Number of copies.
    seed
        Seed of the draws.

    Attributes
    ----------
    epoch
        Epoch for which copies are drawn.
    """

    def __init__(self, backbone: nn.Module, names: Sequence[str], n: int, seed: int) -> None:
        self.names, self.n, self.seed, self.epoch = tuple(names), n, seed, 0
        for owner, leaf in self._places(backbone):
            weight = owner._parameters[leaf]
            assert weight is not None
            stacked = weight.detach().expand(n, *weight.shape).clone()
            owner._parameters[leaf] = nn.Parameter(stacked, requires_grad=weight.requires_grad)

    def outputs(
        self, backbone: nn.Module, rest: Callable[[], dict[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """Return the results of `rest`, which computes with a backbone's last block, for each copy."""
        found = []
        for k in range(self.n):
            with self._computing_with(backbone, k):
                found.append(rest())
        return found

    def joined(
        self, found: Sequence[dict[str, Tensor]], batch: GraphBatch, *, in_training: bool
    ) -> dict[str, Tensor]:
        """Return the mean of the copies' outputs; in training, each structure's output of the copy it trains.

        Parameters
        ----------
        found
            Outputs of each copy, (B, …) or (N, …).
        batch
            The structures.
        in_training
            Whether the structures are trained on.
        """
        shares = torch.full((self.n, len(batch)), 1 / self.n)
        if in_training:
            chosen = torch.from_numpy(self.drawn(batch))
            shares = nn.functional.one_hot(chosen, self.n).T
        shares = shares.to(batch.positions.device)
        out = {}
        for name in found[0]:
            each = torch.stack([one[name] for one in found])
            share = shares if each.shape[1] == len(batch) else shares[:, batch.batch]
            out[name] = (
                share.to(each.dtype).view(*share.shape, *[1] * (each.ndim - 2)) * each
            ).sum(0)
        return out

    def drawn(self, batch: GraphBatch) -> NDArray[np.int64]:
        """Return the index of the copy that each structure of a batch trains in this epoch, (B,)."""
        ends = np.cumsum(batch.n_atoms.cpu().numpy())[:-1]
        numbers, positions = (
            np.split(value.cpu().numpy(), ends) for value in (batch.numbers, batch.positions)
        )
        frames = zip(
            numbers, positions, batch.cell.cpu().numpy(), batch.pbc.cpu().numpy(), strict=True
        )
        keys = np.array([structure_key(*frame) for frame in frames], dtype=np.uint64)
        draw = self.seed * self.n + self.epoch % self.n
        return (self.n * numbers_of(keys, draw)).astype(np.int64)

    def keep(self, backbone: nn.Module, k: int) -> None:
        """Reduce a backbone to one of its copies, as if there had never been others."""
        for owner, leaf in self._places(backbone):
            weight = owner._parameters[leaf]
            assert weight is not None
            alone = weight.detach()[k].clone()
            owner._parameters[leaf] = nn.Parameter(alone, requires_grad=weight.requires_grad)

    @contextmanager
    def _computing_with(self, backbone: nn.Module, k: int) -> Iterator[None]:
        held = [(owner, leaf, owner._parameters[leaf]) for owner, leaf in self._places(backbone)]
        try:
            for owner, leaf, weight in held:
                assert weight is not None
                owner._parameters[leaf] = weight[k]  # type: ignore[assignment]  # modules read it from there
            yield
        finally:
            for owner, leaf, weight in held:
                owner._parameters[leaf] = weight

    def _places(self, backbone: nn.Module) -> Iterator[tuple[nn.Module, str]]:
        for name in self.names:
            path, _, leaf = name.rpartition(".")
            yield backbone.get_submodule(path), leaf
