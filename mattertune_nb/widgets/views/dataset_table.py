"""A data set as numbers, with one row per frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES, own_property
from mattertune_nb.model.references import N_ELEMENTS, fit_references
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views.shown import refuse_empty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mattertune_nb.config.own_properties import OwnPropertyConfig
    from mattertune_nb.config.properties import Kind, Property
    from mattertune_nb.data.dataset import AtomsDataset

FORCE = FORCES.with_unit("force")
N_OUTLIERS = 8
_LOOKED_AT = 100


@dataclass(frozen=True)
class DatasetTable:
    """One row per frame; NaN if a label is missing.

    Attributes
    ----------
    n_atoms
        Number of atoms, (frames,).
    energy
        Energy per atom after subtracting per-element references fitted to the set itself, meV/atom.
    force
        Largest force norm, meV/Å.
    stress
        Largest stress component, meV/Å³.
    composition
        Atoms of each element, (frames, 119).
    norms, norm_frame
        Force norm of every atom with a force, meV/Å, and its frame, (atoms,).
    own
        Further requested properties, by title: the number per structure, the length of a vector, or the
        per-atom number of largest magnitude; in the unit of the labels.
    """

    n_atoms: NDArray[np.int64]
    energy: NDArray[np.float64]
    force: NDArray[np.float64]
    stress: NDArray[np.float64]
    composition: NDArray[np.int64]
    norms: NDArray[np.float64]
    norm_frame: NDArray[np.int64]
    own: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def read(cls, dataset: AtomsDataset, own: Sequence[Property] = ()) -> DatasetTable:
        """Read every frame once.

        Raises
        ------
        DataError
            A frame cannot be read or has no atoms.
        """
        rows = FrameRows(dataset, own)
        for i in range(len(dataset)):
            rows.read(i)
        return rows.table()

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns to plot, by title; columns without values are left out."""
        columns = {
            "atoms": self.n_atoms.astype(float),
            ENERGY.with_unit("energy"): self.energy,
            FORCE: self.force,
            STRESSES.with_unit("stress"): self.stress,
            **self.own,
        }
        return {title: values for title, values in columns.items() if np.isfinite(values).any()}

    def elements(self) -> dict[str, int]:
        """Return the number of atoms of each element in the whole set."""
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
        """Return the number of distinct formulas."""
        return len(np.unique(self.composition, axis=0))

    def outliers(self) -> list[tuple[int, str, float]]:
        """Return frame, column and robust z-score of the values farthest from the median."""
        from scipy.stats import median_abs_deviation

        found = []
        for title, values in self.columns().items():
            spread = median_abs_deviation(values, scale="normal", nan_policy="omit")
            if spread > 0:
                scores = np.abs(values - np.nanmedian(values)) / spread
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
        The data set to read.
    own
        Custom properties for which columns are added.
    """

    def __init__(self, dataset: AtomsDataset, own: Sequence[Property] = ()) -> None:
        self._dataset, self._properties = dataset, list(own)
        wanted: list[Property | str] = [*PROPERTIES, *own]
        self._wanted: dict[Any, Literal["error", "mask"]] = dict.fromkeys(wanted, "mask")
        self._own = {prop.name: np.full(len(dataset), np.nan) for prop in own}
        n = len(dataset)
        self._is_read = np.zeros(n, bool)
        self._counts = np.zeros((n, N_ELEMENTS), dtype=np.int64)
        self._energy, self._force, self._stress = (np.full(n, np.nan) for _ in range(3))
        self._norms: list[NDArray[np.float64]] = [np.zeros(0)] * n

    @property
    def frames(self) -> NDArray[np.int64]:
        """Positions of the frames read so far, ascending."""
        return np.flatnonzero(self._is_read)

    def read(self, i: int) -> None:
        """Read a frame.

        Raises
        ------
        DataError
            It cannot be read or has no atoms.
        """
        atoms = self._dataset.frame(i)
        refuse_empty(atoms, self._dataset.source(i))
        self._counts[i] = np.bincount(atoms.numbers, minlength=N_ELEMENTS)
        labels = self._dataset.labels(i, self._wanted)
        self._energy[i] = labels.get(ENERGY.name, np.nan)
        if FORCES.name in labels:
            self._norms[i] = FORCES.factor * np.linalg.norm(np.asarray(labels[FORCES.name]), axis=1)
            self._force[i] = self._norms[i].max(initial=0)
        if STRESSES.name in labels:
            self._stress[i] = STRESSES.factor * np.abs(labels[STRESSES.name]).max()
        for prop in self._properties:
            if prop.name in labels:
                self._own[prop.name][i] = _one_number(prop, np.asarray(labels[prop.name]))
        self._is_read[i] = True

    def table(self) -> DatasetTable:
        """Return the frames read so far, in order."""
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
        own = {_column_of(prop): self._own[prop.name][frames] for prop in self._properties}
        return DatasetTable(
            n_atoms, energy, force, stress, counts, np.concatenate(norms), of_frame, own
        )


def _one_number(prop: Property, value: NDArray[np.float64]) -> float:
    """Return the value plotted for a frame: of many numbers the one of largest magnitude, with its sign."""
    if prop.kind == "vector":
        return float(np.linalg.norm(value))
    flat = value.ravel()
    return float(flat[np.abs(flat).argmax()]) if len(flat) else np.nan


def _column_of(prop: Property) -> str:
    title = {"vector": f"length of {prop.title}", "structure": prop.title}
    return prop.with_unit(title.get(prop.kind, f"largest {prop.title}"))


def named_property(asked: OwnPropertyConfig | str, dataset: AtomsDataset) -> Property:
    """Return the declaration of a custom property; for a key, its kind is determined from the frames.

    Raises
    ------
    DataError
        None of the first frames has the key.
    """
    if not isinstance(asked, str):
        return asked.about()
    seen: set[str] = set()
    for i in range(min(len(dataset), _LOOKED_AT)):
        frame = dataset.frame(i)
        results = {} if frame.calc is None else frame.calc.results
        for held, kind in ((frame.arrays, "atom"), (frame.info | results, "structure")):
            if asked in held:
                n = np.size(held[asked])
                of_frame = {len(frame): "atom", 3: "vector"}.get(n, kind) if n > 1 else kind
                return own_property(asked, cast("Kind", of_frame), key=asked, unit="", config="")
            seen.update(map(str, held))
    msg = f"{dataset.name}: none of the first {_LOOKED_AT} frames has '{asked}'."
    msg += did_you_mean(asked, sorted(seen))
    raise DataError(msg)


def summary_html(table: DatasetTable, total: int) -> str:
    """Describe the contents of a table of a data set with `total` frames."""
    n = len(table.n_atoms)
    elements = ", ".join(f"{s} {count}" for s, count in table.elements().items())
    known = {ENERGY: table.energy, FORCES: table.force, STRESSES: table.stress}
    labels = {**{prop.title: values for prop, values in known.items()}, **table.own}
    counts = {name: int(np.isfinite(values).sum()) for name, values in labels.items()}
    held = ", ".join(
        f"{name} {'all' if count == n else count or 'none'}" for name, count in counts.items()
    )
    sample = "" if n == total else f" of {number(total)}, evenly spread"
    formulas = "1 formula" if table.n_formulas() == 1 else f"{table.n_formulas()} formulas"
    return (
        f'<div style="line-height:1.5"><b>{n} frames</b>{sample}; {formulas}; '
        f"atoms: {elements}. Frames with labels: {escaped(held)}. Energies are relative to per-element "
        "references. Drag over a plot to select its frames; click a point or a bar.</div>"
    )
