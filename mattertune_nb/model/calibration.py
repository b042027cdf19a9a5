"""Whether the spread of an ensemble indicates how large its errors are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.unbroken import with_minus

if TYPE_CHECKING:
    from numpy.typing import NDArray


_SAYS_NOTHING = 100
"""Ratio of error to spread above which the members are practically identical."""


@dataclass(frozen=True)
class Calibration:
    """Errors of a property compared with the spread of an ensemble's members.

    Attributes
    ----------
    factor
        Root mean square error divided by root mean square spread: 3 means that errors are three times the
        spread.
    correlation
        Spearman's rank correlation: 1 if larger spread always means larger error, 0 if they are unrelated;
        NaN if undefined.
    n
        Number of components compared.
    """

    factor: float
    correlation: float
    n: int

    def __str__(self) -> str:
        if self.factor > _SAYS_NOTHING:
            return (
                f"the spread is less than 1/{_SAYS_NOTHING} of the errors, and carries no information about "
                "them"
            )
        is_defined = not np.isnan(self.correlation)
        rank = with_minus(f"{self.correlation:.2f}") if is_defined else "not defined"
        return f"errors are {self.factor:.2g} × the spread; rank correlation {rank}"


def calibration(errors: NDArray[np.float64], spreads: NDArray[np.float64]) -> Calibration:
    """Compare errors with spreads.

    Parameters
    ----------
    errors, spreads
        One value per component, (m,), in the same unit.
    """
    from scipy.stats import spearmanr

    error, spread = np.sqrt(np.mean(errors**2)), np.sqrt(np.mean(spreads**2))
    sizes = np.abs(errors)
    varies = len(errors) > 2 and np.ptp(sizes) > 0 and np.ptp(spreads) > 0
    correlation = float(spearmanr(sizes, spreads).statistic) if varies else float("nan")
    return Calibration(float(error / spread) if spread > 0 else 1.0, correlation, len(errors))
