"""Calibration: whether an ensemble's spread indicates the size of its errors on labelled structures."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.places import CALIBRATION
from mattertune_nb.model.calibration import Calibration, calibration
from mattertune_nb.training.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase


def calibrate(model: FinetuneModuleBase, dataset: AtomsDataset) -> dict[PropertyName, Calibration]:
    """Compare errors with the members' plain spread over labelled structures, by property.

    Energies are compared per atom. Properties without labels, and the stress of structures that are not
    periodic, are left out.
    """
    from mattertune_nb.model.spread import SPREAD
    from mattertune_nb.predictor import PropertyPredictor

    errors: dict[PropertyName, list[NDArray[np.float64]]] = {}
    spreads: dict[PropertyName, list[NDArray[np.float64]]] = {}
    learnt = model.hparams.learnt
    for index, predicted in PropertyPredictor(model).stream(dataset):
        labels = dataset.labels(index, dict.fromkeys(learnt, "mask"))
        for prop in learnt:
            name = prop.name
            if name not in labels or name not in predicted:
                continue
            size = len(dataset.frame(index)) if prop.shown_per_atom else 1
            errors.setdefault(name, []).append(np.ravel(predicted[name] - labels[name]) / size)
            plain = np.ravel(predicted[name + SPREAD]) / model.factors[name]
            spreads.setdefault(name, []).append(plain / size)
    return {
        name: calibration(np.concatenate(found), np.concatenate(spreads[name]))
        for name, found in errors.items()
    }


def write_calibration(folder: Path, found: dict[PropertyName, Calibration]) -> None:
    """Store the factors by which the spreads of a run's model, or of an ensemble, are multiplied."""
    write_json(folder / CALIBRATION, {name: asdict(part) for name, part in found.items()})


def calibration_in_words(folder: Path) -> str:
    """Describe how errors compare with spreads in a run or an ensemble; empty if unknown."""
    try:
        found = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    parts = [f"{name}: {Calibration(**part)}" for name, part in found.items()]
    return f"On the validation set, {'; '.join(parts)}."
