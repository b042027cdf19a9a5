"""Predictions of one or several models, paired with labels frame by frame as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError
from mattertune_nb.model.outside import outside_references
from mattertune_nb.predictor import PropertyPredictor
from mattertune_nb.widgets.page.work import Step
from mattertune_nb.widgets.views.parity_data import ParityData, frame_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase

_READ_AT_A_TIME = 50


class Pairs:
    """Pairs of labels and predictions over a data set, as far as they are available.

    Parameters
    ----------
    models
        The predicting models.
    dataset
        Structures; those without any label are left out.

    Attributes
    ----------
    note
        A remark about reference energies, if any.
    """

    def __init__(self, models: Sequence[FinetuneModuleBase], dataset: AtomsDataset) -> None:
        self.models, self.dataset = list(models), dataset
        known = models[-1].properties
        self._properties = {name: prop for name, prop in known.items() if not prop.spread_of}
        self._spreads = {p.spread_of: name for name, p in known.items() if p.spread_of}
        self.note = ""
        self._parts: list[dict[PropertyName, list[ParityData]]] = [
            {name: [] for name in self._properties} for _ in self.models
        ]

    def steps(self) -> Iterator[Step]:
        """Read the labels, then predict; after each step :meth:`of` returns more.

        Raises
        ------
        DataError
            A frame cannot be read or predicted, or none has a label.
        """
        n = len(self.dataset)
        labels: dict[int, dict[str, Any]] = {}
        for i in range(n):
            found = self.dataset.labels(i, dict.fromkeys(self._properties.values(), "mask"))
            if found:
                labels[i] = found
            if i % _READ_AT_A_TIME == 0:
                yield Step("reading labels", i, n, "frames")
        if not labels:
            msg = f"{self.dataset.name}: no frame has labels to compare with."
            raise DataError(msg)
        used = np.array(list(labels))
        frames = self.dataset.take(used)
        structures = [frames.frame(k) for k in range(len(frames))]
        self.note = outside_references(self.models[-1], structures)
        present = set().union(*labels.values())
        wanted = [name for name in self._properties if name in present]
        wanted += [self._spreads[name] for name in wanted if name in self._spreads]
        streams = [
            PropertyPredictor(model).stream(frames, [n for n in wanted if n in model.properties])
            for model in self.models
        ]
        for done, results in enumerate(zip(*streams, strict=True), 1):
            for parts, (k, prediction) in zip(self._parts, results, strict=True):
                i, numbers = int(used[k]), structures[k].numbers
                pairs = frame_pairs(i, numbers, labels[i], prediction, self._properties.values())
                for name, values in pairs.items():
                    parts[name].append(values)
            yield Step("predicting", done, len(frames), "frames")

    def of(self, model: int = 0) -> dict[PropertyName, ParityData]:
        """Return the pairs of one model; properties without any are left out."""
        parts = {name: list(rows) for name, rows in self._parts[model].items()}
        return {name: ParityData.joined(rows) for name, rows in parts.items() if rows}


def parity_data(model: FinetuneModuleBase, dataset: AtomsDataset) -> dict[PropertyName, ParityData]:
    """Predict a data set at once and pair labels with predictions, see :meth:`Pairs.steps`."""
    pairs = Pairs([model], dataset)
    for _ in pairs.steps():
        pass
    return pairs.of()
