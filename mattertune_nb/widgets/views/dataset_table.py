"""A data set as numbers, a row a frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES
from mattertune_nb.model.references import N_ELEMENTS, fit_references
from mattertune_nb.widgets.views.shown import refuse_empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

FORCE = "force (meV/Å)"
N_OUTLIERS = 8


@dataclass(frozen=True)
class DatasetTable:
    """A row a frame; NaN where a label is missing.

    Attributes
    ----------
    n_atoms
        Atoms, (frames,).
    energy
        Energy per atom after per-element references fitted to the set itself, meV/atom.
    force
        Largest force norm, meV/Å.
    stress
        Largest stress component, meV/Å³.
    composition
        Atoms of each element, (frames, 119).
    norms, norm_frame
        Force norm of every atom that has one, meV/Å, and its frame, (atoms,).
    """

    n_atoms: NDArray[np.int64]
    energy: NDArray[np.float64]
    force: NDArray[np.float64]
    stress: NDArray[np.float64]
    composition: NDArray[np.int64]
    norms: NDArray[np.float64]
    norm_frame: NDArray[np.int64]

    @classmethod
    def read(cls, dataset: AtomsDataset) -> DatasetTable:
        """Read every frame once.

        Raises
        ------
        DataError
            Where a frame cannot be read or has no atom.
        """
        rows = FrameRows(dataset)
        for i in range(len(dataset)):
            rows.read(i)
        return rows.table()

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return what is plotted, by title; columns without a value are left out."""
        columns = {
            "atoms": self.n_atoms.astype(float),
            "energy (meV/atom)": self.energy,
            FORCE: self.force,
            "stress (meV/Å³)": self.stress,
        }
        return {title: values for title, values in columns.items() if np.isfinite(values).any()}

    def elements(self) -> dict[str, int]:
        """Return the atoms of each element in the whole set."""
        totals = self.composition.sum(axis=0)
        return {chemical_symbols[z]: int(totals[z]) for z in np.flatnonzero(totals)}

    def formulas(self) -> list[str]:
        """Return the formula of each frame, in Hill's order."""
        counts = (
            {chemical_symbols[z]: int(row[z]) for z in np.flatnonzero(row)}
            for row in self.composition
        )
        return [str(Formula.from_dict(count).format("hill")) for count in counts]

    def formula_counts(self) -> list[tuple[str, int]]:
        """Return each formula with its number of frames, the most frequent first."""
        return sorted(Counter(self.formulas()).items(), key=lambda row: (-row[1], row[0]))

    def n_formulas(self) -> int:
        """Return the number of different formulas."""
        return len(np.unique(self.composition, axis=0))

    def outliers(self) -> list[tuple[int, str, float]]:
        """Return frame, column and robust z-score of the values farthest from the median."""
        found = []
        for title, values in self.columns().items():
            middle = np.nanmedian(values)
            spread = 1.4826 * np.nanmedian(np.abs(values - middle))
            if spread > 0:
                scores = np.abs(values - middle) / spread
                found += [
                    (int(i), title, float(scores[i]))
                    for i in np.argsort(-np.nan_to_num(scores))[:N_OUTLIERS]
                ]
        return sorted(found, key=lambda row: -row[2])[:N_OUTLIERS]


class FrameRows:
    """Rows of a table, read frame by frame in any order.

    Parameters
    ----------
    dataset
        What is read.
    """

    def __init__(self, dataset: AtomsDataset) -> None:
        self._dataset = dataset
        n = len(dataset)
        self._is_read = np.zeros(n, bool)
        self._counts = np.zeros((n, N_ELEMENTS), dtype=np.int64)
        self._energy, self._force, self._stress = (np.full(n, np.nan) for _ in range(3))
        self._norms: list[NDArray[np.float64]] = [np.zeros(0)] * n

    @property
    def frames(self) -> NDArray[np.int64]:
        """Positions of the frames that have been read, ascending."""
        return np.flatnonzero(self._is_read)

    def read(self, i: int) -> None:
        """Read a frame.

        Raises
        ------
        DataError
            Where it cannot be read or has no atom.
        """
        atoms = self._dataset.frame(i)
        refuse_empty(atoms, self._dataset.source(i))
        self._counts[i] = np.bincount(atoms.numbers, minlength=N_ELEMENTS)
        labels = self._dataset.labels(i, dict.fromkeys(PROPERTIES, "mask"))
        self._energy[i] = labels.get(ENERGY.name, np.nan)
        if FORCES.name in labels:
            self._norms[i] = FORCES.factor * np.linalg.norm(np.asarray(labels[FORCES.name]), axis=1)
            self._force[i] = self._norms[i].max(initial=0)
        if STRESSES.name in labels:
            self._stress[i] = STRESSES.factor * np.abs(labels[STRESSES.name]).max()
        self._is_read[i] = True

    def table(self) -> DatasetTable:
        """Return the frames that have been read, in their order."""
        frames = self.frames
        counts, energy = self._counts[frames], self._energy[frames]
        n_atoms = counts.sum(axis=1)
        present = np.isfinite(energy)
        if present.any():
            references, _ = fit_references(counts[present], energy[present])
            energy = ENERGY.factor * (energy - counts @ references) / n_atoms
        norms = [self._norms[i] for i in frames]
        of_frame = np.repeat(np.arange(len(frames)), [len(part) for part in norms])
        force, stress = self._force[frames], self._stress[frames]
        return DatasetTable(n_atoms, energy, force, stress, counts, np.concatenate(norms), of_frame)
