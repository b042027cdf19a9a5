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
from mattertune_nb.backbones.gradients import outputs_and_gradients
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
"""Name under which :meth:`Backbone.outputs` gives the features of atoms."""


class Backbone(nn.Module, ABC):
    """A pretrained potential behind one interface; an adapter implements :meth:`energy`.

    Attributes
    ----------
    label
        Name for people, e.g. ``CHGNet 0.3.0``.
    cutoff
        Radius of the neighbour list in Å.
    elements
        Symbols that the model has weights for.
    architecture
        Where the weights came from a file: what builds the vendor's model again without it, in
        builtins and tensors. A checkpoint keeps it, see ``BackboneConfig._architecture``.
    n_features
        Number of features of an atom that :meth:`outputs` can give; ``None`` where it has none.
    has_atom_energies
        Whether :meth:`outputs` can give ``energies``, what each atom adds to the energy.
    max_neighbors
        Number of neighbours that an atom sees, the nearest; ``None``: all within the cutoff.
    partly_periodic
        Whether structures may be periodic in one or two directions.
    frame_inputs
        What of a structure the energy depends on beside its atoms, such as a charge or the level of theory
        that is asked for: keys of ``Atoms.info``, with the number or the word that holds where a structure
        has none. A batch has them in ``extra``, (B,): numbers in float64, of a word its place among those
        in ``input_ranges``.
    reads_positions
        Whether the energy is computed of the batch's positions and cells and not of edge vectors; these are
        strained then, and forces and stress are derived through them.
    input_ranges
        For inputs that are whole numbers from which to which, and for words which there are.
    missing_heads
        What the config's ``implements`` has for other weights, and these have no head for.
    block_pattern
        Regular expression that is found in the name of a parameter of an interaction block, with the number
        of the block, from 0, as its first group; ``None`` where there are none.
    members
        Copies of the last interaction block and of what comes behind it, where it was given some.
    no_lammps
        Of a backbone without :meth:`save_lammps`: what to do instead.
    always_double
        Names of parameters and buffers that stay in float64, whatever format the others are turned to.
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
        """All that graphs depend on beside the structure; equal text, equal graphs."""
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
            The structure; labels and calculators on it are not read.

        Raises
        ------
        DataError
            Where the structure has no atoms, a number that is not finite or a periodic cell
            without volume, or the backbone does not know an element or the kind of periodicity.
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
                f"is periodic in some directions and not in others, which {self.label} was not made for. Set "
                "pbc to all three with vacuum in the cell, or to none."
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
            Of single structures, in their order.
        """
        return collate_graphs(graphs, dict.fromkeys(self.frame_inputs, "none"))

    @abstractmethod
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        """Return the energy of each structure in eV, (B,), by the vendor's own model.

        Parameters
        ----------
        batch
            The structures.
        edge_vectors
            From centre to neighbour in Å, (E, 3), in the dtype of the parameters; forces and stress
            are derived through them.
        """

    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        """Return the energy and what else is asked for in one pass; adapters with more heads override it.

        Parameters
        ----------
        batch, edge_vectors
            As for :meth:`energy`.
        heads
            Names of what the config's ``implements`` has beside the energy, e.g. ``forces`` (N, 3) in eV/Å,
            :data:`FEATURES`, scalars that turning a structure leaves as they are, (N, n_features), or
            ``energies``, what each atom adds to the energy in eV, (N,).
        """
        return {ENERGY.name: self.energy(batch, edge_vectors)}

    def before_last_block(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> Callable[[], dict[str, Tensor]]:
        """Compute what comes before the last interaction block, and return what computes the rest.

        The rest is called once for each copy of the last block. An adapter that tells its blocks overrides
        it, so that the copies share what comes before them; otherwise each begins anew.

        Parameters
        ----------
        batch, edge_vectors, heads
            As for :meth:`outputs`.
        """
        return partial(self.outputs, batch, edge_vectors, heads)

    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        """Write the model in its vendor's own format; an adapter that can overrides it.

        Parameters
        ----------
        path
            The file.
        references
            What is added to the energy for each atom of an element, by atomic number in eV, (119,); it goes
            into the vendor's own energies of the elements.

        Raises
        ------
        ConfigError
            The adapter cannot.
        """
        msg = f"{self.label} cannot be written in its vendor's format."
        raise ConfigError(msg)

    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        """Write the model as the vendor's pair style of LAMMPS reads it; an adapter that can overrides it.

        Parameters
        ----------
        path, references
            As for :meth:`save_vendor`.

        Returns
        -------
        PairStyle
            What an input of LAMMPS needs.

        Raises
        ------
        ConfigError
            The vendor has none with a file of its own.
        """
        msg = f"{self.label} has no pair style of LAMMPS with a file of its own: {self.no_lammps}"
        raise ConfigError(msg)

    def features(self, batch: GraphBatch) -> Tensor:
        """Return what the model has made of each atom and its surroundings, (N, n_features).

        Parameters
        ----------
        batch
            The structures.
        """
        features: Tensor = self(batch, forces=False, heads=[FEATURES])[FEATURES]
        return features

    def reaches_all(self, batch: GraphBatch) -> bool:
        """Return whether the energy of a batch depends on every trainable parameter.

        An adapter whose layers need more than an edge, such as an angle, says so here. The others then get
        a gradient of zero, as distributed training waits for one of each parameter from every process.

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

        Works in inference mode too. Outside of training the results carry no graph.

        Parameters
        ----------
        batch
            The structures.
        forces, stress
            Whether they are asked for.
        heads
            What :meth:`outputs` is asked for; forces or stress among it are no gradients then.

        Returns
        -------
        dict
            ``energy`` (B,) in eV; where asked for ``forces`` (N, 3) in eV/Å and ``stresses`` (B, 6)
            in eV/Å³, Voigt order and ASE's sign, NaN where not all three directions are periodic.
        """
        (out,) = self._predict(batch, forces, stress, heads, each=False)
        return out

    def each(
        self, batch: GraphBatch, *, forces: bool, stress: bool, heads: Collection[str]
    ) -> list[dict[str, Tensor]]:
        """Predict as :meth:`forward` does with each copy of the last block, for which it was given some.

        Parameters
        ----------
        batch, forces, stress, heads
            As there.
        """
        return self._predict(batch, forces, stress, heads, each=True)

    def _predict(
        self,
        batch: GraphBatch,
        forces: bool,
        stress: bool,
        heads: Collection[str],
        *,
        each: bool,
    ) -> list[dict[str, Tensor]]:
        keep_graph = self.training and torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(keep_graph or forces or stress):
            found = outputs_and_gradients(
                self,
                batch.clone_for_autograd(),
                heads,
                forces=forces and FORCES.name not in heads,
                stress=stress and STRESSES.name not in heads,
                keep_graph=keep_graph,
                each=each,
            )
            if keep_graph and not self.reaches_all(batch):
                trainable = (p for p in self.parameters() if p.requires_grad)
                # of no elements, as zero times a parameter that is infinite is NaN
                nothing = sum(p.flatten()[:0].sum() for p in trainable)
                found = [{name: value + nothing for name, value in out.items()} for out in found]
        if keep_graph:
            return found
        return [{name: value.detach() for name, value in out.items()} for out in found]
