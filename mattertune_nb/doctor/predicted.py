"""The untuned backbone, and its predictions for a sample of the frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.doctor.facts import OVERLAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.doctor.facts import Facts
    from mattertune_nb.model.module import FinetuneModuleBase

SAMPLE = 120
"""Maximum number of frames predicted."""

_MOST_NEIGHBOURS = 60
"""Twice as many as in diamond; of water with lengths in Bohr a prediction takes 6 GB of memory."""


@dataclass(frozen=True)
class Predicted:
    """Predictions of some frames beside their labels, in eV units.

    Attributes
    ----------
    rows
        Positions of the frames in the data set, ascending, (k,).
    energy
        (k,); NaN if not predicted.
    forces
        (n_atoms, 3) for each frame; ``None`` if not predicted.
    stress
        (k, 6); NaN if not predicted, e.g. for non-periodic frames.
    """

    rows: NDArray[np.int64]
    energy: NDArray[np.float64]
    forces: list[NDArray[np.float64] | None]
    stress: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def untuned_model(backbone: str | BackboneConfig) -> FinetuneModuleBase:
    """Return a backbone, given by name or config, with its vendor's weights."""
    # torch, for which a check without a backbone does not wait
    from mattertune_nb.model.module import FinetuneModuleBase

    config = backbone_config_class(backbone)() if isinstance(backbone, str) else backbone
    return FinetuneModuleBase(config.model_copy(update={"normalizers": {}})).eval()


def choose(facts: Facts, n: int = SAMPLE) -> NDArray[np.int64]:
    """Return which frames to predict: half evenly spread, half those with the most unusual labels."""
    # overlapping atoms have no meaningful energy
    is_sound = (facts.closest >= OVERLAP) & (facts.neighbours <= _MOST_NEIGHBOURS)
    usable = np.flatnonzero(is_sound & ~facts.is_broken)
    if len(usable) <= n:
        return usable
    even = usable[evenly_spread(len(usable), n // 2)]
    oddness: NDArray[np.float64] = np.zeros(len(facts))
    for column in (facts.energy / facts.n_atoms, facts.force_rms, facts.force_max, facts.closest):
        middle = np.nanmedian(column) if np.isfinite(column).any() else 0.0
        spread = np.nanmedian(np.abs(column - middle)) if np.isfinite(column).any() else 0.0
        if spread > 0:
            oddness = np.fmax(oddness, np.abs(column - middle) / spread)
    rest = np.setdiff1d(usable, even)
    odd = rest[np.argsort(-oddness[rest])[: n - len(even)]]
    return np.union1d(even, odd)


def predict(
    model: FinetuneModuleBase, facts: Facts, progress: Callable[[int], None] = lambda _: None
) -> Predicted:
    """Predict a sample of the frames with the untuned backbone.

    Parameters
    ----------
    model
        The backbone, without reference energies of other data.
    facts
        The frames.
    progress
        Called with the number of frames done.

    Raises
    ------
    DataError
        The backbone cannot handle one of the frames.
    """
    rows = choose(facts)
    results: list[Mapping[str, Any]] = []
    names = [ENERGY.name, FORCES.name, STRESSES.name]
    for _, result in model.property_predictor().stream(facts.dataset.take(rows), names):
        results.append(result)
        progress(len(results))
    return predicted_as(rows, results)


def known_predictions(facts: Facts, found: Mapping[int, Mapping[str, Any]]) -> Predicted:
    """Return existing predictions as those of a sample.

    Parameters
    ----------
    facts
        The frames.
    found
        ``{"energy": float, "forces": (n, 3), "stresses": (6,)}`` or less, by frame position.
    """
    usable = (facts.closest >= OVERLAP) & ~facts.is_broken
    rows = np.array(sorted(row for row in found if usable[row]), dtype=np.int64)
    return predicted_as(rows, [found[row] for row in rows.tolist()])


def predicted_as(rows: NDArray[np.int64], results: Sequence[Mapping[str, Any]]) -> Predicted:
    """Return the predictions of some frames, in their order, as arrays."""
    nothing = np.full(6, np.nan)
    return Predicted(
        rows,
        np.array([result.get(ENERGY.name, np.nan) for result in results], dtype=np.float64),
        [result.get(FORCES.name) for result in results],
        np.array([result.get(STRESSES.name, nothing) for result in results]).reshape(-1, 6),
    )
