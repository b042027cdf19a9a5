"""Labels paired with predictions, in the units in which people read them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.properties import FORCES, Property
from mattertune_nb.config.unbroken import with_minus
from mattertune_nb.model.spread import SPREAD
from mattertune_nb.widgets.page.style import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from numpy.typing import NDArray

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.widgets.page.export import Table

_FAR = 3.0
"""A common error of the energy this many times the spread of the labels is subtracted in plots."""


@dataclass(frozen=True)
class ParityData:
    """Components of one property in meV units, one after the other, frame by frame.

    Attributes
    ----------
    about
        The declaration of the property.
    label, prediction
        (m,); energies per atom.
    frame
        Position in the data set of the frame of each component, (m,).
    component
        Index of each component within the property, (m,): x, y, z of a force, the six of a stress.
    atom, element
        Its atom and the atomic number, (m,); -1 and 0 if it belongs to a whole frame.
    norm
        Norm of the force label on its atom, or the largest in a whole frame, (m,); NaN if there is none.
    spread
        Spread of an ensemble's members, (m,), energies per atom; empty for a single model.
    """

    about: Property
    label: NDArray[np.float64]
    prediction: NDArray[np.float64]
    frame: NDArray[np.int64]
    component: NDArray[np.int64]
    atom: NDArray[np.int64]
    element: NDArray[np.int64]
    norm: NDArray[np.float64]
    spread: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return the components of one or more frames, all of the same property."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__dataclass_fields__
            if name != "about"
        }
        return cls(parts[0].about, **columns)

    def take(self, rows: NDArray[Any]) -> Self:
        """Return some of the components."""
        columns = {
            name: getattr(self, name)[rows]
            for name in self.__dataclass_fields__
            if name != "about" and (name != "spread" or self.has_spread)
        }
        return replace(self, **columns)

    @property
    def has_spread(self) -> bool:
        """Whether the predictions come from an ensemble."""
        return len(self.spread) == len(self) > 0

    @property
    def error(self) -> NDArray[np.float64]:
        """Prediction - label, (m,)."""
        return self.prediction - self.label

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.error).mean())

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return float(np.sqrt(np.square(self.error).mean()))

    @property
    def r2(self) -> float:
        """Coefficient of determination; NaN if all labels are equal."""
        spread = np.square(self.label - self.label.mean()).sum()
        return float(1 - np.square(self.error).sum() / spread) if spread > 0 else np.nan

    def elements(self) -> dict[int, ParityData]:
        """Return the components on atoms of each element, by atomic number; empty for whole frames."""
        present = sorted(set(np.unique(self.element).tolist()) - {0})
        return {z: self.take(self.element == z) for z in present}

    @property
    def _relative(self) -> bool:
        """Whether only differences between labels are meaningful."""
        return self.about.has_references

    @property
    def zero(self) -> float:
        """Offset subtracted on both axes: the mean label of energies, whose zero is arbitrary."""
        return float(self.label.mean()) if self._relative else 0.0

    @property
    def shift(self) -> float:
        """Offset subtracted from predictions in plots: an error common to all, if it hides the rest."""
        common = float(self.error.mean())
        far = self._relative and abs(common) > _FAR * max(float(self.label.std()), 1e-9)
        return common if far else 0.0

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the plotted values, (m,) each."""
        zero = self.zero
        return self.label - zero, self.prediction - zero - self.shift

    def axis_titles(self) -> tuple[str, str]:
        """Return the titles of the axes."""
        across, up = "label", "prediction"
        if self._relative:
            shifted = f", shifted by {signed(-self.shift)}" if self.shift else ""
            across, up = "label − mean", f"prediction − mean label{shifted}"
        return self.about.with_unit(across), self.about.with_unit(up)

    def place(self, row: int) -> str:
        """Return a component's place, e.g. ``"H 5, Fx"``; atoms are counted from 0 as in ASE."""
        what: str = self.about.component_names[self.component[row]]
        if self.atom[row] < 0:
            return what
        return f"{chemical_symbols[self.element[row]]} {self.atom[row]}, {what}"

    def of_element(self, z: int) -> str:
        """Return the effect of selecting an element, e.g. ``" of O"``, energies ``" with O"``; 0 is all."""
        if not z:
            return ""
        return f" {'of' if self.element.any() else 'with'} {chemical_symbols[z]}"

    def sentence(self, row: int) -> str:
        """Describe a component: its place, label, prediction and error."""
        label, prediction = signed(self.label[row]), signed(self.prediction[row])
        return (
            f"{self.place(row)}: label {label}, prediction {prediction}, "
            f"error {signed(self.error[row])} {self.about.shown_unit}"
        )

    def r2_words(self) -> str:
        """Return the coefficient of determination as text."""
        value = self.r2
        if np.isnan(value):
            return "not defined"
        return with_minus(f"{value:.4f}" if value > -10 else number(value))

    def title(self) -> str:
        """Return the errors in two lines."""
        return (
            f"{self.about.title}: MAE {number(self.mae)} {self.about.shown_unit}\n"
            f"RMSE {number(self.rmse)} {self.about.shown_unit}, R² {self.r2_words()}"
        )


