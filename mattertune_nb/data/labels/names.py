"""What the name of a value says: common names of labels, and of quantities that are not labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES

Kind = Literal["plain", "free energy", "of atoms", "virial", "gradient"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN: tuple[tuple[str, str, Kind, str], ...] = (
    # as in ASE's calculators and extended XYZ, and hence NequIP, Allegro, psiflow, GPUMD
    ("energy", "energy", "plain", "ASE"),
    ("forces", "forces", "plain", "ASE"),
    ("stress", "stresses", "plain", "ASE"),
    ("ref_energy", "energy", "plain", "MACE"),
    ("ref_forces", "forces", "plain", "MACE"),
    ("ref_stress", "stresses", "plain", "MACE"),
    ("ref_virials", "stresses", "virial", "MACE"),
    ("ref_virial", "stresses", "virial", "MACE"),
    ("dft_energy", "energy", "plain", "GAP, janus-core"),
    ("dft_force", "forces", "plain", "GAP"),
    ("dft_forces", "forces", "plain", "GAP, janus-core"),
    ("dft_stress", "stresses", "plain", "janus-core"),
    ("dft_virial", "stresses", "virial", "GAP"),
    ("qm_energy", "energy", "plain", "GAP, OpenMM"),
    ("qm_forces", "forces", "plain", "GAP, OpenMM"),
    ("total_energy", "energy", "plain", "NequIP, SevenNet, Quantum ESPRESSO"),
    ("potential_energy", "energy", "plain", "ASE, LAMMPS"),
    ("free_energy", "energy", "free energy", "ASE, VASP, SevenNet"),
    ("totenergy", "energy", "plain", "RuNNer, n2p2"),
    ("energies", "energy", "of atoms", "ASE"),
    ("toten", "energy", "free energy", "VASP"),
    ("e_fr_energy", "energy", "free energy", "pymatgen, vasprun.xml"),
    ("e_0_energy", "energy", "plain", "pymatgen, vasprun.xml"),
    ("uncorrected_total_energy", "energy", "plain", "Materials Project, MPtrj"),
    ("corrected_total_energy", "energy", "plain", "Materials Project, MPtrj"),
    ("force", "forces", "plain", "GPUMD, RuNNer, dpdata, CHGNet"),
    ("atomic_forces", "forces", "plain", "ColabFit"),
    ("cauchy_stress", "stresses", "plain", "ColabFit"),
    ("gradient", "forces", "gradient", "TURBOMOLE, ORCA"),
    ("gradients", "forces", "gradient", "xtb"),
    ("virial", "stresses", "virial", "GAP, GPUMD"),
    ("virials", "stresses", "virial", "dpdata, DeePMD-kit"),
)
"""Name in lower case, label, kind, and who uses it; earlier entries take precedence."""

_METHODS = _words(
    "dft qm ref reference pbe pbe0 pbesol revpbe rpbe pw91 lda gga ggau scan r2 r2scan rscan hse hse06 "
    "b3lyp blyp wb97x wb97m wb97 b97 m06 m062x tpss optb88 optb86b beef hf ccsd ccsdt mp2 cc dz tz qz cbs "
    "svp tzvp tzvpp qzvp scf ks vasp cp2k qe espresso castep aims orca psi4 gaussian siesta abinit gpaw "
    "dftb xtb gfn2 gfn1 tot total final"
)
"""Words that say how a total energy was computed; next to one of them a bare ``E`` means an energy."""

_HARMLESS = _METHODS | _words(
    "free potential pot uncorrected unrelaxed initial ground state system structure config "
    "configuration cell supercell frame true train data label labels sp single point static md 0 0k sigma "
    "sigma0 extrapolated raw all atoms tensor voigt"
)
"""Words next to which an energy, forces or a stress keep their meaning."""

_ENERGY_WORDS = _words("energy energies ene etot etotal epot poteng toten totenergy")
_ALL_LABEL_WORDS = _ENERGY_WORDS | _words(
    "e eng force forces frc stress stresses virial virials gradient gradients grad"
)

_DOUBTFUL_ENERGIES = {
    "y": "the target in older fairchem data, possibly relative to a reference",
    "y_relaxed": "the energy of the relaxed structure in older fairchem data",
    "e": "a name too short to be clear",
    "pe": "possibly a potential energy",
    "e_0": "VASP's energy without smearing, or a reference energy",
    "e0": "VASP's energy without smearing, or a reference energy",
    "u0": "QM9's internal energy at 0 K, in Hartree",
    "u": "a name too short to be clear",
    "target": "an uninformative name",
    "label": "an uninformative name",
    "reference_energy": "the label, or the energy of a reference",
    "energy_reference": "the label, or the energy of a reference",
    "electronic_energy": "a total, or one without the repulsion of the nuclei",
    "hartree_energy": "an energy in Hartree, or the Hartree term alone",
}

_DOUBTFUL_WORDS = {
    (ENERGY.name, "relaxed"): "the energy of this structure, or of another to which it relaxes",
    (STRESSES.name, "vasp"): "VASP's stress is in kbar with the opposite sign, others mean eV/Å³",
}
"""Words that leave open what a label of some kind means, with the reason."""

_EXCLUDED: dict[str, str] = {
    word: reason
    for reason, words in {
        "a weight": "weight weights w wt",
        "a cut-off": "cutoff cut encut ecut ecutwfc ecutrho radius rcut",
        "a tolerance": "tol tolerance threshold thr thresh conv convergence converged ediff eps accuracy "
        "precision criterion",
        "a kinetic energy": "kinetic kin ekin kineng ke",
        "an energy of formation or another difference": "formation form cohesive coh cohesion "
        "atomization atomisation binding bind interaction inter adsorption ads reaction relative rel "
        "delta diff difference barrier activation hull ehull above mixing surface solvation defect "
        "ef lattice change excess decomposition",
        "a correction or one term alone": "d2 d3 d4 d3bj dispersion disp vdw mbd ts correction "
        "corrections corr gcp bsse zpe zero thermal entropy coulomb coul electrostatic elec es ewald "
        "repulsion nuclear exchange xc correlation bias restraint plumed field hubbard smearing "
        "vibrational rotational translational gibbs enthalpy helmholtz bond angle dihedral pv strain "
        "elastic magnetic spin soc",
        "a level of electrons": "homo lumo gap bandgap fermi efermi eigenvalue eigenvalues vbm cbm "
        "ionization affinity workfunction band orbital",
        "an error or a spread": "std stdev sigma var variance err error errors rmse mae unc uncertainty "
        "loss residual residuals max min mean avg average norm rms fmax",
        "a shift or an energy of atoms alone": "shift offset baseline isolated atomic atom e0s",
        "a prediction of a model": "pred predicted prediction mace gap nequip allegro chgnet m3gnet "
        "sevennet 7net mattersim orb uma mlip mlff ml nnp ani dp deepmd model ensemble",
        "no energy": "unit units id index idx key type flag has is num count time step",
    }.items()
    for word in _words(words)
}

_GRADIENTS, _NEGATIVE = _words("gradient gradients grad"), _words("negative neg minus")
_DERIVATIVE = re.compile(r"(?<![a-z])d_?e(tot)?[_/ ]*d_?(x|r|q|pos|xyz|coords?)(?![a-z])")

_TERMS = _EXCLUDED["d3"]
_OF_ENERGIES_ALONE = {
    FORCES.name: _words("atom atomic") | _NEGATIVE,
    STRESSES.name: _words("lattice"),
}
"""Words that exclude an energy, but not these labels."""

_WORD = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+")
_GLUED = re.compile(
    r"(energies|energy|forces|force|stresses|stress|virials|virial|gradients|gradient)"
)
_PER_ATOM = re.compile(r"per[_\- ]?at(om)?(?![a-z])|peratom|/[_ ]?at(om)?s?(?![a-z])|(?<![a-z])pa$")
_OF_FORCES = re.compile(r"(?<![a-z0-9])(mag|norm|max|min|mean|sum|net|x|y|z)(?![a-z])")

UNIT_WORDS = _words(
    "ev mev hartree ha kcal kj mol ry rydberg au gpa kbar kb bar mpa ang angstrom bohr nm a3 ang3 a"
)
_PER_UNIT = re.compile(
    rf"[_\- /]per[_\- ]({'|'.join(sorted(UNIT_WORDS))})(?![A-Za-z0-9])", re.IGNORECASE
)


PER_ATOM = "an energy per atom"

FOLLOWS: dict[Kind, str] = {
    "of atoms": "the sum over the atoms",
    "virial": "stress = -virial / volume (units.sign: vasp reverses the sign)",
    "gradient": "its negative (units.forces_as: forces keeps the sign)",
}
"""What is derived from another quantity when the user selects it as a label by name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Interpretation of a name.

    Attributes
    ----------
    label
        The property for which it may be a label; ``None`` for anything else.
    kind
        ``virial``, ``gradient`` and energies ``of atoms`` are related quantities, from which the label is
        derived.
    rank
        Lower is likelier.
    excluded
        What it is instead of that label, if it cannot be one.
    doubt
        Why the user must confirm it even if it is the only one.
    """

    label: str | None = None
    kind: Kind = "plain"
    rank: int = 1000
    excluded: str | None = None
    doubt: str | None = None


@lru_cache(maxsize=4096)
def read_name(name: str) -> Reading:
    """Interpret the name of a value, by the table of common names and by its words."""
    low = name.lower().replace("-", "_").strip()
    for rank, (known, known_label, known_kind, _) in enumerate(KNOWN):
        if low == known:
            return Reading(known_label, known_kind, rank)
    if low in _DOUBTFUL_ENERGIES:
        return Reading(ENERGY.name, rank=900, doubt=_DOUBTFUL_ENERGIES[low])
    words = words_of(name)
    label, kind = _label_of(low, words)
    if label is None:
        return Reading()
    if _PER_ATOM.search(low) and label == ENERGY.name:
        return Reading(label, excluded=PER_ATOM)
    if label != ENERGY.name:
        return _not_energy(low, words, label, kind)
    reasons = [_EXCLUDED[word] for word in words if word in _EXCLUDED]
    if "sigma" in words and words & {"0", "sigma0"}:  # VASP's extrapolation to zero smearing
        reasons = []
    if reasons and all(reason == _TERMS for reason in reasons) and words & _METHODS:
        return Reading(label, rank=500, doubt="with a correction, or the correction alone")
    if reasons:
        return Reading(label, excluded=reasons[0])
    doubt = _doubt(label, words)
    return Reading(
        label, "free energy" if "free" in words else "plain", 500 if doubt else 100, doubt=doubt
    )


def _doubt(label: str, words: frozenset[str]) -> str | None:
    """Return why the meaning of a name is unclear, if it has a word that may change it."""
    known = [
        why for (other, word), why in _DOUBTFUL_WORDS.items() if other == label and word in words
    ]
    if known:
        return known[0]
    harmless = _HARMLESS | _OF_ENERGIES_ALONE.get(label, frozenset())
    strange = sorted(w for w in words - harmless - _ALL_LABEL_WORDS if not w.isdigit())
    return f"the meaning of '{strange[0]}' in its name is unknown" if strange else None


def words_of(name: str) -> frozenset[str]:
    """Return the words of a name in lower case, without units."""
    words: set[str] = set()
    # as in forces_eV_per_A
    name = _PER_UNIT.sub("_", name)
    for part in re.split(r"[^A-Za-z0-9]+", name):
        if part.lower() in UNIT_WORDS:
            continue
        for piece in _pieces(part):
            words.update(w for w in _GLUED.split(piece) if w)
    return frozenset(words)


def _pieces(part: str) -> list[str]:
    low = part.lower()
    if low in _EXCLUDED or low in _METHODS or low in _ENERGY_WORDS:
        return [low]
    return [word.lower() for word in _WORD.findall(part)]


def _label_of(low: str, words: frozenset[str]) -> tuple[str | None, Kind]:
    if words & {"stress", "stresses"}:
        return STRESSES.name, "plain"
    if words & {"virial", "virials"}:
        return STRESSES.name, "virial"
    if words & _GRADIENTS or _DERIVATIVE.search(low):
        return FORCES.name, "plain" if words & _NEGATIVE or low[0] in "_−" else "gradient"
    if words & {"force", "forces", "frc"}:
        return FORCES.name, "gradient" if words & _NEGATIVE else "plain"
    if words & _ENERGY_WORDS or ("e" in words and words - {"e"} <= _HARMLESS | _EXCLUDED.keys()):
        return ENERGY.name, "plain"
    return None, "plain"


def _not_energy(low: str, words: frozenset[str], label: str, kind: Kind) -> Reading:
    reasons = [
        reason
        for word, reason in _EXCLUDED.items()
        if word in words and word not in _OF_ENERGIES_ALONE[label]
    ]
    if label == FORCES.name and (_OF_FORCES.search(low.replace("_", " ")) or "constant" in words):
        reasons.append("a part of the forces alone")
    if reasons and not (set(reasons) == {_TERMS} and words & _METHODS):
        return Reading(label, kind, excluded=reasons[0])
    if "virial" in words and label == STRESSES.name and kind == "plain":
        text = "mlearn's virial_stress is in kbar with VASP's sign, others mean eV/Å³"
        return Reading(label, rank=500, doubt=text)
    doubt = "with a correction, or the correction alone" if reasons else _doubt(label, words)
    return Reading(label, kind, 500 if doubt else 100, doubt=doubt)
