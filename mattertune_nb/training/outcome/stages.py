"""A model before and after training: the names of the stages, and the wording of gains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.unbroken import grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

UNTUNED = "untuned"
"""The backbone as it is."""

AT_START = "at its start"
"""Reference of a run that started from the weights of another one."""

REREFERENCED = "untuned, energies re-referenced"
"""The same with the run's reference energies."""

TUNED = "tuned"


def gain(before: float, after: float) -> tuple[str, int]:
    """Return the change of an error, in words and as a sign.

    Parameters
    ----------
    before, after
        The error in any unit, not negative.

    Returns
    -------
    words
        ``"5.4 × smaller"``, ``"no better"`` if both are equal to two digits, ``"1.3 × larger"``, or a dash if
        one is unknown.
    sign
        1 if it is smaller, -1 if it is larger, 0 otherwise.
    """
    if not (math.isfinite(before) and math.isfinite(after)):
        return "–", 0
    if before == after:
        return "no better", 0
    smaller = after < before
    low, high = sorted((before, after))
    ratio = high / low if low else math.inf
    digits = f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"
    if digits == "1.0":
        return "no better", 0
    if not math.isfinite(ratio):
        return ("all gone", 1) if smaller else ("larger, from none", -1)
    return f"{digits} × {'smaller' if smaller else 'larger'}", 1 if smaller else -1


def short(value: float) -> str:
    """Return an error in readable form: 238, 4.6, 0.031."""
    if value >= 99.95:
        return grouped(value)
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def validated_stages(
    baseline: Mapping[str, float], best: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Return the errors of a run on its validation set before and after, as recorded during training.

    Parameters
    ----------
    baseline
        The model's ``baseline``.
    best
        The record of the best validation, see :meth:`RunDirectory.best_metrics`.

    Returns
    -------
    dict
        Errors as in :func:`~mattertune_nb.training.outcome.evaluation.evaluate` under :data:`UNTUNED`,
        :data:`REREFERENCED` and ``tuned, best epoch …``, counted from 1.
    """
    measured = {k.removeprefix("baseline/"): v for k, v in baseline.items()}
    prefix = "referenced_"
    referenced = {k.removeprefix(prefix): v for k, v in measured.items() if k.startswith(prefix)}
    untuned = {k: v for k, v in measured.items() if not k.startswith(prefix)}
    # for named sets the effect of other references on their energies is not known
    as_before = {k: v for k, v in untuned.items() if not ("/" in k and "energy" in k)}
    tuned = {k.removeprefix("val/"): v for k, v in best.items() if k.startswith("val/")}
    return {
        UNTUNED: untuned,
        REREFERENCED: as_before | referenced,
        f"{TUNED}, best epoch {best['epoch'] + 1}": tuned,
    }
