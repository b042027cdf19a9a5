"""Decides which of several values is a label, by comparison with the untuned backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.config.unbroken import with_minus
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.isolated import is_isolated_atom
from mattertune_nb.data.labels.values import in_voigt_order, numbers_of, stored_values
from mattertune_nb.doctor.compared import about_references, correlation_of, slope_of
from mattertune_nb.doctor.predicted import untuned_model
from mattertune_nb.doctor.unit_finding import CORRELATION
from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.labels.choice import Choice
    from mattertune_nb.model.module import FinetuneModuleBase

_SAMPLE, _FEWEST = 24, 8
_MOST_ATOMS = 200
_OFF = 1.6
"""A value this many times too large or small is in another unit, or is another quantity."""


@dataclass(frozen=True)
class Evidence:
    """Comparison of a value with a prediction.

    Attributes
    ----------
    slope
        Factor from the prediction to the value.
    correlation
        Correlation of the two; for energies per atom, after fitting one energy per element.
    """

    slope: float
    correlation: float

    @property
    def speaks_for(self) -> bool:
        """Whether the value is the predicted quantity, in its unit and with its sign."""
        return self.correlation >= CORRELATION and 1 / _OFF < self.slope < _OFF

    def __str__(self) -> str:
        return with_minus(f"slope {self.slope:.3g}, correlation {self.correlation:.2f}")


def decide(dataset: AtomsDataset, choices: Mapping[str, Choice], backbone: str) -> None:
    """Add the comparison with an untuned backbone to open choices, and choose where the answer is clear.

    Nothing is added if the backbone is not installed, its weights would have to be downloaded, or it cannot
    handle the frames.

    Parameters
    ----------
    dataset
        The frames.
    choices
        Findings about each label; open ones are updated.
    backbone
        Name of the backbone.
    """
    config = backbone_config_class(backbone)
    if not _asked(choices) or not config.is_installed():
        return
    try:
        facts = config().facts()
        if facts is None or facts.download is not None:
            return
        weigh(dataset, choices, untuned_model(config()), backbone)
    except (MatterTuneError, RuntimeError, ValueError):
        return  # the question itself is more useful than a message about the model


def weigh(
    dataset: AtomsDataset, choices: Mapping[str, Choice], model: FinetuneModuleBase, backbone: str
) -> None:
    """Do the same with a given model.

    Parameters
    ----------
    dataset, choices
        As for :func:`decide`.
    model
        The untuned backbone.
    backbone
        Its name.

    Raises
    ------
    MatterTuneError
        It cannot handle the frames.
    """
    asked = _asked(choices)
    if not asked:
        return
    frames, predictions = _predicted(dataset, model, list(asked))
    for label, choice in asked.items():
        found = {
            c.key: evidence
            for c in choice.open
            if (evidence := _compare(label, c.key, frames, predictions)) is not None
        }
        for c in choice.open:
            if c.key in found:
                c.evidence = f"{found[c.key]} with untuned {backbone}"
        told = [c for c in choice.open if c.key in found and found[c.key].speaks_for]
        if len(told) == 1 and len(found) == len(choice.open) and not choice.is_last_resort:
            (taken,) = told
            others = [f"'{c.key}' has {found[c.key]}" for c in choice.open if c is not taken]
            choice.key, choice.candidate, choice.open = taken.key, taken, []
            choice.notes.append(
                f"'{taken.key}' is used as the {label}: it agrees with untuned {backbone} "
                f"({found[taken.key]}); {', '.join(others)}"
            )


def _asked(choices: Mapping[str, Choice]) -> dict[str, Choice]:
    return {
        label: choice
        for label, choice in choices.items()
        # each frame has one energy
        if len(choice.open) > 1 and (label != ENERGY.name or choice.n_frames >= _FEWEST)
    }


def _predicted(
    dataset: AtomsDataset, model: FinetuneModuleBase, names: list[str]
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return a few frames, spread over the set, and their predictions."""
    n_atoms = dataset.n_atoms()
    usable = np.flatnonzero((n_atoms > 0) & (n_atoms <= _MOST_ATOMS))
    usable = usable[evenly_spread(len(usable), _SAMPLE)]
    usable = np.array([i for i in usable if not is_isolated_atom(dataset.frame(int(i)))], np.int64)
    taken = dataset.take(usable)
    results = [r for _, r in model.property_predictor().stream(taken, names)]
    return [taken.frame(i) for i in range(len(taken))], results


def _compare(
    label: str, key: str, frames: list[Any], predictions: list[dict[str, Any]]
) -> Evidence | None:
    """Compare a value with its prediction; None if too few frames have both."""
    values: list[NDArray[np.float64]] = []
    guesses: list[NDArray[np.float64]] = []
    counts = []
    for atoms, result in zip(frames, predictions, strict=True):
        value, guess = numbers_of(stored_values(atoms).get(key)), result.get(label)
        if value is None or guess is None:
            continue
        guess = np.asarray(guess, dtype=np.float64)
        if value.size == 9 and guess.size == 6:
            value = in_voigt_order(value)
        if value.size != guess.size or not np.isfinite(value).all():
            continue
        values.append(value.ravel())
        guesses.append(guess.ravel())
        counts.append(np.bincount(atoms.numbers, minlength=N_ELEMENTS))
    if sum(value.size for value in values) < _FEWEST:
        return None
    a, b = np.concatenate(values), np.concatenate(guesses)
    if label == ENERGY.name:
        a, b = (about_references(np.array(counts), part) for part in (a, b))
    return Evidence(slope_of(a, b), correlation_of(a, b))
