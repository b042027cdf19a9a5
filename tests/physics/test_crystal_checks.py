"""Elastic constants, phonons and radial distribution functions agree with other ways to them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mattertune_nb.physics.checks.case import Cancelled, Case, bare
from mattertune_nb.physics.checks.crystal import NoCrystal, crystal
from mattertune_nb.physics.checks.distribution import difference, distribution, radii, rdf
from mattertune_nb.physics.checks.dynamics import Heated
from mattertune_nb.physics.checks.elasticity import elastic, elastic_tensor
from mattertune_nb.physics.checks.uncertainty import distance, spread
from mattertune_nb.physics.checks.vibrations import highest_of, lowest_of, phonons, vibrations
from mattertune_nb.physics.curves import Curves
from mattertune_nb.physics.scorecard import Line, Scorecard

pytestmark = pytest.mark.usefixtures("counted_time")


class Scaled(Calculator):
    """EMT whose energy, and all that is derived of it, is multiplied."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        one = atoms.copy()
        one.calc = EMT()
        self.results = {
            "energy": self.factor * one.get_potential_energy(),
            "forces": self.factor * one.get_forces(),
            "stress": self.factor * one.get_stress(),
        }


@pytest.fixture
def copper() -> list[Atoms]:
    frames = []
    for seed in range(4):
        atoms = bulk("Cu", cubic=True, a=3.65)
        atoms.rattle(0.03, seed=seed)
        frames.append(atoms)
    return frames


def case(frames, tuned=None, untuned=None, **changes) -> Case:
    return Case(tuned or EMT(), untuned, frames, **{"seconds": 60.0} | changes)


def by_energy(calculator, atoms, strain_of, step=0.002, small=1e-4):
    """Return how the slope of the energy by a strain changes from -step to step, in GPa."""

    def energy(amount):
        strained = bare(atoms)
        strained.set_cell(atoms.cell.array @ (np.eye(3) + strain_of(amount)), scale_atoms=True)
        return calculator.get_property("energy", strained)

    slopes = [(energy(x + small) - energy(x - small)) / (2 * small) for x in (-step, step)]
    return (slopes[1] - slopes[0]) / (2 * step) / atoms.get_volume() / units.GPa


def test_a_rattled_crystal_relaxes_to_that_of_the_potential(copper):
    found = crystal(case(copper), "tuned")
    # EMT's lattice constant of copper, of ASE's documentation
    np.testing.assert_allclose(found.cell.lengths(), 3.59, atol=0.01)
    np.testing.assert_allclose(found.cell.angles(), 90, atol=1e-6)
    with pytest.raises(NoCrystal, match="not periodic"):
        crystal(case([molecule("CO")]), "tuned")
    with pytest.raises(NoCrystal, match="did not relax within 0 s"):
        crystal(case(copper, seconds=1e-3), "tuned")


def test_elastic_constants_of_copper_are_second_derivatives_of_the_energy(copper):
    this = case(copper, untuned=Scaled(2.0), seconds=600)  # enough for a busy machine
    atoms = crystal(this, "tuned")
    tensor = elastic_tensor(this, atoms, EMT(), relax=True)
    uniaxial = by_energy(EMT(), atoms, lambda e: np.diag([e, 0, 0]))
    biaxial = by_energy(EMT(), atoms, lambda e: np.diag([e, e, 0]))  # 2 C11 + 2 C12
    shear = by_energy(EMT(), atoms, lambda e: np.array([[0, 0, 0], [0, 0, e], [0, e, 0]]) / 2)
    for i in range(3):
        assert tensor[i, i] == pytest.approx(uniaxial, rel=0.02)
        assert tensor[i, (i + 1) % 3] == pytest.approx((biaxial - 2 * uniaxial) / 2, rel=0.03)
        assert tensor[3 + i, 3 + i] == pytest.approx(shear, rel=0.02)
    np.testing.assert_allclose(tensor[:3, 3:], 0, atol=0.5)
    line = elastic(this)
    assert line.status == "warn", line.reason  # half as stiff as before
    # (C11 + 2 C12) / 3, as C12 is half of the biaxial one less C11
    assert line.numbers["tuned_bulk_modulus_GPa"] == pytest.approx(
        (biaxial - uniaxial) / 3, rel=0.02
    )
    assert line.numbers["untuned_shear_modulus_GPa"] == pytest.approx(
        2 * line.numbers["tuned_shear_modulus_GPa"], rel=0.02
    )
    assert "positions relaxed" in line.reason


