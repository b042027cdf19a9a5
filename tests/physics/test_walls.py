"""Holes between two atoms are found where they were planted, and those of before are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from mattertune_nb.physics.holes import Wall, distances, from_plain, holes, to_plain
from mattertune_nb.physics.walls import walls

R = distances(115)


def lennard_jones(minimum: float, depth: float = 0.3) -> np.ndarray:
    x = (minimum / R) ** 6
    energies = depth * (x**2 - 2 * x)
    return energies - energies[-1]


def with_hole(energies: np.ndarray, below: float, slope: float = 5.0) -> np.ndarray:
    """Let the energy fall by `slope` eV/Å below a distance."""
    edge = np.flatnonzero(below + 1e-9 >= R)[-1]
    fallen = energies.copy()
    fallen[:edge] = energies[edge] - slope * (R[edge] - R[:edge])
    return fallen


CO = "C", "O"


def test_a_potential_that_pushes_apart_has_none():
    whole = Wall(CO, lennard_jones(1.2))
    assert holes([whole]) == []
    assert holes([whole], [Wall(CO, lennard_jones(1.25))]) == []


@pytest.mark.parametrize("below", [0.5, 0.65, 0.8])
def test_a_hole_is_found_where_it_is(below):
    whole = Wall(CO, lennard_jones(1.2))
    (hole,) = holes([whole], [Wall(CO, with_hole(whole.energies, below))])
    assert hole.is_new
    assert hole.below == pytest.approx(below)
    assert str(hole) == f"C–O below {below:.2f} Å"


def test_what_was_there_before_is_told_apart_and_so_is_what_has_grown():
    before = Wall(CO, with_hole(lennard_jones(1.2), 0.5))
    assert [h.is_new for h in holes([before])] == [False]
    (same,) = holes([before], [before])
    assert (same.below, same.is_new) == (pytest.approx(0.5), False)
    grown = holes([before], [Wall(CO, with_hole(lennard_jones(1.2), 0.75))])
    assert [(round(h.below, 2), h.is_new) for h in grown] == [(0.75, True), (0.5, False)]
    assert holes([before], [Wall(CO, lennard_jones(1.2))]) == []


def test_one_farther_out_counts_where_the_untuned_model_pushed_apart():
    """Sodium's radii say less than 2 Å; a wall that stood at 2.6 Å is missed where it has gone."""
    before = Wall(("Na", "Na"), lennard_jones(3.4, depth=2.0))
    dented = before.energies.copy()
    inside = (R > 2.3) & (R < 2.5)
    dented[inside] = dented[np.flatnonzero(inside)[-1] + 1] - 0.1
    (hole,) = holes([before], [Wall(before.pair, dented)])
    assert 2.3 < hole.below < 2.6
    # around the lowest energy a change of the bond length is none
    assert holes([before], [Wall(before.pair, lennard_jones(3.2, depth=2.0))]) == []


def test_energies_are_those_of_ase(chgnet):
    found = {wall.name: wall for wall in walls(chgnet, ["O", "C"])}
    assert list(found) == ["C–C", "C–O", "O–O"]
    calculator = chgnet.ase_calculator()

    def energy(r: float) -> float:
        return calculator.get_potential_energy(Atoms("CO", [(0, 0, 0), (0, 0, r)]))

    for k in (0, 10, 40):
        expected = energy(R[k]) - energy(R[len(found["C–O"].energies) - 1])
        assert found["C–O"].energies[k] == pytest.approx(expected, abs=2e-4)
    assert R[len(found["C–O"].energies) - 1] <= chgnet.backbone.cutoff


def test_chgnets_own_holes_are_known(chgnet):
    own = {hole.pair: hole for hole in holes(walls(chgnet, ["Li", "C", "O"]))}
    assert own["C–C"].below == pytest.approx(0.65, abs=0.051)
    assert own["Li–O"].below == pytest.approx(0.75, abs=0.051)
    assert not any(hole.is_new for hole in own.values())


def test_walls_are_kept_as_builtins():
    wall = Wall(CO, lennard_jones(1.2))
    (again,) = from_plain(to_plain([wall]))
    assert again.pair == CO
    np.testing.assert_allclose(again.energies, wall.energies, atol=1e-5)
