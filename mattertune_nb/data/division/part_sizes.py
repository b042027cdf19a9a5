"""The number of frames in each part of a split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mattertune_nb.config.errors import DataError


@dataclass(frozen=True)
class Sizes:
    """Sizes of the parts.

    Attributes
    ----------
    counts
        Frames of training, validation and test.
    shares
        The same as fractions of the total, if each frame is placed independently; ``None`` if exact numbers
        are requested.
    """

    counts: tuple[int, int, int]
    shares: tuple[float, float, float] | None = None


def part_sizes(
    n: int,
    train_split: int | float,
    validation_split: int | float | Literal["auto"],
    test_split: int | float,
) -> Sizes:
    """Return the sizes of the parts of `n` structures, from the settings of these names.

    Raises
    ------
    DataError
        The parts exceed the total, or one is empty.
    """
    train, test = _count(train_split, n), _count(test_split, n)
    if validation_split == "auto":
        validation = max(n - train - test, 0)
    else:
        validation = _count(validation_split, n)
        fractions = (train_split, validation_split, float(test_split))
        if all(isinstance(part, float) for part in fractions) and test_split < 1:
            # rounding must neither lose a structure nor request one too many
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
    """Return how many of `n` structures a fraction or a number means."""
    return math.floor(part * n + 0.5 + 1e-9) if isinstance(part, float) else part
