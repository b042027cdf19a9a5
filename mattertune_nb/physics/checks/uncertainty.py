"""What errors correlate with: the spread of an ensemble, the distance from training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.model.calibration import calibration
from mattertune_nb.physics.checks.case import bare
from mattertune_nb.physics.checks.labels import labelled
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_FACTOR, _FAR = 1.5, 3.0
_RANK = 0.2
_MOST, _FRAMES, _GROWS = 24, 6, 2.0
"""Structures that are looked at, and without which nothing is said of distances; how much errors may grow."""


def spread(case: Case) -> Line:
    """Compare the spread of an ensemble's forces with their errors."""
    frames = labelled(case)
    if not frames:
        return Line("spread", "skipped", reason="the frames have no labels")
    errors, spreads = [], []
    for atoms in frames:
        case.look_up()
        one = bare(atoms)
        forces = case.tuned.get_property("forces", one)
        if "forces_std" not in case.tuned.results:
            return Line(
                "spread",
                "skipped",
                reason="one model has no spread; see mt.ensemble and model.last_block_copies",
            )
        errors.append(np.ravel(forces - atoms.calc.results["forces"]))
        spreads.append(np.ravel(case.tuned.results["forces_std"]))
    found = calibration(np.concatenate(errors), np.concatenate(spreads))
    # too large and too small are equally bad
    off = max(found.factor, 1 / max(found.factor, 1e-12))
    status: Status = "fail" if off > _FAR else "pass"
    if status == "pass" and (off > _FACTOR or not found.correlation > _RANK):
        status = "warn"
    said = {
        "pass": "the spread indicates how large errors are",
        "warn": "the spread is a rough measure of errors",
        "fail": "the spread says little about how large errors are",
    }[status]
    rms = [1e3 * float(np.sqrt(np.mean(np.concatenate(v) ** 2))) for v in (spreads, errors)]
    return Line(
        "spread",
        status,
        tuned=f"spread {rms[0]:.0f}, error {rms[1]:.0f} {FORCES.shown_unit}",
        reason=f"{said}: {found}",
        numbers={"factor": found.factor, "rank_correlation": found.correlation, "n": found.n},
    )


def distance(case: Case) -> Line:
    """Compare errors of the structures farthest from training with those of the nearest."""
    far, errors = [], []
    for k in evenly_spread(len(case.frames), _MOST):
        atoms = case.frames[k]
        known = case.distances is not None and np.isfinite(case.distances[k])
        if known and atoms.calc is not None and "forces" in atoms.calc.results:
            case.look_up()
            wrong = case.tuned.get_property("forces", bare(atoms)) - atoms.calc.results["forces"]
            errors.append(1e3 * float(np.abs(wrong).mean()))
            far.append(case.distances[k])  # type: ignore[index]  # it is known
    if len(far) < _FRAMES:
        said = f"distances and labels are known for {len(far)} structures; {_FRAMES} are needed"
        return Line("distance", "skipped", reason=said)
    order, third = np.argsort(far), len(far) // 3
    near, away = (
        float(np.mean(np.array(errors)[part])) for part in (order[:third], order[-third:])
    )
    found = calibration(np.array(errors), np.array(far))
    grows = away > _GROWS * near
    return Line(
        "distance",
        "warn" if grows else "pass",
        tuned=f"{near:.0f} {FORCES.shown_unit} near, {away:.0f} far",
        reason=(
            ("errors grow away from the training data: " if grows else "")
            + f"thirds of {len(far)} structures at {np.mean(np.sort(far)[:third]):.2g} and "
            f"{np.mean(np.sort(far)[-third:]):.2g} of the distance of two training structures; rank "
            f"correlation {found.correlation:.2f}"
        ),
        numbers={"distances": far, "errors_meV_per_A": errors},
    )
