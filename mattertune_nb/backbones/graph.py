"""Structures as graphs: the neighbour list, and batches of graphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ase import Atoms
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Graph:
    """One structure as a backbone sees it; CPU tensors, built once and kept.

    Attributes
    ----------
    numbers
        Atomic numbers, (n,), int64.
    positions
        In Å, (n, 3), float64.
    cell
        Lattice vectors as rows in Å, (3, 3), float64; zero if there are none.
    pbc
        Which directions are periodic, (3,), bool.
    edge_index
        Centre and neighbour of each directed edge, (2, E), int64.
    cell_shifts
        ``r_ij = positions[j] - positions[i] + cell_shifts @ cell``, (E, 3), int64.
    extra
        Additional index tensors of the adapter.
    """

    numbers: Tensor
    positions: Tensor
    cell: Tensor
    pbc: Tensor
    edge_index: Tensor
    cell_shifts: Tensor
    extra: dict[str, Tensor] = field(default_factory=dict)

    def lengths(self) -> Tensor:
        """Return the lengths of the edges in Å, (E,)."""
        centre, neighbor = self.edge_index
        shifts = self.cell_shifts.double() @ self.cell
        vectors = self.positions[neighbor] - self.positions[centre] + shifts
        lengths: Tensor = vectors.norm(dim=1)
        return lengths

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, those of `extra` as ``extra.<name>``."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "extra"}
        return own | {f"extra.{name}": tensor for name, tensor in self.extra.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the graph described by the result of :meth:`tensors`."""
        own = {name: t for name, t in tensors.items() if not name.startswith("extra.")}
        extra = {name.removeprefix("extra."): t for name, t in tensors.items() if name not in own}
        return cls(**own, extra=extra)


