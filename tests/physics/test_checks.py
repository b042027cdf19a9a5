"""Checks of a potential give the known answers of small potentials, and fail those with a planted fault."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.physics.checks import CHECKS
from mattertune_nb.physics.checks.case import Cancelled, Case, closest
from mattertune_nb.physics.checks.dynamics import _slope, nve, nvt
from mattertune_nb.physics.checks.labels import parity
from mattertune_nb.physics.checks.relaxations import dense, relax
from mattertune_nb.physics.checks.symmetries import gradient, permutation, rotation, size
from mattertune_nb.physics.checks.volume import volume
from mattertune_nb.physics.checks.walls import walls
from mattertune_nb.physics.holes import Wall, distances
from mattertune_nb.physics.scorecard import CHECK_TITLES, Line, Scorecard

pytestmark = pytest.mark.usefixtures("counted_time")


class Changed(Calculator):
    """EMT with a fault in its energy or its forces."""

    implemented_properties = ("energy", "forces")

    def __init__(self, energy=lambda e, atoms: e, forces=lambda f, atoms: f) -> None:
        super().__init__()
        self.change = energy, forces

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        one = atoms.copy()
        one.calc = EMT()
        self.results = {
            "energy": self.change[0](one.get_potential_energy(), atoms),
            "forces": self.change[1](one.get_forces(), atoms),
        }


class Pairs(Calculator):
    """Pairs that push each other apart, but where they are nearer than a distance pull together."""

    implemented_properties = ("energy", "forces")

    def __init__(self, hole: float = 0.0, strength: float = 20.0, attraction: float = 0.0) -> None:
        super().__init__()
        self.settings = hole, strength, attraction

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        from ase.neighborlist import neighbor_list

        super().calculate(atoms, properties, system_changes)
        hole, strength, attraction = self.settings
        i, d, vectors = neighbor_list("idD", atoms, 3.0)
        slope = np.where(d < hole, strength, -strength * (3.0 - d) ** 2) + attraction
        energy = np.where(
            d < hole,
            strength * (d - hole) + strength * (3 - hole) ** 3 / 3,
            strength * (3 - d) ** 3 / 3,
        ) + attraction * (d - 3)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, (slope / d)[:, None] * vectors)
        self.results = {"energy": energy.sum() / 2, "forces": forces}


@pytest.fixture
def copper() -> list[Atoms]:
    frames = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True, a=3.6)
        atoms.rattle(0.02 * (1 + seed), seed=seed)
        reference = atoms.copy()
        reference.calc = EMT()
        atoms.calc = SinglePointCalculator(
            atoms, energy=reference.get_potential_energy(), forces=reference.get_forces()
        )
        frames.append(atoms)
    return frames


def case(frames, tuned=None, untuned=None, **changes) -> Case:
    return Case(tuned or EMT(), untuned, frames, **{"seconds": 20.0} | changes)


def test_each_check_has_a_title():
    assert set(CHECKS) == set(CHECK_TITLES)


def test_forces_that_are_gradients_pass_and_others_fail_by_what_they_are_off(copper):
    assert gradient(case(copper)).status == "pass"
    off = gradient(case(copper, Changed(forces=lambda f, _: f + 0.05)))
    assert off.status == "fail"
    assert off.numbers["tuned_difference_meV_per_A"] == pytest.approx(50, abs=0.5)
    assert gradient(case(copper, Changed(forces=lambda f, _: f + 0.005))).status == "warn"


def test_what_is_asked_of_any_potential_is_asked_of_the_untuned_one_too(copper):
    leans = Changed(energy=lambda e, atoms: e + 0.1 * (atoms.positions[:, 2] ** 2).sum())
    for check in (gradient, rotation, permutation, size):
        line = check(case(copper, untuned=leans))
        assert line.status == "pass", "the tuned one is judged"
        assert line.untuned.endswith("meV/Å"), check.__name__
        assert check(case(copper)).untuned == ""
    assert rotation(case(copper, untuned=leans)).numbers["untuned_energy_meV_per_atom"] > 1


def test_symmetries_hold_for_emt(copper):
    for check in (rotation, permutation, size):
        assert check(case(copper)).status == "pass", check.__name__


@pytest.mark.parametrize(
    ("check", "energy"),
    [
        (rotation, lambda e, atoms: e + 0.1 * (atoms.positions[:, 2] ** 2).sum()),
        (permutation, lambda e, atoms: e + atoms.positions[0, 0]),
        (size, lambda e, atoms: e + 0.01 * len(atoms) ** 2),
    ],
)
def test_an_energy_that_leans_on_axis_order_or_number_fails(check, energy, copper):
    line = check(case(copper, Changed(energy=energy)))
    assert line.status == "fail"
    assert line.numbers["tuned_energy_meV_per_atom"] > 1
    assert line.numbers["tuned_forces_meV_per_A"] < 1e-6


def test_size_consistency_is_the_energy_of_two_copies(copper):
    line = size(case(copper, Changed(energy=lambda e, atoms: e + 0.01 * len(atoms) ** 2)))
    # 0.01 (8² - 2 · 4²) eV over 8 atoms
    assert line.numbers["tuned_energy_meV_per_atom"] == pytest.approx(40)
    assert size(case([molecule("CO")], EMT())).status == "pass"


def test_the_bulk_modulus_of_copper_is_that_of_emt():
    crystal = [bulk("Cu", cubic=True, a=3.59)]
    line = volume(case(crystal, untuned=Changed(energy=lambda e, atoms: 3 * e)))
    assert line.status == "warn"  # three times stiffer
    # 134 GPa, ASE's documentation of EMT
    assert line.numbers["tuned_GPa"] == pytest.approx(134, rel=0.06)
    assert line.numbers["untuned_GPa"] == pytest.approx(3 * line.numbers["tuned_GPa"], rel=1e-3)
    assert volume(case(crystal, untuned=EMT())).status == "pass"
    assert volume(case([molecule("CO")])).status == "skipped"


def test_a_crystal_that_gains_energy_under_pressure_fails():
    crystal = [bulk("Cu", cubic=True, a=3.59)]
    falls = Changed(energy=lambda e, atoms: 0.3 * atoms.get_volume())
    assert "falls when the crystal is compressed" in volume(case(crystal, falls)).reason
    second = Changed(energy=lambda e, atoms: e if atoms.get_volume() > 43 else e - 5.0)
    line = volume(case(crystal, second))
    assert line.status == "fail"


def test_the_drift_of_energies_is_their_slope_in_time():
    noise = 1e-5 * np.sin(np.arange(1000.0))
    energies = (3.0e-3 * 0.5e-3 * np.arange(1000) + noise).tolist()  # 3 meV/atom/ps, 0.5 fs
    drift, unsure = _slope(energies, 0.5)
    assert drift == pytest.approx(3.0, rel=0.02)
    # a sine swings by 1/√2 of its height; three quarters of half a ps are looked at
    assert unsure == pytest.approx(1e-2 / 2**0.5 / 0.375, rel=0.02)
    assert np.isnan(_slope([np.nan] * 10, 1.0)[0])


def test_a_short_run_in_which_the_energy_swings_says_little_of_its_drift():
    swings = 5e-4 * np.sin(2 * np.pi * np.arange(0, 30, 0.5) / 10)  # of 10 fs, seen for 30 fs
    drift, unsure = _slope(swings.tolist(), 0.5)
    assert abs(drift) < unsure
    assert _slope([0.0] * 100, 1.0) == (0.0, 0.0)


def test_energy_is_conserved_by_emt_and_a_drift_is_found(copper):
    line = nve(case(copper, untuned=EMT(), seconds=10))
    assert line.status == "pass"
    assert line.numbers["ps"] > 0.1
    calls = iter(range(10**6))
    # 2e-5 eV/atom at each step of 1 fs
    leaks = Changed(energy=lambda e, atoms: e + 2e-5 * len(atoms) * next(calls))
    found = nve(case(copper, leaks, seconds=6))
    assert found.status == "fail"
    assert found.numbers["tuned_meV_per_atom_per_ps"] == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(("seconds", "status"), [(6, "warn"), (400, "fail")])
def test_a_drift_passes_in_no_run_that_is_too_short_to_find_it(seconds, status, copper):
    calls = iter(range(10**6))
    # a drift of 20 meV/atom/ps below swings of some 4 meV/atom
    noisy = Changed(
        energy=lambda e, atoms: e + len(atoms) * (2e-5 * (k := next(calls)) + 4e-3 * np.sin(k))
    )
    line = nve(case(copper, noisy, seconds=seconds))
    assert line.status == status
    assert ("too short to tell" in line.reason) == (status == "warn")


@pytest.mark.parametrize(("ps", "status"), [(0.4, "warn"), (1.1, "pass")])
def test_a_thermostatted_run_passes_from_a_ps_on(ps, status, copper):
    line = nvt(case(copper, seconds=4.0 * ps / 0.22))
    assert line.numbers["ps"] == pytest.approx(ps, rel=0.1)
    assert line.status == status
    assert ("too short to tell" in line.reason) == (status == "warn")


def test_a_few_steps_say_nothing_of_a_drift(copper):
    line = nve(case(copper, seconds=0))
    assert line.status == "skipped"
    assert line.reason == "there was time for 1 step only"


def test_dynamics_that_stay_whole_pass(copper):
    line = nvt(case(copper, seconds=22))
    assert line.status == "pass"
    assert "nothing explodes" in line.reason
    assert 0.8 < line.numbers["closest"] < 1.2


def test_a_thermostatted_run_of_a_few_steps_is_no_pass(copper):
    line = nvt(case(copper, seconds=1e-3))
    assert (line.status, line.reason) == (
        "skipped",
        "there was time for 0.001 ps only, 0.1 are needed",
    )


def test_atoms_that_fall_together_leave_or_heat_up_are_said():
    pair = [Atoms("Cu2", [(0, 0, 0), (0, 0, 2.4)])]
    collapse = nvt(case(pair, Pairs(hole=2.6, strength=1.0), temperature=3000))
    assert (collapse.status, "fell into each other" in collapse.reason) == ("fail", True)
    leave = nvt(case(pair, Pairs(strength=0.5), seconds=100))
    assert (leave.status, "an atom left" in leave.reason) == ("fail", True)
    explode = nvt(case([Atoms("Cu2", [(0, 0, 0), (0, 0, 1.5)])], Pairs(strength=50.0)))
    assert explode.status == "fail"


def test_rattled_copper_relaxes_back(copper):
    line = relax(case(copper))
    assert line.status == "pass"
    assert line.tuned == "2 of 2 converged"
    assert line.numbers["force_eV_per_A"] < 0.05


def test_dense_packings_fall_into_holes_where_there_are_some(copper):
    whole, holed = Pairs(strength=30.0), Pairs(hole=2.5, strength=30.0)
    line = dense(case(copper, whole, whole, seconds=40))
    assert (line.status, line.tuned) == ("pass", "0 %")
    line = dense(case(copper, holed, whole, seconds=4))
    assert line.status == "fail"
    assert line.numbers["tuned_share"] > 0.5
    assert line.numbers["untuned_share"] == 0
    assert dense(case(copper, holed, holed, seconds=4)).status == "warn"
    few = dense(case(copper, whole, whole, seconds=0))
    assert (few.status, few.tuned) == ("warn", "0 %")
    assert few.reason == "of 1 packing; too few to tell, more seconds are needed"


def test_errors_against_labels_are_those_of_numpy():
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(5):
        atoms = molecule("CO")
        atoms.rattle(0.05, rng=rng)
        reference = atoms.copy()
        reference.calc = EMT()
        atoms.calc = SinglePointCalculator(atoms, forces=reference.get_forces())
        frames.append(atoms)

    def off(forces, atoms):
        return forces + np.where(np.array(list(atoms.symbols)) == "O", 0.03, 0.01)[:, None]

    line = parity(case(frames, Changed(forces=off), EMT()))
    assert line.status == "fail"
    found = line.numbers["tuned_meV_per_A"]
    assert (found["O"], found["C"], found["all"]) == pytest.approx((30, 10, 20))
    assert line.numbers["untuned_meV_per_A"]["all"] == pytest.approx(0, abs=1e-9)
    better = parity(case(frames, EMT(), Changed(forces=off)))
    assert better.status == "pass"
    partly = parity(
        case(
            frames,
            Changed(
                forces=lambda f, a: (
                    f + np.where(np.array(list(a.symbols)) == "O", 0.03, 0.0)[:, None]
                )
            ),
            Changed(
                forces=lambda f, a: (
                    f + np.where(np.array(list(a.symbols)) == "O", 0.01, 0.03)[:, None]
                )
            ),
        )
    )
    assert partly.status == "warn"
    assert "worse than untuned in O" in partly.reason
    bare = [atoms.copy() for atoms in frames]
    assert parity(case(bare)).status == "skipped"


def test_errors_of_energies_and_stress_are_those_of_numpy():
    frames = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True, a=3.6 + 0.01 * seed)
        atoms.rattle(0.02, seed=seed)
        reference = atoms.copy()
        reference.calc = EMT()
        stress = reference.get_stress() + 2e-3
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=reference.get_potential_energy() + 0.08,
            forces=reference.get_forces(),
            stress=stress,
        )
        frames.append(atoms)
    line = parity(case(frames, EMT(), EMT()))
    assert line.numbers["tuned_meV_per_atom"]["all"] == pytest.approx(20)  # of 4 atoms
    assert line.numbers["tuned_meV_per_A3"]["all"] == pytest.approx(2)
    assert line.tuned == line.untuned == "0 meV/Å, 20.0 meV/atom, 2.0 meV/Å³"
    assert line.status == "pass"
    worse = parity(case(frames, EMT(), Changed(energy=lambda e, atoms: e + 0.08)))
    assert worse.status == "warn"
    assert worse.reason.startswith("worse than untuned in energy; ")
    assert "meV/Å³" not in worse.untuned, "it has no stress"


def test_walls_are_judged_by_new_holes(copper):
    r = distances(100)
    whole = Wall(("C", "O"), 1 / r - 1 / r[-1])
    holed = Wall(("C", "O"), np.where(r < 0.6, 5 * r, 1 / r - 1 / r[-1] + 3))
    pairs = {"pass": (whole, whole), "fail": (whole, holed), "warn": (holed, holed)}
    for status, (before, after) in pairs.items():
        line = walls(case(copper, walls=lambda b=before, a=after: ([b], [a])))
        assert line.status == status
    assert walls(case(copper)).status == "skipped"


def test_a_validation_that_is_cancelled_ends(copper):
    with pytest.raises(Cancelled):
        nve(case(copper, cancelled=lambda: True))


def test_the_nearest_pair_is_counted_in_covalent_radii():
    assert closest(Atoms("CO", [(0, 0, 0), (0, 0, 1.42 * 0.7)])) == pytest.approx(0.7, abs=1e-6)


def test_a_card_tells_the_worst_and_is_read_again():
    card = Scorecard(
        "run",
        [
            Line("nve", "pass", tuned="0.1 meV/atom/ps", reason="drift"),
            Line("walls", "warn", "1", "2"),
        ],
        ["a note"],
    )
    assert card.status == "warn"
    assert Scorecard.from_json(card.to_json()) == card
    text = str(card)
    assert text.startswith("run: 1 with a warning, 1 passed")
    assert "✓ energy is conserved (NVE): tuned 0.1 meV/atom/ps; drift" in text
    for bad in ("[", "{}", '{"lines": [{"name": "a", "status": "?"}]}'):
        with pytest.raises(mt.DataError, match="not a scorecard"):
            Scorecard.from_json(bad)


def test_a_drift_downwards_has_a_minus_sign(copper, monkeypatch):
    monkeypatch.setattr("mattertune_nb.physics.checks.dynamics._slope", lambda *_: (-4.7, 6.0))
    line = nve(case(copper, untuned=EMT(), seconds=4))
    assert line.tuned == "−4.7 ± 6 meV/atom/ps"
    assert line.untuned == "−4.7 meV/atom/ps"
