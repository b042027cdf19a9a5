"""The checks of whether a potential is fit for use, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.physics.checks.distribution import rdf
from mattertune_nb.physics.checks.dynamics import nve, nvt
from mattertune_nb.physics.checks.elasticity import elastic
from mattertune_nb.physics.checks.labels import parity
from mattertune_nb.physics.checks.relaxations import dense, relax
from mattertune_nb.physics.checks.symmetries import gradient, permutation, rotation, size
from mattertune_nb.physics.checks.uncertainty import distance, spread
from mattertune_nb.physics.checks.vibrations import phonons
from mattertune_nb.physics.checks.volume import volume
from mattertune_nb.physics.checks.walls import walls

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Line

CHECKS: dict[str, Callable[[Case], Line]] = {
    "parity": parity,
    "distance": distance,
    "spread": spread,
    "gradient": gradient,
    "rotation": rotation,
    "permutation": permutation,
    "size": size,
    "walls": walls,
    "volume": volume,
    "elastic": elastic,
    "phonons": phonons,
    "nve": nve,
    "nvt": nvt,
    "rdf": rdf,
    "relax": relax,
    "dense": dense,
}
"""In the order in which they are run."""