class GraphBatch:
    """Several graphs joined into one, with the known labels.

    Not a dataclass, so that Lightning moves it as a whole and leaves its precision unchanged.

    Attributes
    ----------
    numbers, positions, edge_index, cell_shifts
        As in :class:`Graph`, concatenated; edges number the atoms consecutively through the batch.
    cell, pbc
        Stacked, (B, 3, 3) and (B, 3).
    batch
        Index of each atom's graph, (N,), int64.
    n_atoms
        Number of atoms of each graph, (B,), int64.
    extra
        The adapter's own tensors.
    labels
        ``energy`` (B,), ``forces`` (N, 3), ``stresses`` (B, 6), float64; NaN where missing.
    index
        Position of each graph in its dataset, (B,).
    """

    numbers: Tensor
    positions: Tensor
    cell: Tensor
    pbc: Tensor
    edge_index: Tensor
    cell_shifts: Tensor
    batch: Tensor
    n_atoms: Tensor
    index: Tensor
    extra: dict[str, Tensor]
    labels: dict[str, Tensor]

    def __init__(self, **values: Tensor | dict[str, Tensor]) -> None:
        self.__dict__.update(values)

    def __len__(self) -> int:
        return len(self.n_atoms)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            **{
                name: {k: function(v) for k, v in value.items()}
                if isinstance(value, dict)
                else function(value)
                for name, value in self.__dict__.items()
            }
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, from which copies to a GPU are faster."""
        return self._map(lambda tensor: tensor.pin_memory())

    def edge_vectors(self, positions: Tensor, cell: Tensor) -> Tensor:
        """Return the vectors from centre to neighbour, (E, 3), for the given positions and cells."""
        centre, neighbor = self.edge_index
        shifts = self.cell_shifts.to(cell.dtype).unsqueeze(1) @ cell[self.batch[centre]]
        return positions[neighbor] - positions[centre] + shifts.squeeze(1)

    def at(self, positions: Tensor, cell: Tensor) -> Self:
        """Return the same structures with the given positions and cells, and the same neighbours."""
        return type(self)(**{**self.__dict__, "positions": positions, "cell": cell})

    def clone_for_autograd(self) -> Self:
        """Return the batch with tensors that autograd may save; inference tensors are cloned."""
        return self._map(lambda tensor: tensor.clone() if tensor.is_inference() else tensor)


def neighbor_graph(atoms: Atoms, cutoff: float, most: int | None = None) -> Graph:
    """Find all neighbours within `cutoff` (Å), periodic images included.

    Works for any mix of periodic directions, cells smaller than the cutoff, one-atom cells, atoms
    outside the cell, and molecules with or without a cell. The list is vesin's, sorted by centre.

    Parameters
    ----------
    atoms
        The structure.
    cutoff
        In Å.
    most
        Number of nearest neighbours of a centre to keep; by default all.
    """
    from vesin import NeighborList

    pbc = np.asarray(atoms.pbc, dtype=bool)
    # vectors along non-periodic directions only have to be linearly independent of the others
    box = np.asarray(atoms.cell.complete().array) if pbc.any() else np.eye(3)
    i, j, shifts, lengths = NeighborList(cutoff=cutoff, full_list=True).compute(
        points=np.asarray(atoms.positions, dtype=np.float64),
        box=box,
        periodic=pbc,
        quantities="ijSd",
    )
    if most is not None:
        nearest = _nearest(i, lengths, most)
        i, j, shifts = i[nearest], j[nearest], shifts[nearest]
    order = np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0], j, i))
    return Graph(
        numbers=torch.from_numpy(atoms.numbers.astype(np.int64)),
        positions=torch.from_numpy(np.array(atoms.positions, dtype=np.float64)),
        cell=torch.from_numpy(np.array(atoms.cell.array, dtype=np.float64)),
        pbc=torch.from_numpy(pbc.copy()),
        edge_index=torch.from_numpy(np.stack([i[order], j[order]]).astype(np.int64)),
        cell_shifts=torch.from_numpy(shifts[order].astype(np.int64)),
    )


def _nearest(
    centres: NDArray[np.int64], lengths: NDArray[np.float64], most: int
) -> NDArray[np.int64]:
    """Return the indices of the shortest edges of each centre."""
    order = np.lexsort((lengths, centres))
    counts = np.bincount(centres)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept: NDArray[np.int64] = order[rank < most]
    return kept


def collate_graphs(
    graphs: Sequence[Graph], offsets: Mapping[str, Sequence[str] | str] | None = None
) -> GraphBatch:
    """Join graphs into one.

    Parameters
    ----------
    graphs
        The graphs; at least one.
    offsets
        For each tensor in ``Graph.extra``, what its entries refer to: ``"atoms"``, ``"edges"``, the rows
        of another extra tensor (its name), or ``"none"``; a list specifies it for each column.
    """
    n_atoms = torch.tensor([len(g.numbers) for g in graphs])
    atom_start = torch.cumsum(n_atoms, 0) - n_atoms
    extra = {}
    for name, kinds in (offsets or {}).items():
        parts = [graph.extra[name] for graph in graphs]
        columns = [kinds] if isinstance(kinds, str) else list(kinds)
        sizes = [_starts(graphs, kind, n_atoms) for kind in columns]
        joined = torch.cat(parts)
        if any(size is not None for size in sizes):
            rows = torch.tensor([len(part) for part in parts])
            shift = torch.stack(
                [torch.zeros_like(atom_start) if size is None else size for size in sizes], dim=1
            ).repeat_interleave(rows, dim=0)
            joined = joined + (shift if joined.ndim == 2 else shift[:, 0])
        extra[name] = joined
    n_edges = torch.tensor([g.edge_index.shape[1] for g in graphs])
    return GraphBatch(
        numbers=torch.cat([g.numbers for g in graphs]),
        positions=torch.cat([g.positions for g in graphs]),
        cell=torch.stack([g.cell for g in graphs]),
        pbc=torch.stack([g.pbc for g in graphs]),
        edge_index=torch.cat([g.edge_index for g in graphs], dim=1)
        + atom_start.repeat_interleave(n_edges),
        cell_shifts=torch.cat([g.cell_shifts for g in graphs]),
        batch=torch.arange(len(graphs)).repeat_interleave(n_atoms),
        n_atoms=n_atoms,
        extra=extra,
        labels={},
        index=torch.full((len(graphs),), -1),
    )


def _starts(graphs: Sequence[Graph], kind: str, n_atoms: Tensor) -> Tensor | None:
    """Return the offset to add to each graph's entries, (B,)."""
    if kind == "none":
        return None
    if kind == "atoms":
        counts = n_atoms
    elif kind == "edges":
        counts = torch.tensor([g.edge_index.shape[1] for g in graphs])
    else:
        counts = torch.tensor([len(g.extra[kind]) for g in graphs])
    return torch.cumsum(counts, 0) - counts


def paired_edges(edge_index: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of each directed edge's undirected edge, (E,), counted from 0.

    The edge from i to j with shift S and the one from j to i with shift -S are the same.
    """
    i, j = edge_index
    # for an atom and its own image, the sign of the first nonzero component decides
    first = shifts[np.arange(len(shifts)), (shifts != 0).argmax(axis=1)]
    flip = (i > j) | ((i == j) & (first < 0))
    low, high = np.where(flip, j, i), np.where(flip, i, j)
    s = np.where(flip[:, None], -shifts, shifts)
    reach = 2 * int(np.abs(shifts).max(initial=0)) + 1
    key = low * (int(high.max(initial=0)) + 1) + high
    for column in range(3):
        key = key * reach + s[:, column] + reach // 2
    inverse: NDArray[np.int64] = np.unique(key, return_inverse=True)[1].astype(np.int64)
    return inverse


def pairs_at_one_centre(
    centres: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all ordered pairs of different edges with the same centre; `centres` is sorted."""
    starts = np.searchsorted(centres, centres, side="left")
    counts = np.searchsorted(centres, centres, side="right") - starts
    first = np.repeat(np.arange(len(centres)), counts)
    ends = np.cumsum(counts)
    second = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    second = second + np.repeat(starts, counts)
    different = first != second
    return first[different], second[different]
