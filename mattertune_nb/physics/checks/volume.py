"""Energy against volume: an equation of state with its bulk modulus."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.eos import EquationOfState

from mattertune_nb.physics.curves import Curves
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_STRAINS = np.linspace(-0.12, 0.12, 9)
_OTHER = 1.5
"""A bulk modulus larger than another one by this factor is that of a different material."""


def volume(case: Case) -> Line:
    """Scale a crystal by up to 12 % in volume with its atoms, and fit the Birch–Murnaghan equation."""
    atoms = case.start()
    if not atoms.pbc.all():
        return Line("volume", "skipped", reason="not periodic in three directions")
    volumes = atoms.get_volume() * (1 + _STRAINS)
    moduli, curves = {}, {}
    for stage, calculator in case.calculators().items():
        energies = []
        for v in volumes:
            case.look_up()
            scaled = atoms.copy()
            scaled.set_cell(atoms.cell * (v / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
            energies.append(float(calculator.get_property("energy", scaled)))
        curves[stage] = np.array(energies)
        moduli[stage] = _bulk_modulus(volumes, curves[stage])
    status, reason = _judged(curves["tuned"], moduli)
    return Line(
        "volume",
        status,
        untuned=_shown(moduli["untuned"]) if "untuned" in moduli else "",
        tuned=_shown(moduli["tuned"]),
        reason=reason,
        numbers={
            "volumes_A3": volumes.tolist(),
            **{f"{k}_energies_eV": v.tolist() for k, v in curves.items()},
            **{f"{k}_GPa": v for k, v in moduli.items()},
        },
        curves=Curves(
            "volume (Å³/atom)",
            "energy (eV/atom)",
            (volumes / len(atoms)).tolist(),
            {k: ((v - v.min()) / len(atoms)).tolist() for k, v in curves.items()},
        ),
    )


def _bulk_modulus(volumes: NDArray[np.float64], energies: NDArray[np.float64]) -> float | None:
    """Return the bulk modulus in GPa; ``None`` if the curve has no minimum."""
    if not 0 < int(np.argmin(energies)) < len(energies) - 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, _, modulus = EquationOfState(volumes, energies, eos="birchmurnaghan").fit()
        except (RuntimeError, ValueError):
            return None
    return float(modulus / units.GPa)


def _judged(energies: NDArray[np.float64], moduli: dict[str, float | None]) -> tuple[Status, str]:
    if not np.isfinite(energies).all():
        return "fail", "an energy is not finite"
    slopes = np.diff(energies)
    # under compression the energy must rise faster and faster
    compressed = slopes[: len(slopes) // 2]
    if slopes[0] >= 0:
        return "fail", "the energy falls when the crystal is compressed"
    if (np.diff(compressed) < 0).any() and compressed.max() > 0:
        return "fail", "the energy has a second minimum under pressure"
    tuned, untuned = moduli["tuned"], moduli.get("untuned")
    if tuned is None:
        return "warn", "no minimum within 12 % of the volume of the data"
    if untuned and not 1 / _OTHER < tuned / untuned < _OTHER:
        return "warn", "the bulk modulus is far from that of the untuned model: which is right?"
    return "pass", "one minimum; the bulk modulus is of scaled positions, not relaxed"


def _shown(modulus: float | None) -> str:
    return "no minimum" if modulus is None else f"{modulus:.0f} GPa"
