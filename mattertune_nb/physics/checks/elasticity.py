"""Elastic constants of a crystal, from the stresses of strained cells."""

from __future__ import annotations

import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.optimize import FIRE

from mattertune_nb.physics.checks.case import Clock, bare, seconds_of
from mattertune_nb.physics.checks.crystal import NoCrystal, crystal
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_STRAIN = 0.002
"""Potentials are anharmonic: CHGNet gives C11 of silicon as 161 GPa at 0.01 %, 152 at this, 131 at 0.5 %."""

_TIME = 0.04
"""Fraction of the time of all checks, for each of the two potentials."""

_FMAX, _STEPS, _USUAL_STEPS = 0.005, 50, 8
_OTHER = 1.5
"""A modulus larger than another one by this factor is that of a different material."""


def elastic(case: Case) -> Line:
    """Strain the relaxed crystal by 0.2 % in six ways and fit its elastic tensor."""
    try:
        crystals = {stage: crystal(case, stage) for stage in case.calculators()}
    except NoCrystal as exc:
        return Line("elastic", "skipped", reason=str(exc))
    are_free = all(_has_time(case, c, crystals[s]) for s, c in case.calculators().items())
    tensors: dict[str, NDArray[np.float64]] = {}
    for stage, calculator in case.calculators().items():
        tensor = None
        if are_free:
            tensor = elastic_tensor(case, crystals[stage], calculator, relax=True)
            are_free = tensor is not None
        if tensor is None:
            tensor = elastic_tensor(case, crystals[stage], calculator, relax=False)
        assert tensor is not None  # without relaxations there is no time limit
        tensors[stage] = tensor
    moduli = {stage: _moduli(tensor) for stage, tensor in tensors.items()}
    status, said = _judged(tensors, moduli)
    kind = (
        "positions relaxed"
        if are_free
        else "positions fixed, because relaxing them would take too long"
    )
    return Line(
        "elastic",
        status,
        untuned=_shown(moduli["untuned"]) if "untuned" in moduli else "",
        tuned=_shown(moduli["tuned"]),
        reason=f"{said}; {kind}",
        numbers={
            **{f"{stage}_GPa": np.round(tensor, 3).tolist() for stage, tensor in tensors.items()},
            **{
                f"{stage}_{name}_modulus_GPa": value
                for stage, both in moduli.items()
                for name, value in zip(("bulk", "shear"), both, strict=True)
            },
            "positions": "relaxed" if are_free else "held",
        },
    )


def elastic_tensor(
    case: Case, atoms: Atoms, calculator: Calculator, *, relax: bool
) -> NDArray[np.float64] | None:
    """Return the elastic tensor in GPa, (6, 6) in Voigt order; ``None`` if time runs out.

    Parameters
    ----------
    case
        Asked whether to end.
    atoms
        The crystal, relaxed.
    calculator
        Its potential.
    relax
        Whether to relax the atoms in each strained cell.
    """
    # the import takes half a second, which the other checks do not need
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.analysis.elasticity import ElasticTensor, Strain, Stress
    clock = Clock(_TIME * case.seconds)
    strains, stresses = [], []
    for component, sign in product(range(6), (1, -1)):
        case.look_up()
        voigt = np.zeros(6)
        # shear counts twice in Voigt's notation
        voigt[component] = sign * _STRAIN * (1 if component < 3 else 2)
        strain = Strain.from_voigt(voigt)
        strained = bare(atoms)
        strained.set_cell(
            atoms.cell.array @ np.asarray(strain.get_deformation_matrix()).T, scale_atoms=True
        )
        strained.calc = calculator
        if relax and not _is_relaxed(strained, case, clock):
            return None
        strains.append(strain)
        stresses.append(Stress(strained.get_stress(voigt=False) / units.GPa))
    unstrained = bare(atoms)
    unstrained.calc = calculator
    rest = Stress(unstrained.get_stress(voigt=False) / units.GPa)
    fitted = ElasticTensor.from_independent_strains(strains, stresses, eq_stress=rest)
    return np.asarray(fitted.voigt, dtype=np.float64)


def _is_relaxed(strained: Atoms, case: Case, clock: Clock) -> bool:
    """Relax positions in a strained cell; return False if time runs out first."""
    for converged in FIRE(strained, logfile=None).irun(fmax=_FMAX, steps=_STEPS):
        case.look_up()
        if converged:
            return True
        if clock.is_over():
            return False
    return True


def _has_time(case: Case, calculator: Calculator, atoms: Atoms) -> bool:
    needed = 12 * _USUAL_STEPS * seconds_of(calculator, atoms, "stress")
    return needed < _TIME * case.seconds


def _moduli(tensor: NDArray[np.float64]) -> tuple[float, float]:
    """Return the Voigt–Reuss–Hill bulk and shear moduli, in GPa."""
    from pymatgen.analysis.elasticity import ElasticTensor

    fitted = ElasticTensor.from_voigt(tensor)
    return float(fitted.k_vrh), float(fitted.g_vrh)


def _is_stable(tensor: NDArray[np.float64]) -> bool:
    return bool(np.linalg.eigvalsh((tensor + tensor.T) / 2).min() > 0)


def _judged(
    tensors: dict[str, NDArray[np.float64]], moduli: dict[str, tuple[float, float]]
) -> tuple[Status, str]:
    stable = {stage: _is_stable(tensor) for stage, tensor in tensors.items()}
    if not stable["tuned"]:
        if stable.get("untuned", False):
            return "fail", "some strain lowers the energy, which it did not before: not stable"
        return "warn", "some strain lowers the energy of the relaxed crystal, as it did before"
    if stable.get("untuned", False):
        for name, ours, before in zip(
            ("bulk", "shear"), moduli["tuned"], moduli["untuned"], strict=True
        ):
            if not 1 / _OTHER < ours / before < _OTHER:
                return (
                    "warn",
                    f"the {name} modulus is far from that of the untuned model: which is right?",
                )
    return "pass", "every strain costs energy"


def _shown(moduli: tuple[float, float]) -> str:
    return f"bulk {moduli[0]:.0f}, shear {moduli[1]:.0f} GPa"
