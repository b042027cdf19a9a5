"""Predictions for structures away from the target, compared with earlier predictions or labels."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.data.batches.packing import pack_in_order
from mattertune_nb.data.cache_folder import cache_folder, keep
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.plain import atoms_from_plain, atoms_to_plain
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.model.weights import weights_digest
from mattertune_nb.physics.kinds import KIND, OWN
from mattertune_nb.physics.prototypes import foreign_structures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.potential import Potential

_VERSION = 1
_MOST_LOOKED_AT = 2000
_MOST, _MOST_ATOMS = 64, 2000
"""Maximum number of frames taken from a file, evenly spread, and of atoms in total."""

_BATCH_ATOMS = 128  # more does not fit into a CPU's caches


@dataclass(frozen=True)
class ForeignErrors:
    """Errors of predictions on a foreign set.

    Attributes
    ----------
    forces
        Mean absolute error of the force components, eV/Å.
    energy
        Mean absolute error in eV/atom after the best shift per element: a different zero of energy, e.g. from
        refitted references, is not an error.
    """

    forces: float
    energy: float


@dataclass(frozen=True)
class ForeignSet:
    """Structures away from a target, with energies and forces to compare with.

    Attributes
    ----------
    frames
        The structures; ``info["kind"]`` of each gives its kind.
    energies
        (n,) in eV.
    forces
        (n_atoms, 3) each, in eV/Å.
    source
        File of the structures; empty if they were generated.
    untuned
        Errors of the model that the run started with; none if it provided the labels.
    """

    frames: list[Atoms]
    energies: NDArray[np.float64]
    forces: list[NDArray[np.float64]]
    source: str = ""
    untuned: ForeignErrors = ForeignErrors(0.0, 0.0)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def kinds(self) -> list[str]:
        """Kind of each structure."""
        return [str(atoms.info[KIND]) for atoms in self.frames]

    def to_plain(self) -> dict[str, Any]:
        """Return the set as builtins, for checkpoints."""
        return {
            "frames": [atoms_to_plain(atoms) for atoms in self.frames],
            "energies": self.energies.tolist(),
            "forces": [forces.tolist() for forces in self.forces],
            "source": self.source,
            "untuned": asdict(self.untuned),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> ForeignSet:
        """Return the set described by :meth:`to_plain`."""
        return cls(
            [atoms_from_plain(atoms) for atoms in plain["frames"]],
            np.array(plain["energies"], dtype=np.float64),
            [np.array(forces, dtype=np.float64) for forces in plain["forces"]],
            plain["source"],
            ForeignErrors(**plain["untuned"]),
        )

    def errors(
        self, energies: NDArray[np.float64], forces: Sequence[NDArray[np.float64]]
    ) -> tuple[ForeignErrors, dict[str, ForeignErrors]]:
        """Compare predictions with the labels.

        Parameters
        ----------
        energies, forces
            As the labels.

        Returns
        -------
        all
            Over the whole set, except for structures made only of the target's elements if there are others:
            a change there may be what a model has learnt.
        by_kind
            Over the structures of each kind; energies are shifted as for all.
        """
        _, n_atoms = _shares(self.frames)
        of_energy = np.abs(energies - without_shift(self, energies)) / n_atoms
        pairs = zip(forces, self.forces, strict=True)
        of_forces = [np.abs(ours - theirs) for ours, theirs in pairs]

        def over(chosen: list[int]) -> ForeignErrors:
            components = np.concatenate([of_forces[i].ravel() for i in chosen])
            return ForeignErrors(float(components.mean()), float(of_energy[chosen].mean()))

        kinds = np.array(self.kinds)
        by_kind = {kind: over(np.flatnonzero(kinds == kind).tolist()) for kind in self.kinds}
        others = np.flatnonzero(kinds != OWN).tolist()
        return over(others or list(range(len(self)))), by_kind


class Predictor:
    """Repeated predictions for the same structures, whose graphs are built only once.

    Parameters
    ----------
    frames
        The structures.
    backbone
        Builds the graphs.
    """

    def __init__(self, frames: Sequence[Atoms], backbone: Backbone) -> None:
        sizes = np.array([len(atoms) for atoms in frames])
        self._batches = [
            backbone.collate([backbone.graph(frames[i]) for i in part])
            for part in pack_in_order(sizes, _BATCH_ATOMS)
        ]

    def __call__(self, model: Potential) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        """Return a model's energies (n,) in eV and forces (n_atoms, 3) in eV/Å; the model is not changed."""
        energies, forces = [], []
        with model.predicting(), torch.no_grad():
            for batch in self._batches:
                on_device = batch.to(model.device)
                found = model.predict_properties(on_device, [ENERGY.name, FORCES.name])
                energies.append(found[ENERGY.name].detach().double().cpu().numpy())
                parts = found[FORCES.name].detach().double().cpu().numpy()
                forces += np.split(parts, np.cumsum(batch.n_atoms.numpy())[:-1])
        return np.concatenate(energies), forces


