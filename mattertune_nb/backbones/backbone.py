"""The torch side of a backbone: graphs in, energy, forces and stress out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn
from typing_extensions import override

from mattertune_nb.backbones.frame_inputs import Allowed, input_of
from mattertune_nb.backbones.gradients import with_gradients
from mattertune_nb.backbones.graph import Graph, GraphBatch, collate_graphs, neighbor_graph
from mattertune_nb.backbones.lammps import ELSEWHERE
from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.data.soundness import geometry_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.backbones.lammps import PairStyle
    from mattertune_nb.backbones.members import Members


FEATURES = "features"
"""Name under which :meth:`Backbone.outputs` returns the features of atoms."""


class Backbone(nn.Module, ABC):
    """A pretrained potential behind a common interface; an adapter implements :meth:`energy`.

    Attributes
    ----------
    label
        Readable name, e.g. ``CHGNet 0.3.0``.
    cutoff
        Radius of the neighbour list in Å.
    elements
        Symbols of the elements for which the model has weights.
    architecture
        If the weights came from a file: what is needed to rebuild the vendor's model without it, as builtins
        and tensors. A checkpoint stores it, see ``BackboneConfig.create_backbone``.
    n_features
        Number of features per atom that :meth:`outputs` can return; ``None`` if there are none.
    has_atom_energies
        Whether :meth:`outputs` can return ``energies``, the contribution of each atom to the energy.
    max_neighbors
        Maximum number of neighbours that an atom sees, the nearest; ``None``: all within the cutoff.
    partly_periodic
        Whether structures may be periodic in one or two directions.
    frame_inputs
        What the energy depends on besides the atoms, such as a charge or the level of theory: keys of
        ``Atoms.info``, each with the number or word used if a structure has none. A batch has them in
        ``extra``, (B,): numbers in float64, words as their index in ``input_ranges``.
    reads_positions
        Whether the energy is computed from the batch's positions and cells rather than from edge vectors;
        forces and stress are then derived by straining these.
    input_ranges
        For integer inputs the allowed range, for words the allowed ones.
    missing_heads
        Heads in the config's ``implements`` that these particular weights do not have.
    block_pattern
        Regular expression that matches within the names of the parameters of interaction blocks, with the
        number of the block, from 0, as its first group; ``None`` if there are no blocks.
    members
        Copies of the last interaction block and the layers after it, if any were added.
    no_lammps
        For a backbone without :meth:`save_lammps`: what to do instead.
    always_double
        Names of parameters and buffers that stay in float64, whatever the format of the others.
    """

    label: str
    cutoff: float
    elements: tuple[str, ...]
    architecture: dict[str, Any] | None = None
    n_features: int | None = None
    has_atom_energies: bool = False
    max_neighbors: int | None = None
    partly_periodic: bool = True
    reads_positions: bool = False
    block_pattern: ClassVar[str | None] = None
    no_lammps: ClassVar[str] = ELSEWHERE
    missing_heads: tuple[str, ...] = ()
    members: Members | None = None
    frame_inputs: Mapping[str, float | str] = MappingProxyType({})
    input_ranges: Mapping[str, Allowed] = MappingProxyType({})
    always_double: tuple[str, ...] = ()

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        kept = {id(own[name]) for name in self.always_double}
        return super()._apply(  # type: ignore[no-any-return, no-untyped-call]
            lambda t: t.to(fn(t).device) if id(t) in kept else fn(t), recurse
        )

    @property
    def graph_kind(self) -> str:
        """Everything that graphs depend on besides the structure; equal text means equal graphs."""
        cls = type(self)
        elements = ",".join(self.elements)
        kind = f"{cls.__module__}.{cls.__qualname__} cutoff={self.cutoff!r} {elements}"
        if self.max_neighbors is not None:
            kind += f" most={self.max_neighbors}"
        return f"{kind} inputs={dict(self.frame_inputs)!r}" if self.frame_inputs else kind

    def graph(self, atoms: Atoms) -> Graph:
        """Build the graph of a structure.

        Parameters
        ----------
        atoms
            The structure; its labels and calculators are ignored.

        Raises
        ------
        DataError
            The structure has no atoms, a number that is not finite or a periodic cell without volume, or the
            backbone does not support an element or the periodicity.
        """
        problem = geometry_problem(atoms)
        if problem:
            raise DataError(problem)
        for number in set(atoms.numbers.tolist()):
            if chemical_symbols[number] not in self.elements:
                msg = (
                    f"element '{chemical_symbols[number]}' is not known to {self.label}, which knows "
                    f"{len(self.elements)} ({self.elements[0]} to {self.elements[-1]}). Remove such "
                    "structures, or choose another backbone."
                )
                raise DataError(msg)
        if not self.partly_periodic and atoms.pbc.any() and not atoms.pbc.all():
            msg = (
                f"is periodic in only some directions, which {self.label} does not support. Set "
                "pbc to true in all three with vacuum in the cell, or in none."
            )
            raise DataError(msg)
        graph = neighbor_graph(atoms, self.cutoff, self.max_neighbors)
        for name, default in self.frame_inputs.items():
            graph.extra[name] = input_of(atoms, name, default, self.input_ranges.get(name))
        return graph

    def collate(self, graphs: Sequence[Graph]) -> GraphBatch:
        """Join graphs into a batch.

        Parameters
        ----------
        graphs
            Graphs of single structures, in order.
        """
        return collate_graphs(graphs, dict.fromkeys(self.frame_inputs, "none"))

    @abstractmethod
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        """Return the energy of each structure in eV, (B,), from the vendor's own model.

        Parameters
        ----------
        batch
            The structures.
        edge_vectors
            From centre to neighbour in Å, (E, 3), in the dtype of the parameters; forces and stress are
            derived from the dependence on them.
        """

    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        """Return the energy and other requested outputs in one pass; adapters with more heads override it.

        Parameters
        ----------
        batch, edge_vectors
            As for :meth:`energy`.
        heads
            Names in the config's ``implements`` besides the energy, e.g. ``forces`` (N, 3) in eV/Å,
            :data:`FEATURES`, rotation-invariant scalars, (N, n_features), or ``energies``, the contribution
            of each atom to the energy in eV, (N,).
        """
        return {ENERGY.name: self.energy(batch, edge_vectors)}

    def before_last_block(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> Callable[[], dict[str, Tensor]]:
        """Compute everything before the last interaction block, and return a function that computes the rest.

        The function is called once for each copy of the last block. An adapter that specifies its blocks
        overrides this method, so that the copies share all earlier layers; otherwise each recomputes them.

        Parameters
        ----------
        batch, edge_vectors, heads
            As for :meth:`outputs`.
        """
        return partial(self.outputs, batch, edge_vectors, heads)

    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        """Write the model in its vendor's own format; adapters that can override this.

        Parameters
        ----------
        path
            The file.
        references
            Energy to add for each atom of an element, by atomic number in eV, (119,); it is included in the
            vendor's own per-element energies.

        Raises
        ------
        ConfigError
            The adapter does not support this.
        """
        msg = f"{self.label} cannot be written in its vendor's format."
        raise ConfigError(msg)

    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        """Write the model for the vendor's LAMMPS pair style; adapters that can override this.

        Parameters
        ----------
        path, references
            As for :meth:`save_vendor`.

        Returns
        -------
        PairStyle
            What a LAMMPS input script needs.

        Raises
        ------
        ConfigError
            The vendor has no pair style with its own file format.
        """
        msg = f"{self.label} has no pair style of LAMMPS with a file of its own: {self.no_lammps}"
        raise ConfigError(msg)

    def features(self, batch: GraphBatch) -> Tensor:
        """Return the model's features of each atom and its environment, (N, n_features).

        Parameters
        ----------
        batch
            The structures.
        """
        features: Tensor = self(batch, forces=False, heads=[FEATURES])[FEATURES]
        return features

    def reaches_all(self, batch: GraphBatch) -> bool:
        """Return whether the energy of a batch depends on every trainable parameter.

        An adapter whose layers need more than an edge, such as an angle, declares it here. The others then
        get a gradient of zero, because distributed training waits for a gradient of every parameter from
        every process.

        Parameters
        ----------
        batch
            The structures.
        """
        return batch.edge_index.shape[1] > 0

    @override
    def forward(
        self,
        batch: GraphBatch,
        *,
        forces: bool = True,
        stress: bool = False,
        heads: Collection[str] = (),
    ) -> dict[str, Tensor]:
        """Predict energy, and forces and stress as its gradients.

        Works in inference mode too. Outside training the results carry no graph.

        Parameters
        ----------
        batch
            The structures.
        forces, stress
            Whether to compute them.
        heads
            Additional outputs requested from :meth:`outputs`; forces or stress among them are then not
            gradients.

        Returns
        -------
        dict
            ``energy`` (B,) in eV; if requested ``forces`` (N, 3) in eV/Å and ``stresses`` (B, 6) in eV/Å³, in
            Voigt order with ASE's sign, NaN unless all three directions are periodic.
        """
        (out,) = self._predict(batch, forces, stress, heads, each=False)
        return out

    def each(
        self, batch: GraphBatch, *, forces: bool, stress: bool, heads: Collection[str]
    ) -> list[dict[str, Tensor]]:
        """Predict as :meth:`forward` does, with each copy of the last block.

        Parameters
        ----------
        batch, forces, stress, heads
            As there.
        """
        return self._predict(batch, forces, stress, heads, each=True)

    def _predict(
        self, batch: GraphBatch, forces: bool, stress: bool, heads: Collection[str], *, each: bool
    ) -> list[dict[str, Tensor]]:
        keep_graph = self.training and torch.is_grad_enabled()

        def compute(moved: GraphBatch, edge_vectors: Tensor) -> list[dict[str, Tensor]]:
            placed = moved if self.reads_positions else still
            rest = self.before_last_block(placed, edge_vectors, heads)
            if self.members is None:
                return [rest()]
            found = self.members.outputs(self, rest)
            return found if each else [self.members.joined(found, still, in_training=keep_graph)]

        with torch.inference_mode(False), torch.set_grad_enabled(keep_graph or forces or stress):
            still = batch.clone_for_autograd()
            found = with_gradients(
                compute,
                still,
                next(self.parameters()).dtype,
                forces=forces and FORCES.name not in heads,
                stress=stress and STRESSES.name not in heads,
                keep_graph=keep_graph,
            )
            if keep_graph and not self.reaches_all(batch):
                trainable = (p for p in self.parameters() if p.requires_grad)
                # sums over no elements, because zero times an infinite parameter is NaN
                nothing = sum(p.flatten()[:0].sum() for p in trainable)
                found = [{name: value + nothing for name, value in out.items()} for out in found]
        if keep_graph:
            return found
        return [{name: value.detach() for name, value in out.items()} for out in found]
