"""Plant faults in real data and see which of them the doctor finds: `python tests/benchmarks/doctor.py`.

Each kind is planted in each file where it makes sense, in frames drawn at random; a fault counts as found
where one of the named findings is told, and with frames of which at least half are those that were planted.
The untuned backbone predicts each clean file once, as most faults leave the structures as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from rich.console import Console

import mattertune_nb as mt
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.doctor.check import findings_of, look_at, untuned_model
from mattertune_nb.doctor.finding import Finding

console = Console(soft_wrap=True, highlight=False, markup=False)

Labels = dict[str, object]
Plant = Callable[[Atoms, Labels, np.random.Generator], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes
    ----------
    name
        What is done.
    found_by
        Findings of which one has to be told.
    plant
        Changes a frame and its labels.
    share
        Of the frames in which it is planted.
    moves
        Whether structures change, so that they have to be predicted again.
    needs_stress, needs_cell
        What a file must have.
    """

    name: str
    found_by: tuple[str, ...]
    plant: Plant
    share: float = 1.0
    moves: bool = False
    needs: frozenset[str] = field(default_factory=frozenset)


def scaled(label: str, factor: float) -> Plant:
    def plant(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
        labels[label] = np.asarray(labels[label]) * factor

    return plant


def set_to(label: str, value: float) -> Plant:
    def plant(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
        labels[label] = np.full_like(np.asarray(labels[label], dtype=float), value)

    return plant


def per_atom(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["energy"] = labels["energy"] / len(atoms)


def rolled(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = np.roll(labels["forces"], 1, axis=0)


def drifting(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = labels["forces"] + np.array([0.1, 0.0, 0.05])


def outlying_energy(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["energy"] += 0.4 * len(atoms) * rng.choice([-1, 1])


def outlying_force(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    forces = np.array(labels["forces"])
    i, j = rng.choice(len(atoms), 2, replace=False)
    push = rng.normal(size=3)
    push *= 12.0 / np.linalg.norm(push)
    forces[i] += push
    forces[j] -= push
    labels["forces"] = forces


def other_setting(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["energy"] += 0.35 * len(atoms)


def virial(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["stress"] = -np.asarray(labels["stress"]) * atoms.get_volume()


def overlapping(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    i, j = rng.choice(len(atoms), 2, replace=False)
    atoms.positions[i] = atoms.positions[j] + [0.2, 0.1, 0.1]


def stretched_cell(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    atoms.set_cell(atoms.cell.array * 1.6)


def without_periodicity(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    atoms.pbc = False
    labels.pop("stress", None)


def positions_in_bohr(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    atoms.positions *= units.Bohr


E, F, S = "energy", "forces", "stress"
PERIODIC, STRESSED, SIZES = frozenset({"cell"}), frozenset({"stress"}), frozenset({"sizes"})
OUTLIER = ("energy-outlier", "mixed-settings")
KINDS = (
    Kind("energies in Hartree", ("energy-unit",), scaled(E, 1 / units.Hartree)),
    Kind("energies in kcal/mol", ("energy-unit",), scaled(E, units.mol / units.kcal)),
    Kind("energies with the other sign", ("energy-sign",), scaled(E, -1.0)),
    Kind("energies per atom", ("energy-per-atom",), per_atom),
    Kind("forces in kcal/mol/Å", ("forces-unit",), scaled(F, units.mol / units.kcal)),
    Kind("forces in Hartree/Bohr", ("forces-unit",), scaled(F, units.Bohr / units.Hartree)),
    Kind("forces in kJ/mol/Å", ("forces-unit",), scaled(F, units.mol / units.kJ)),
    Kind("forces in meV/Å", ("forces-unit",), scaled(F, 1000.0)),
    Kind("gradients for forces", ("forces-sign",), scaled(F, -1.0)),
    Kind(
        "some forces in Hartree/Bohr", ("forces-unit",), scaled(F, units.Bohr / units.Hartree), 0.15
    ),
    Kind("some forces with the other sign", ("forces-unit", "forces-sign"), scaled(F, -1.0), 0.15),
    Kind("stresses in GPa", ("stress-unit",), scaled(S, 1 / units.GPa), needs=STRESSED),
    Kind("stresses in kbar", ("stress-unit",), scaled(S, 10 / units.GPa), needs=STRESSED),
    Kind("stresses with VASP's sign", ("stress-sign",), scaled(S, -1.0), needs=STRESSED),
    Kind("virials for stresses", ("stress-is-virial",), virial, needs=STRESSED),
    Kind("stresses of zero", ("placeholder-stress",), set_to(S, 0.0), needs=STRESSED),
    Kind("some stresses of zero", ("placeholder-stress",), set_to(S, 0.0), 0.1, needs=STRESSED),
    Kind("energies of zero", ("placeholder-energy",), set_to(E, 0.0)),
    Kind("some energies of zero", ("placeholder-energy",), set_to(E, 0.0), 0.1),
    Kind("one energy for many frames", ("placeholder-energy",), set_to(E, -123.456), 0.2),
    Kind("forces of zero", ("placeholder-forces",), set_to(F, 0.0)),
    Kind("some forces of zero", ("placeholder-forces",), set_to(F, 0.0), 0.1),
    Kind("forces shifted by an atom", ("shifted-forces",), rolled, 0.15),
    Kind("all forces shifted by an atom", ("shifted-forces",), rolled),
    Kind("forces that drift", ("net-force",), drifting, 0.2),
    Kind("energies 0.4 eV/atom off", OUTLIER, outlying_energy, 0.05),
    Kind("a force 12 eV/Å off", ("force-outlier",), outlying_force, 0.05),
    Kind("two settings of DFT", ("mixed-settings",), other_setting, 0.3),
    Kind("overlapping atoms", ("overlapping-atoms",), overlapping, 0.1, moves=True),
    Kind(
        "cells 1.6 times too long", ("wrong-cell",), stretched_cell, 0.1, moves=True, needs=PERIODIC
    ),
    Kind(
        "periodicity lost", ("lost-periodicity",), without_periodicity, moves=True, needs=PERIODIC
    ),
    Kind("positions in Bohr", ("overlapping-atoms", "wrong-cell"), positions_in_bohr, moves=True),
)


def planted(
    dataset: AtomsDataset, kind: Kind, rng: np.random.Generator
) -> tuple[AtomsDataset, set[int]]:
    """Return a copy of the data with a fault, and its frames."""
    n = max(round(kind.share * len(dataset)), 1)
    chosen = set(rng.choice(len(dataset), n, replace=False).tolist())
    frames = []
    for i in range(len(dataset)):
        atoms, labels = dataset[i], dict(dataset.labels(i))
        if S + "es" in labels:
            labels[S] = labels.pop(S + "es")
        if i in chosen:
            kind.plant(atoms, labels, rng)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset(), chosen


def has(dataset: AtomsDataset) -> frozenset[str]:
    """Return what a file has that kinds may need."""
    atoms = dataset.frame(0)
    found = {"cell"} if atoms.pbc.all() else set()
    return frozenset(found | ({"stress"} if "stresses" in dataset.labels(0) else set()))


def is_found(kind: Kind, chosen: set[int], findings: list[Finding]) -> bool:
    """Return whether a finding tells the fault and, where it names frames, the right ones."""
    for finding in findings:
        if finding.id in kind.found_by:
            right = len(set(finding.frames) & chosen)
            if not finding.frames or 2 * right >= len(finding.frames):
                return True
    return False


def files(shared: Path) -> dict[str, AtomsDataset]:
    """Return the clean data: those that are shipped, and the shared ones where they are."""
    found = {f"ethanol {split}": mt.demo_data(split) for split in ("train", "validation")}
    opened = {name: mt.XYZDatasetConfig(src=path).create_dataset() for name, path in found.items()}
    if shared.is_dir():
        for stem, keys in {
            "Li_electrode_finetune": {},
            "Li_electrode_val": {},
            "train_30_water_1000_eVAng": {"energy_key": "TotEnergy", "forces_key": "force"},
        }.items():
            source = mt.XYZDatasetConfig(src=shared / f"{stem}.xyz", **keys)
            opened[stem] = source.create_dataset()
    return opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    model = untuned_model("chgnet")
    n_found = n_planted = n_noise = 0
    for name, dataset in files(asked.shared).items():
        clean = look_at(dataset, model)
        noise = findings_of(clean)
        n_noise += len(noise)
        console.print(f"{name}: clean, {len(noise)} findings")
        for finding in noise:
            console.print(f"    {finding}")
        for kind in KINDS:
            if asked.kind not in kind.name or not kind.needs <= has(dataset):
                continue
            data, chosen = planted(dataset, kind, rng)
            known = None if kind.moves else clean.predicted
            findings = findings_of(look_at(data, predicted=known))
            ok = is_found(kind, chosen, findings)
            n_planted, n_found = n_planted + 1, n_found + ok
            told = ", ".join(sorted({f.id for f in findings})) or "nothing"
            console.print(
                f"    {'found ' if ok else 'MISSED'} {kind.name} in {len(chosen)} frames: {told}"
            )
    console.print(f"{n_found} of {n_planted} found, {n_noise} findings on clean files")
    sys.exit(n_found < n_planted or n_noise > 0)


if __name__ == "__main__":
    main()