def target_frames(dataset: AtomsDataset) -> list[Atoms]:
    """Return structures that represent the elements and compositions of a data set."""
    n = len(dataset)
    chosen = evenly_spread(n, _MOST_LOOKED_AT)
    return [dataset.frame(int(i)) for i in chosen]


def without_shift(foreign: ForeignSet, energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the labels of a set, (n,) in eV, shifted per element to be as close as possible to others.

    Parameters
    ----------
    foreign
        The set.
    energies
        The others, (n,) in eV, e.g. energies of a backbone without references.
    """
    shares, n_atoms = _shares(foreign.frames)
    change = (energies - foreign.energies) / n_atoms
    shift = np.linalg.lstsq(shares, change, rcond=None)[0]
    return np.asarray(foreign.energies + n_atoms * (shares @ shift))


def _shares(frames: Sequence[Atoms]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the fraction of each element in each structure, and the numbers of atoms."""
    symbols = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    counts = np.array([[list(a.symbols).count(s) for s in symbols] for a in frames])
    n_atoms = counts.sum(axis=1)
    return counts / n_atoms[:, None], n_atoms


def made_here(model: Potential, target: Sequence[Atoms], *, for_replay: bool = False) -> ForeignSet:
    """Return structures away from a `target`, labelled by the `model` in its current state.

    The labels are cached in the user's cache folder for the next run from these weights.

    Parameters
    ----------
    model
        The model before tuning.
    target
        Structures of the target.
    for_replay
        Whether to use compositions other than those on which the model is measured.
    """
    frames = foreign_structures(model.backbone.elements, target, for_replay=for_replay)
    return _labelled(model, frames, "")


def of_file(model: Potential, file: Path) -> ForeignSet:
    """Return structures of a file, with its energies and forces, or those of the `model` if it has none.

    Parameters
    ----------
    model
        The model before tuning.
    file
        Structures in any format; if there are many, an evenly spread selection.

    Raises
    ------
    DataError
        The file cannot be read, contains an element that the backbone does not know, or has labels for only
        some of its structures.
    """
    dataset = dataset_config(file).create_dataset()
    chosen = evenly_spread(len(dataset), _MOST)
    chosen = chosen[np.cumsum(dataset.take(chosen).n_atoms()) <= _MOST_ATOMS]
    if not len(chosen):
        msg = f"{file}: its structures have more than {_MOST_ATOMS} atoms; give smaller ones."
        raise DataError(msg)
    frames, labels = [], []
    for i in chosen.tolist():
        frames.append(dataset[i])
        frames[-1].info[KIND] = frames[-1].get_chemical_formula()
        labels.append(dataset.labels(i, {ENERGY: "mask", FORCES: "mask"}))
    has = [ENERGY.name in found and FORCES.name in found for found in labels]
    if any(has) and not all(has):
        where = dataset.source(int(chosen[has.index(False)]))
        msg = (
            f"{where}: energy or forces are missing, which other structures have. Add them, or remove them "
            "all."
        )
        raise DataError(msg)
    if not any(has):
        return _labelled(model, frames, str(file))
    found = ForeignSet(
        frames,
        np.array([float(np.asarray(found[ENERGY.name])) for found in labels]),
        [np.asarray(found[FORCES.name], dtype=np.float64) for found in labels],
        str(file),
    )
    untuned, _ = found.errors(*Predictor(frames, model.backbone)(model))
    return ForeignSet(found.frames, found.energies, found.forces, found.source, untuned)


def _labelled(model: Potential, frames: list[Atoms], source: str) -> ForeignSet:
    if not frames:
        return ForeignSet([], np.empty(0), [], source)
    plain = [atoms_to_plain(atoms) for atoms in frames]
    cache = cache_folder("foreign") / f"{_key(model, plain)}.json"
    try:
        kept = ForeignSet.from_plain(json.loads(cache.read_text(encoding="utf-8")))
        if len(kept) == len(frames):
            return kept
    except (OSError, ValueError, TypeError, KeyError):
        pass
    made = ForeignSet(frames, *Predictor(frames, model.backbone)(model), source)
    _save(cache, made)
    return made


def _key(model: Potential, frames: list[dict[str, Any]]) -> str:
    # low-rank updates start at zero
    own = model.backbone.state_dict().items()
    weights = weights_digest({name: t for name, t in own if not name.startswith("lora.")})
    of = f"{_VERSION} {model.backbone.graph_kind} {weights} {json.dumps(frames, sort_keys=True)}"
    return hashlib.sha256(of.encode()).hexdigest()[:32]


def _save(cache: Path, made: ForeignSet) -> None:
    """Cache labels; if the folder cannot be written they are simply computed again."""
    with contextlib.suppress(OSError):
        keep(cache, lambda file: file.write(json.dumps(made.to_plain()).encode()))