def frame_pairs(
    index: int,
    numbers: NDArray[np.int64],
    labels: Mapping[str, Any],
    prediction: Mapping[str, Any],
    properties: Iterable[Property],
) -> dict[PropertyName, ParityData]:
    """Pair the labels of one frame with its prediction, in eV units; properties without both are left out."""
    n = len(numbers)
    norms: NDArray[np.float64] = np.full(n, np.nan)
    if FORCES.name in labels:
        norms = FORCES.factor * np.linalg.norm(np.asarray(labels[FORCES.name]), axis=1)
    found: dict[PropertyName, ParityData] = {}
    for prop in properties:
        name = prop.name
        if name not in labels or name not in prediction:
            continue
        factor = prop.factor / (n if prop.shown_per_atom else 1)
        label = factor * np.ravel(labels[name]).astype(np.float64)
        guess = factor * np.ravel(prediction[name]).astype(np.float64)
        spread = factor * np.ravel(prediction.get(name + SPREAD, ())).astype(np.float64)
        m = len(label)
        each = len(prop.component_names)
        found[name] = ParityData(
            prop,
            label,
            guess,
            frame=np.full(m, index),
            component=np.arange(m) % each,
            atom=np.arange(n).repeat(each) if prop.of_atoms else np.full(m, -1),
            element=numbers.repeat(each) if prop.of_atoms else np.zeros(m, dtype=np.int64),
            norm=norms.repeat(each) if prop.of_atoms else np.full(m, norms.max(initial=0)),
            spread=spread,
        )
    return found


def by_element(values: ParityData, dataset: AtomsDataset) -> dict[int, ParityData]:
    """Return the components of each element's atoms; for whole-frame properties, of the frames containing it.

    In the latter case, elements present in all frames are left out, because they select nothing.
    """
    if values.element.any():
        return values.elements()
    frames = np.unique(values.frame).tolist()
    holding: dict[int, list[int]] = {}
    for i in frames:
        for z in np.unique(dataset.frame(i).numbers).tolist():
            holding.setdefault(z, []).append(i)
    return {
        z: values.take(np.isin(values.frame, held))
        for z, held in sorted(holding.items())
        if len(held) < len(frames)
    }


def parity_numbers(data: Mapping[PropertyName, ParityData], dataset: AtomsDataset) -> Table | None:
    """Return one row per component: its origin, and label, prediction and error of its property.

    Energies are per atom, as shown; the columns of other properties are empty.
    """
    total = sum(len(values) for values in data.values())
    if not total:
        return None
    columns: dict[str, list[Any]] = {"frame": [], "atom": [], "element": [], "component": []}
    start = 0
    for values in data.values():
        m, prop = len(values), values.about
        columns["frame"] += [dataset.source(i) for i in values.frame.tolist()]
        columns["atom"] += [i if i >= 0 else "" for i in values.atom.tolist()]
        columns["element"] += [chemical_symbols[z] if z else "" for z in values.element.tolist()]
        columns["component"] += [prop.component_names[k] for k in values.component.tolist()]
        for what in ("label", "prediction", "error", *(["spread"] if values.has_spread else [])):
            numbers = getattr(values, what).tolist()
            cells = [""] * start + numbers + [""] * (total - start - m)
            columns[prop.with_unit(f"{prop.title} {what}")] = cells
        start += m
    return columns


def signed(value: float) -> str:
    """Return a number as :func:`number` does, with a true minus sign."""
    return with_minus(number(float(value)))
