"""The doctor within a run: checks its data, using the baseline's predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.doctor.check import compared_with, findings_of, look_at
from mattertune_nb.doctor.finding import Report, ordered
from mattertune_nb.doctor.predicted import known_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.data.dataset import AtomsDataset

MOST = 5000
"""Maximum number of frames checked in each set; if there are more, evenly spread ones."""


def findings_of_run(
    training: AtomsDataset,
    validation: AtomsDataset | None,
    predictions: Mapping[int, Mapping[str, Any]],
) -> Report:
    """Check a run's training and validation data; nothing is predicted.

    Parameters
    ----------
    training, validation
        Frames of the run.
    predictions
        The untuned model's predictions for validation frames, by position:
        ``{"energy": float, "forces": (n, 3), "stresses": (6,)}`` or less, in eV units.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    case = look_at(training.take(evenly_spread(len(training), MOST)))
    findings = [replace(finding, part="training") for finding in findings_of(case)]
    n_frames, n_predicted = len(case.facts), 0
    if validation is not None and len(validation):
        # the predicted frames are among them
        rows = np.union1d(evenly_spread(len(validation), MOST), sorted(predictions)).astype(
            np.int64
        )
        seen = look_at(validation.take(rows))
        at = {int(row): k for k, row in enumerate(rows)}
        known = {at[row]: part for row, part in predictions.items()}
        seen = replace(seen, predicted=known_predictions(seen.facts, known))
        found = findings_of(seen)
        if len(training) <= MOST:  # elements missing in a sample may occur in the whole
            found += compared_with(seen, case)
        findings += [replace(finding, part="validation") for finding in found]
        n_frames, n_predicted = n_frames + len(seen.facts), len(known)
    return Report(ordered(findings), n_frames, n_predicted)
