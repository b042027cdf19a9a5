"""How many frames each part of a division is to have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mattertune_nb.config.errors import DataError


@dataclass(frozen=True)
class Sizes:
    """How large the parts are to be.

    Attributes
    ----------
    counts
        Frames of training, validation and test.
    shares
        The same as shares of all, where each frame is to be placed by itself; ``None`` where just so many
        frames are asked for.
    """

    counts: tuple[int, int, int]
    shares: tuple[float, float, float] | None = None


def part_sizes(
    n: int,
    train_split: int | float,
    validation_split: int | float | Literal["auto"],
    test_split: int | float,
) -> Sizes:
    """Return how large the parts of `n` structures are to be, by the settings of those names.

    Raises
    ------
    DataError
        The parts are more than there is, or one is left empty.
    """
    train, test = _count(train_split, n), _count(test_split, n)
    if validation_split == "auto":
        validation = max(n - train - test, 0)
    else:
        validation = _count(validation_split, n)
        fractions = (train_split, validation_split, float(test_split))
        if all(isinstance(part, float) for part in fractions) and test_split < 1:
            # rounding must neither lose a structure nor ask for one too many
            left = n - validation - test
            train = left if sum(fractions) > 1 - 1e-9 else min(train, left)
    text = f"{train} for training, {validation} for validation, {test} for a test, of {n}"
    if train + validation + test > n:
        msg = f"the split asks for more structures than there are ({text}). Lower train_split."
        raise DataError(msg)
    for stage, count, remedy in (
        ("training", train, "Raise train_split"),
        ("validation", validation, "Lower train_split"),
        ("the test", test or not test_split, "Raise test_split"),
    ):
        if not count:
            msg = (
                f"the split leaves no structure for {stage} ({text}). {remedy}, or add structures."
            )
            raise DataError(msg)
    shares = None
    parts = (train_split, validation_split, test_split)
    if all(isinstance(part, float) or part in ("auto", 0) for part in parts):
        share, of_test = float(train_split), float(test_split)
        rest = max(1 - share - of_test, 0.0)
        given = rest if validation_split == "auto" else float(validation_split)
        shares = (share, given, of_test)
    return Sizes((train, validation, test), shares)


def _count(part: int | float, n: int) -> int:
    """Return how many of `n` structures a fraction or a number of them means."""
    return math.floor(part * n + 0.5 + 1e-9) if isinstance(part, float) else part