def test_elastic_constants_of_silicon_with_relaxed_positions_are_those_by_hand(chgnet):
    silicon = bulk("Si", a=5.43)
    silicon.rattle(0.02, seed=1)
    calculator = chgnet.ase_calculator(dtype="float64")
    this = case([silicon], calculator, seconds=600.0)
    atoms = crystal(this, "tuned")
    tensor = elastic_tensor(this, atoms, calculator, relax=True)
    held = elastic_tensor(this, atoms, calculator, relax=False)
    assert tensor[0, 0] == pytest.approx(
        by_energy(calculator, atoms, lambda e: np.diag([e, 0, 0])), rel=0.03
    )
    shear = by_energy(calculator, atoms, lambda e: np.array([[0, 0, 0], [0, 0, e], [0, e, 0]]) / 2)
    assert held[3, 3] == pytest.approx(shear, rel=0.03)
    # the two sublattices of silicon slide against each other under shear, and soften it
    assert tensor[3, 3] < 0.95 * held[3, 3]


def test_frequencies_are_those_of_ase(copper, tmp_path):
    from ase.phonons import Phonons

    this = case(copper)
    atoms = crystal(this, "tuned")
    phonon = vibrations(this, atoms, EMT())
    phonon.run_qpoints([[0, 0, 0]])
    np.testing.assert_allclose(phonon.get_qpoints_dict()["frequencies"], 0, atol=1e-4)
    repeats = np.rint(np.diag(phonon.supercell_matrix)).astype(int)
    theirs = Phonons(atoms, EMT(), supercell=tuple(repeats), delta=0.01, name=tmp_path / "ph")
    theirs.run()
    theirs.read(acoustic=True)
    # X of the primitive cell is folded to the centre of the cubic one
    expected = theirs.band_structure([[0, 0, 0]], verbose=False)[0]
    in_thz = np.sort(expected)[3:] * units._e / units._hplanck / 1e12
    phonon.run_qpoints([[0.5, 0.5, 0]])
    ours = np.sort(phonon.get_qpoints_dict()["frequencies"][0])
    for frequency in ours:
        assert np.abs(in_thz - frequency).min() < 0.05 * frequency
    assert highest_of(phonon) == pytest.approx(in_thz.max(), rel=0.05)
    assert abs(lowest_of(phonon)) < 1e-3


def test_phonons_of_an_unstable_crystal_are_imaginary(copper):
    stable = phonons(case(copper, untuned=EMT()))
    assert stable.status == "pass", stable.reason
    assert stable.curves is not None
    area = np.trapezoid(stable.curves.lines["tuned"], stable.curves.x)
    assert area == pytest.approx(3, rel=0.05)  # branches of one atom
    simple = [Atoms("Cu", cell=[2.4] * 3, pbc=True)] * 2
    line = phonons(case(simple, EMT()))
    assert (line.status, line.numbers["tuned_lowest_THz"] < -0.3) == ("warn", True)
    # four times as stiff is twice as fast
    stiff = phonons(case(copper, Scaled(4.0), EMT()))
    assert stiff.status == "warn"
    assert stiff.numbers["tuned_highest_THz"] == pytest.approx(
        2 * stiff.numbers["untuned_highest_THz"], rel=0.02
    )


def test_what_has_no_crystal_is_skipped_and_a_cancel_ends(copper):
    for check in (elastic, phonons):
        assert check(case([molecule("CO")])).status == "skipped"
        with pytest.raises(Cancelled):
            check(case(copper, cancelled=lambda: True))


def test_neighbours_of_a_perfect_crystal_are_where_they_have_to_be():
    found = distribution([bulk("Cu", cubic=True, a=3.6)])
    shells = radii()[found.total > 0]
    # of fcc: a/√2, a, a √1.5 …
    for k, expected in enumerate((3.6 / 2**0.5, 3.6, 3.6 * 1.5**0.5)):
        assert shells[k] == pytest.approx(expected, abs=0.0501)
    # twelve nearest neighbours
    n = found.total * 4 / 3 * np.pi * np.diff(np.linspace(0, 6, 61) ** 3) * 4 / 3.6**3
    assert n[round(3.6 / 2**0.5 / 0.1 - 0.5)] == pytest.approx(12)


