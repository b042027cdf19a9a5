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
from mattertune_nb.doctor.check import findings_of, look_at
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.predicted import untuned_model

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
    needs
        What a file must have.
    of_another
        What is taken of the next frame of the same size, in place of `plant`: ``forces`` or ``cell``; of the
        next frame of any size: ``energy``.
    in_a_row
        Whether the frames follow each other, to the end of the file.
    """

    name: str
    found_by: tuple[str, ...]
    plant: Plant
    share: float = 1.0
    moves: bool = False
    needs: frozenset[str] = field(default_factory=frozenset)
    of_another: str | None = None
    in_a_row: bool = False


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


def reversed_(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = np.asarray(labels["forces"])[::-1]


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


def swapped_elements(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    least, most = min(atoms.numbers), max(atoms.numbers)
    is_least, is_most = atoms.numbers == least, atoms.numbers == most
    atoms.numbers[is_least], atoms.numbers[is_most] = most, least


def cell_in_bohr(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    atoms.set_cell(atoms.cell.array / units.Bohr)


def only_positions(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    atoms.positions /= units.Bohr


def all_in_bohr(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    cell_in_bohr(atoms, labels, rng)
    only_positions(atoms, labels, rng)


def one_element_flipped(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    forces = np.array(labels["forces"])
    forces[atoms.numbers == max(atoms.numbers)] *= -1
    labels["forces"] = forces


def turned(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = np.roll(labels["forces"], 1, axis=1)


OFFSETS = np.random.default_rng(0).normal(scale=0.6, size=119)  # eV per atom, of another functional


def other_functional(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["energy"] += OFFSETS[atoms.numbers].sum()


def without_an_axis(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = np.asarray(labels["forces"]) * [1.0, 1.0, 0.0]


def shuffled(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["forces"] = np.asarray(labels["forces"])[rng.permutation(len(atoms))]


def shear_in_rows(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["stress"] = np.asarray(labels["stress"])[[0, 1, 2, 5, 4, 3]]


def in_the_order_of_vasp(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    labels["stress"] = np.asarray(labels["stress"])[[0, 1, 2, 5, 3, 4]]


def swapped_species(atoms: Atoms, labels: Labels, rng: np.random.Generator) -> None:
    first = rng.integers(len(atoms))
    second = rng.choice(np.flatnonzero(atoms.numbers != atoms.numbers[first]))
    atoms.numbers[[first, second]] = atoms.numbers[[second, first]]


E, F, S = "energy", "forces", "stress"
PERIODIC, STRESSED, SIZES = frozenset({"cell"}), frozenset({"stress"}), frozenset({"sizes"})
OUTLIER = ("energy-outlier", "mixed-settings")
CELL = ("wrong-cell", "overlapping-atoms", "energy-outlier", "force-outlier")
SWAPPED = (
    "unlike-forces",
    "force-outlier",
    "energy-outlier",
    "overlapping-atoms",
    "shifted-forces",
)
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
    Kind("some forces in eV/Bohr", ("forces-unit",), scaled(F, units.Bohr), 0.15),
    Kind("some forces with the other sign", ("forces-unit", "forces-sign"), scaled(F, -1.0), 0.15),
    Kind("stresses in GPa", ("stress-unit",), scaled(S, 1 / units.GPa), needs=STRESSED),
    Kind("stresses in kbar", ("stress-unit",), scaled(S, 10 / units.GPa), needs=STRESSED),
    Kind("stresses with VASP's sign", ("stress-sign",), scaled(S, -1.0), needs=STRESSED),
    Kind(
        "some stresses with the other sign", ("stress-unit",), scaled(S, -1.0), 0.2, needs=STRESSED
    ),
    Kind(
        "a few stresses with the other sign",
        ("stress-unit",),
        scaled(S, -1.0),
        0.04,
        needs=STRESSED,
    ),
    Kind("virials for stresses", ("stress-is-virial",), virial, needs=STRESSED),
    Kind("stresses of zero", ("placeholder-stress",), set_to(S, 0.0), needs=STRESSED),
    Kind("some stresses of zero", ("placeholder-stress",), set_to(S, 0.0), 0.1, needs=STRESSED),
    Kind("energies of zero", ("placeholder-energy",), set_to(E, 0.0)),
    Kind("some energies of zero", ("placeholder-energy",), set_to(E, 0.0), 0.1),
    Kind("one energy for many frames", ("placeholder-energy",), set_to(E, -123.456), 0.2),
    Kind("forces of zero", ("placeholder-forces",), set_to(F, 0.0)),
    Kind("some forces of zero", ("placeholder-forces",), set_to(F, 0.0), 0.1),
    Kind("forces of zero along an axis", ("placeholder-forces",), without_an_axis),
    Kind("forces shifted by an atom", ("shifted-forces",), rolled, 0.15),
    Kind("all forces shifted by an atom", ("shifted-forces",), rolled),
    Kind("forces of the atoms in reverse", ("reordered-forces",), reversed_, 0.15),
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
    Kind("energies in kJ/mol", ("energy-unit",), scaled(E, units.mol / units.kJ)),
    Kind("energies in Rydberg", ("energy-unit",), scaled(E, 1 / units.Ry)),
    Kind("forces in Rydberg/Bohr", ("forces-unit",), scaled(F, units.Bohr / units.Ry)),
    Kind("some stresses in GPa", ("stress-unit",), scaled(S, 1 / units.GPa), 0.2, needs=STRESSED),
    Kind("stresses in the order of VASP", ("stress-order",), in_the_order_of_vasp, needs=STRESSED),
    Kind(
        "the forces of one element with the other sign",
        ("forces-sign",),
        one_element_flipped,
    ),
    Kind("forces turned by an axis", ("turned-forces",), turned),
    Kind("some forces turned by an axis", ("turned-forces",), turned, 0.15),
    Kind("forces of another frame", ("foreign-forces",), turned, 0.03, of_another="forces"),
    Kind("cells of another frame", CELL, turned, 0.1, moves=True, needs=SIZES, of_another="cell"),
    Kind(
        "the last half by another setting", ("mixed-settings",), other_setting, 0.45, in_a_row=True
    ),
    Kind("two atoms with each other's species", SWAPPED, swapped_species, 0.05, moves=True),
    Kind(
        "some forces ten times too large", ("forces-unit", "force-outlier"), scaled(F, 10.0), 0.05
    ),
    Kind("forces shuffled among the atoms", ("reordered-forces",), shuffled),
    Kind("some forces shuffled among the atoms", ("reordered-forces",), shuffled, 0.15),
    Kind("half of the forces of zero", ("placeholder-forces",), set_to(F, 0.0), 0.5),
    Kind("stresses as xx yy zz xy xz yz", ("stress-order",), shear_in_rows, needs=STRESSED),
    Kind("energies of the next frame", ("shifted-energies",), shuffled, of_another="energy"),
    Kind("half of the energies in Hartree", ("mixed-units",), scaled(E, 1 / units.Hartree), 0.5),
    Kind("some energies in kcal/mol", ("mixed-units",), scaled(E, units.mol / units.kcal), 0.2),
    Kind("half of the energies by another functional", ("mixed-settings",), other_functional, 0.5),
    Kind("half of the energies 0.35 eV/atom higher", ("mixed-settings",), other_setting, 0.5),
    Kind("cells in Bohr", ("length-unit",), cell_in_bohr, moves=True, needs=PERIODIC),
    Kind(
        "positions in Bohr beside cells in Å",
        ("length-unit",),
        only_positions,
        moves=True,
        needs=PERIODIC,
    ),
    Kind("all lengths in Bohr", ("length-unit",), all_in_bohr, moves=True),
    Kind(
        "two elements in each other's place", ("exchanged-elements",), swapped_elements, moves=True
    ),
    Kind("positions in Bohr", ("overlapping-atoms", "wrong-cell"), positions_in_bohr, moves=True),
)


def planted(
    dataset: AtomsDataset, kind: Kind, rng: np.random.Generator
) -> tuple[AtomsDataset, set[int]]:
    """Return a copy of the data with a fault, and its frames."""
    n = max(round(kind.share * len(dataset)), 1)
    chosen = set(rng.choice(len(dataset), n, replace=False).tolist())
    if kind.in_a_row:
        chosen = set(range(len(dataset) - n, len(dataset)))
    frames = []
    for i in range(len(dataset)):
        atoms, labels = dataset[i], dict(dataset.labels(i))
        if S + "es" in labels:
            labels[S] = labels.pop(S + "es")
        if kind.of_another == "energy":
            labels[E] = dataset.labels((i + 1) % len(dataset))[E]
            atoms.calc = SinglePointCalculator(atoms, **labels)
            frames.append(atoms)
            continue
        other = next_alike(dataset, i) if i in chosen and kind.of_another else None
        if kind.of_another == "cell" and other is not None:
            atoms.set_cell(dataset[other].cell)
        elif other is not None:
            labels[F] = dataset.labels(other)[F]
        elif i in chosen and kind.of_another:
            chosen -= {i}
        elif i in chosen:
            kind.plant(atoms, labels, rng)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset(), chosen


def next_alike(dataset: AtomsDataset, i: int) -> int | None:
    """Return the next frame with the same atoms, None where there is none."""
    numbers = dataset[i].numbers
    for k in (*range(i + 1, len(dataset)), *range(i)):
        if len(dataset[k]) == len(numbers) and (dataset[k].numbers == numbers).all():
            return k
    return None


def has(dataset: AtomsDataset) -> frozenset[str]:
    """Return what a file has that kinds may need."""
    atoms = dataset.frame(0)
    found = {"cell"} if atoms.pbc.all() else set()
    if not all(np.allclose(dataset[i].cell, atoms.cell) for i in range(len(dataset))):
        found |= {"sizes"}
    return frozenset(found | ({"stress"} if "stresses" in dataset.labels(0) else set()))


def is_found(kind: Kind, chosen: set[int], findings: list[Finding]) -> bool:
    """Return whether a finding tells the fault and, where it names frames, the right ones."""
    for finding in findings:
        if finding.id in kind.found_by:
            right = len(set(finding.frames) & chosen)
            if kind.share == 0.5 and finding.id == "mixed-settings":  # either half may be told
                right = max(right, len(finding.frames) - right)
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
            if not chosen:
                continue  # no frame has what the fault needs, such as another one alike
            known = None if kind.moves else clean.predicted
            findings = findings_of(look_at(data, model, predicted=known))
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
