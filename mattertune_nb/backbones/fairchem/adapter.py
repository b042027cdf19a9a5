"""UMA's and eSEN's own modules on our graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols
from fairchem.core.datasets.atomic_data import AtomicData
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.fairchem.files import Loaded, build, outputs_of, save
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import Graph, GraphBatch


class FairchemBackbone(MultiHeadBackbone):
    """Adapter of ``HydraModel``; it adds the normalizer and element energies stored alongside the model.

    Energies of atoms are not offered, as the vendor's heads return only their sum.
    """

    no_lammps = "export to 'vendor', and run that by fairchem's `fix external` (its guide, LAMMPS)."

    scale: Tensor  # (tasks,)
    shift: Tensor  # (tasks,), eV
    references: Tensor  # (tasks, 119), eV
    always_double = ("scale", "shift", "references")

    def __init__(
        self,
        recipe: dict[str, Any],
        loaded: Loaded | None,
        label: str,
        charge: float,
        spin: float | None,
    ) -> None:
        super().__init__()
        self.model = build(recipe).float()
        self.architecture = recipe
        self.task, self.outputs_of_tasks = recipe["task"], outputs_of(recipe)
        self.tasks = tuple(self.outputs_of_tasks)
        self.label = label
        backbone = self.model.backbone
        # it draws a figure of its experts in each training step
        backbone.log_MOLE_stats = _nothing
        self.cutoff = float(backbone.cutoff)
        self.max_neighbors = int(backbone.max_neighbors)
        self.elements = tuple(chemical_symbols[1 : int(backbone.max_num_elements)])
        self.n_features = int(backbone.sphere_channels)
        self.spin = spin
        self.frame_inputs = {"charge": charge, "spin": spin_of(self.task) if spin is None else spin}
        self.input_ranges = {"charge": (-100, 100), "spin": (0, 100)}
        n = len(self.tasks)
        if n > 1:
            self.frame_inputs |= {"task": self.task}
            self.input_ranges |= {"task": self.tasks}
        self.register_buffer("scale", torch.ones(n, dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(n, dtype=torch.float64))
        by_element = torch.zeros(n, len(chemical_symbols), dtype=torch.float64)
        self.register_buffer("references", by_element)
        if loaded is not None:
            self.model.load_state_dict(loaded.weights, strict=False)
            self.scale.copy_(loaded.scale)
            self.shift.copy_(loaded.shift)
            self.references.copy_(loaded.references)

    @override
    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        # before version 0.3 there was a single task, without its own axis
        for name in self.always_double:
            kept = state_dict.get(prefix + name)
            if kept is not None and kept.dim() < getattr(self, name).dim():
                state_dict[prefix + name] = kept[None]
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    @override
    def graph_kind(self) -> str:
        return f"{super().graph_kind} spin={self.spin}"

    @override
    def graph(self, atoms: Atoms) -> Graph:
        graph = super().graph(atoms)
        if self.spin is None and "spin" not in atoms.info and "task" in graph.extra:
            task = self.tasks[int(graph.extra["task"])]
            graph.extra["spin"] = graph.extra["spin"].new_full((1,), spin_of(task))
        return graph

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        assert self.architecture is not None
        weights = {k: v.detach().cpu() for k, v in self.model.state_dict().items()}
        by_element = self.references.cpu() + torch.from_numpy(references)
        save(
            Loaded(self.architecture, weights, self.scale.cpu(), self.shift.cpu(), by_element), path
        )

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        task = self._task(batch)
        data = self._data(batch, edge_vectors, task)
        found = self.model.backbone(data)
        predicted: dict[str, Any] = {}
        for name, head in self.model.output_heads.items():
            answer = head(data, found)
            predicted |= answer if self.model.pass_through_head_outputs else {name: answer}
        energies = [predicted[name] for name in self.outputs_of_tasks.values()]
        plain = [e[ENERGY.name] if isinstance(e, dict) else e for e in energies]
        self._let_go()
        energy = torch.stack([e.view(-1) for e in plain]).gather(0, task[None])[0].double()
        energy = energy * self.scale[task] + self.shift[task]
        of_elements = self.references[task[batch.batch], batch.numbers]
        out = {ENERGY.name: energy.index_add(0, batch.batch, of_elements)}
        if FEATURES in heads:
            out[FEATURES] = found["node_embedding"][:, 0]
        return out

    def _data(self, batch: GraphBatch, edge_vectors: Tensor, task: Tensor) -> AtomicData:
        """Return the batch in the vendor's form; an edge points from neighbour to centre."""
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
            dataset=[self.tasks[k] for k in task.tolist()],
        )

    def _task(self, batch: GraphBatch) -> Tensor:
        """Return the index of each structure's task, (B,)."""
        if "task" in batch.extra:
            return batch.extra["task"]
        return torch.full_like(batch.n_atoms, self.tasks.index(self.task))

    def _let_go(self) -> None:
        """Detach what the vendor's expert layers keep from a pass; otherwise they could not be copied."""
        for module in self.model.modules():
            kept = getattr(module, "global_mole_tensors", None)
            if kept is not None and kept.expert_mixing_coefficients is not None:
                kept.expert_mixing_coefficients = kept.expert_mixing_coefficients.detach()


def spin_of(task: str) -> float:
    """Return the vendor's spin multiplicity for structures without one: none, except for molecules."""
    return float(task == "omol")


def _nothing() -> None:
    pass