def test_an_ideal_gas_has_a_flat_distribution_by_pair_and_in_all():
    rng = np.random.default_rng(0)
    gas = [Atoms("H60O30", rng.uniform(0, 14, (90, 3)), cell=[14] * 3, pbc=True) for _ in range(30)]
    found = distribution(gas)
    far = radii() > 2
    # an atom is no neighbour of its own
    expected = {"H-H": 59 / 60, "H-O": 1.0, "O-O": 29 / 30}
    for name, g in found.by_pair.items():
        assert g[far].mean() == pytest.approx(expected[name], abs=0.015)
    assert found.total[far].mean() == pytest.approx(89 / 90, abs=0.01)
    value, _ = difference(found, distribution(gas[::2]))
    assert value < 0.1


def test_distances_in_a_run_are_compared_with_those_of_the_data():
    rng = np.random.default_rng(1)

    def water(scale):
        atoms = molecule("H2O")
        atoms.positions *= scale
        atoms.positions += rng.normal(scale=0.02, size=(3, 3))
        return atoms

    data = [water(1.0) for _ in range(40)]
    for scale, status in ((1.0, "pass"), (1.3, "fail")):
        this = case(data, Scaled(1.0))
        this.once("start", lambda: data[0])
        this.once("heated", lambda s=scale: Heated(frames=[water(s) for _ in range(60)]))
        line = rdf(this)
        assert line.status == status, line.reason
    assert line.numbers["difference"] > 0.9
    assert set(line.numbers["tuned"]) == {"H-H", "H-O"} | ({"O-O"} & set(line.numbers["tuned"]))
    few = case([water(1.0), molecule("CO")], Scaled(1.0))
    few.once("start", lambda: molecule("CO"))
    assert rdf(few).status == "skipped"


def test_a_spread_is_judged_by_the_errors(copper):
    class Uncertain(Calculator):
        implemented_properties = ("energy", "forces")
        factor = 1.0

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            rng = np.random.default_rng(int(1e6 * abs(atoms.positions).sum()))
            sizes = rng.uniform(0.01, 0.2, (len(atoms), 3))
            self.results = {
                "energy": 0.0,
                "forces": rng.normal(scale=sizes),
                "forces_std": sizes / self.factor,
            }

    frames = []
    for atoms in copper * 3:
        labelled = atoms.copy()
        labelled.rattle(0.01, rng=np.random.default_rng(len(frames)))
        labelled.calc = SinglePointCalculator(labelled, forces=np.zeros((4, 3)))
        frames.append(labelled)
    for factor, status in ((1.0, "pass"), (2.0, "warn"), (10.0, "fail")):
        calculator = Uncertain()
        calculator.factor = factor
        line = spread(case(frames, calculator))
        assert line.status == status, line.reason
        assert line.numbers["factor"] == pytest.approx(factor, rel=0.25)
    assert spread(case(frames[:2], EMT())).status == "skipped"


def test_errors_are_compared_near_and_far_from_training(copper):
    frames = []
    for k, atoms in enumerate(copper * 3):
        labelled = atoms.copy()
        labelled.calc = EMT()
        off = 0.01 * (1 + k)
        forces = labelled.get_forces() + off
        labelled.calc = SinglePointCalculator(labelled, forces=forces)
        frames.append(labelled)
    far = [0.1 * k for k in range(12)]
    line = distance(case(frames, distances=far))
    assert line.status == "warn"
    # means of 10 to 40, and of 90 to 120 meV/Å
    assert line.tuned == "25 meV/Å near, 105 far"
    assert distance(case(frames, distances=[k % 6 for k in range(12)])).status == "pass"
    assert distance(case(frames)).status == "skipped"


def test_curves_are_kept_drawn_and_escaped():
    curves = Curves("<x>", "y", [0.0, 1.0, 2.0], {"tuned": [0.0, 1.0, float("nan")]})
    card = Scorecard("run", [Line("rdf", "pass", curves=curves)])
    again = Scorecard.from_json(card.to_json())
    assert again.lines[0].curves is not None
    assert again.lines[0].curves.lines["tuned"][1] == 1.0
    page = again.to_html()
    assert "<svg" in page
    assert "<x>" not in page
    assert page.count("polyline") == 1
