"""Structures away from the target: what they are, and that a change is counted as numpy and ASE count it."""

from __future__ import annotations

import copy

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

import mattertune_nb as mt
from mattertune_nb.physics import foreign
from mattertune_nb.physics.foreign import ForeignSet, Predictor, made_here, of_file
from mattertune_nb.physics.kinds import ELEMENTS, OWN
from mattertune_nb.physics.prototypes import foreign_structures

ALL = ["H", "Li", "C", "N", "O", "Mg", "Si", "S", "Na", "Cl", "Fe", "Cu"]


def test_they_are_few_small_and_of_no_composition_that_the_target_has():
    target = [molecule("H2O"), bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)]
    frames = foreign_structures(ALL, target)
    assert 20 <= len(frames) <= 60
    assert max(map(len, frames)) <= 12
    formulas = {str(atoms.symbols.formula.reduce()[0]) for atoms in frames}
    assert not formulas & {"OH2", "H2O", "NaCl", "ClNa"}
    assert {symbol for atoms in frames for symbol in atoms.symbols} <= set(ALL)
    for atoms in frames:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        assert distances[np.triu_indices(len(atoms), 1)].min() > 0.7


def test_the_targets_own_elements_are_put_together_otherwise():
    frames = foreign_structures(ALL, [molecule("CH3CH2OH")])
    own = {a.get_chemical_formula() for a in frames if a.info["kind"] == OWN}
    assert own == {"C2H2", "H2O2", "C2O2", "H2O", "CH4", "CO2", "C2H4"}


def test_structures_of_the_targets_elements_alone_are_told_apart():
    """There a change may be what the model has learnt."""
    found = a_set()
    for atoms in found.frames[:2]:
        atoms.info["kind"] = OWN
    forces = [f + (1.0 if i < 2 else 0.1) for i, f in enumerate(found.forces)]
    every, by_kind = found.errors(found.energies, forces)
    assert every.forces == pytest.approx(0.1)
    assert by_kind[OWN].forces == pytest.approx(1.0)


def test_they_are_the_same_each_time_and_whatever_else_is_left_out():
    some = foreign_structures(["Cu", "Si"], [])
    again = [a for a in foreign_structures(ALL, []) if set(a.symbols) <= {"Cu", "Si"}]
    assert [a.info["kind"] for a in some] == [ELEMENTS] * 4
    for one, other in zip(some, again, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    assert not np.allclose(some[0].positions, foreign_structures(["Si"], [], 1)[0].positions)


def a_set() -> ForeignSet:
    """Return a set of three compounds of two elements, in two sizes."""
    rng = np.random.default_rng(0)
    frames = [molecule(name) for name in ("H2O", "H2O2", "OH", "H2O", "O2")]
    for atoms in frames:
        atoms.info["kind"] = "one" if len(atoms) == 3 else "other"
    forces = [rng.normal(size=(len(atoms), 3)) for atoms in frames]
    return ForeignSet(frames, rng.normal(size=5), forces)


def test_errors_are_those_of_numpy():
    found = a_set()
    rng = np.random.default_rng(1)
    energies = found.energies + rng.normal(size=5)
    forces = [f + rng.normal(size=f.shape) for f in found.forces]
    every, by_kind = found.errors(energies, forces)
    every_component = np.concatenate(
        [(a - b).ravel() for a, b in zip(forces, found.forces, strict=True)]
    )
    assert every.forces == pytest.approx(np.abs(every_component).mean())
    # H and O atoms; normal equations in place of lstsq
    counts = np.array([[2, 1], [2, 2], [1, 1], [2, 1], [0, 2]], dtype=float)
    n = counts.sum(axis=1)
    x, y = counts / n[:, None], (energies - found.energies) / n
    left = y - x @ np.linalg.solve(x.T @ x, x.T @ y)
    assert every.energy == pytest.approx(np.abs(left).mean())
    assert by_kind["one"].energy == pytest.approx(np.abs(left[[0, 3]]).mean())
    ones = np.concatenate([(forces[i] - found.forces[i]).ravel() for i in (0, 3)])
    assert by_kind["one"].forces == pytest.approx(np.abs(ones).mean())


def test_another_zero_of_energy_of_each_element_is_no_error():
    found = a_set()
    shifted = found.energies + np.array([[2, 1], [2, 2], [1, 1], [2, 1], [0, 2]]) @ [-13.6, -2000.0]
    assert found.errors(shifted, found.forces)[0].energy == pytest.approx(0, abs=1e-9)


@pytest.fixture
def changed(chgnet):
    """Return CHGNet with weights and references that are a little others."""
    model = copy.deepcopy(chgnet)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter *= 1.01
    model.normalization.references[1:] = -7.0
    return model


def test_what_a_model_changes_is_what_ase_says(chgnet, changed):
    found = made_here(chgnet, [molecule("H2O")])
    chosen = [i for i, atoms in enumerate(found.frames) if len(atoms) <= 3][::5]
    part = ForeignSet(
        [found.frames[i] for i in chosen], found.energies[chosen], [found.forces[i] for i in chosen]
    )
    errors, _ = part.errors(*Predictor(part.frames, chgnet.backbone)(changed))
    before, after = [], []
    for forces, model in ((before, chgnet), (after, changed)):
        calculator = model.ase_calculator()
        for atoms in part.frames:
            forces.append(calculator.get_property("forces", atoms.copy()))
    difference = np.abs(np.concatenate(after) - np.concatenate(before)).mean()
    assert errors.forces == pytest.approx(difference, rel=1e-3)
    assert errors.forces > 0.001


def test_labels_are_kept_for_weights_and_structures(chgnet, changed, monkeypatch):
    target = [molecule("H2O")]
    first = made_here(chgnet, target)
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "Predictor", None)
        again = made_here(chgnet, target)
    np.testing.assert_array_equal(first.energies, again.energies)
    assert again.to_plain() == first.to_plain()
    assert not np.allclose(made_here(changed, target).energies, first.energies)


def test_a_file_is_compared_with_its_labels_or_with_the_model(chgnet, tmp_path):
    labelled = of_file(chgnet, mt.demo_data("test"))
    frames = ase.io.read(mt.demo_data("test"), ":")
    assert len(labelled) == len(frames)
    assert labelled.energies[3] == frames[3].get_potential_energy()
    wrong = [
        chgnet.ase_calculator().get_property("forces", a.copy()) - a.get_forces()
        for a in frames[:3]
    ]
    three = ForeignSet(labelled.frames[:3], labelled.energies[:3], labelled.forces[:3])
    errors, _ = three.errors(*Predictor(three.frames, chgnet.backbone)(chgnet))
    assert errors.forces == pytest.approx(np.abs(wrong).mean(), rel=1e-4)
    assert 0.2 < labelled.untuned.forces < 0.3
    ase.io.write(tmp_path / "bare.xyz", [atoms.copy() for atoms in frames[:3]])
    bare = of_file(chgnet, tmp_path / "bare.xyz")
    assert bare.untuned.forces == 0.0
    ours = chgnet.ase_calculator().get_property("forces", frames[1].copy())
    np.testing.assert_allclose(bare.forces[1], ours, atol=1e-5)


def test_a_file_with_labels_of_a_part_is_refused_by_its_frame(chgnet, tmp_path):
    frames = ase.io.read(mt.demo_data("test"), ":3")
    frames[1].calc = None
    ase.io.write(tmp_path / "part.xyz", frames)
    with pytest.raises(mt.DataError, match=r"part.xyz, frame 1: energy or forces are missing"):
        of_file(chgnet, tmp_path / "part.xyz")
