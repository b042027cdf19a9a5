"""What the doctor finds without a backbone, on real structures with one fault each."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.division.trajectory import shortest_way
from mattertune_nb.doctor import pairs
from mattertune_nb.doctor.check import findings_of, look_at
from mattertune_nb.doctor.facts import OVERLAP, gather
from mattertune_nb.doctor.predicted import choose, predicted_as


def labelled(atoms, **changed):
    """Return a structure with EMT's labels, some of them changed."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    labels = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **labels | changed)
    return atoms


def labelled_without_stress(atoms):
    """Return a structure with EMT's energy and forces, which molecules have, too."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def bare(atoms, **info):
    """Return a structure without its calculator, and with some values."""
    atoms = atoms.copy()
    atoms.calc = None
    atoms.info |= info
    return atoms


@pytest.fixture(scope="module")
def copper():
    """Return forty rattled and strained crystals of copper with EMT's labels."""
    rng, frames = np.random.default_rng(0), []
    for i in range(40):
        atoms = bulk("Cu", cubic=True, a=3.5 + 0.01 * i) * (1 + i % 2, 1, 1)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(labelled(atoms))
    return frames


def ids(report) -> set[str]:
    return {finding.id for finding in report}


@pytest.mark.parametrize(
    ("axis", "told"), [(2, "along z"), (0, "along x"), (slice(None), "all forces are")]
)
def test_forces_that_are_zero_along_an_axis_of_no_symmetry_are_placeholders(copper, axis, told):
    forces = copper[3].get_forces().copy()
    forces[:, axis] = 0
    (found,) = mt.check(with_frame(copper, 3, labelled(copper[3], forces=forces))).errors
    assert (found.id, found.frames) == ("placeholder-forces", (3,))
    assert told in found.message


def test_forces_that_symmetry_keeps_in_a_plane_are_none():
    flat = molecule("C6H6")
    flat.positions[:, :2] *= 1.03
    flat.calc = EMT()
    assert not np.abs(flat.get_forces()[:, 2]).max() > 1e-12
    forces = flat.get_forces() * [1, 1, 0]
    assert "placeholder-forces" not in ids(mt.check([labelled_without_stress(flat)]))
    flat.calc = SinglePointCalculator(flat, energy=flat.get_potential_energy(), forces=forces)
    assert "placeholder-forces" not in ids(mt.check([flat]))


def with_frame(frames, i, atoms):
    return [*frames[:i], atoms, *frames[i + 1 :]]


def test_sound_data_have_no_findings(copper):
    report = mt.check(copper, validation=[labelled(bulk("Cu", cubic=True, a=3.77))])
    assert not len(report)
    assert report.is_sound
    assert "41 frames looked at: nothing found" in str(report)


def test_every_finding_says_where_why_and_what_to_do(copper):
    atoms = copper[3].copy()
    atoms.positions[1] = atoms.positions[0] + 0.1
    report = mt.check(with_frame(copper, 3, atoms))
    (finding,) = [f for f in report if f.id == "overlapping-atoms"]
    assert finding.severity == "error"
    assert finding.frames == (3,)
    assert "atoms 0 and 1 (Cu–Cu 0.17 Å)" in finding.message
    assert finding.remedy
    assert not report.is_sound
    assert json.loads(report.to_json())["findings"][0]["frames"] == [3]


def test_atoms_that_were_computed_this_close_are_no_error(copper):
    atoms = copper[3].copy()
    atoms.positions[1] = atoms.positions[0] + 0.7
    report = mt.check(with_frame(copper, 3, labelled(atoms)))
    (finding,) = [f for f in report if f.id == "overlapping-atoms"]
    assert finding.severity == "warning"
    assert "they were computed like that" in finding.message
    foreign = with_frame(copper, 3, labelled(atoms, forces=copper[3].get_forces()))
    (finding,) = [f for f in mt.check(foreign) if f.id == "overlapping-atoms"]
    assert finding.severity == "error"


@pytest.mark.parametrize(
    ("id_", "label", "value"),
    [
        ("placeholder-energy", "energy", 0.0),
        ("placeholder-forces", "forces", np.zeros((8, 3))),
        ("stress-unit", "stress", np.full(6, -251.0)),
        ("net-force", "forces", np.full((8, 3), 0.2)),
    ],
)
def test_a_label_that_cannot_be_one_is_found_in_its_frame(copper, id_, label, value):
    report = mt.check(with_frame(copper, 5, labelled(copper[5], **{label: value})))
    (finding,) = [f for f in report if f.id == id_]
    assert finding.frames == (5,)


def test_equal_energies_by_a_symmetry_are_no_placeholders():
    frames = []
    for i in range(8):
        atoms = bulk("Au", cubic=True) * (2, 1, 1)
        atoms.positions[i, i % 3] += 0.01
        frames.append(labelled(atoms))
    energy = frames[0].get_potential_energy()
    frames = [labelled(atoms, energy=energy) for atoms in frames]
    assert not len(mt.check(frames))
    rng = np.random.default_rng(0)
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    frames = [labelled(atoms, energy=energy) for atoms in frames]
    assert "placeholder-energy" in ids(mt.check(frames))


def test_several_energies_that_are_repeated_are_one_finding(copper):
    frames = [labelled(a, energy=float(i % 4)) for i, a in enumerate(copper)]
    told = [f for f in mt.check(frames) if f.id == "placeholder-energy"]
    assert [len(finding.frames) for finding in told] == [10, 30]
    assert "30 of 40 frames have the energy of others (1 eV in 10, 2 eV in 10, 3 eV in 10)" in str(
        told[1]
    )


def test_a_label_that_must_be_named_is_not_reported_as_missing_too(copper, tmp_path):
    frames = [bare(a, total_energy=1.0 + i, dft_energy=2.0 + i**2) for i, a in enumerate(copper)]
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    assert ids(mt.check(tmp_path / "a.xyz")) == {"label-candidates"}


def test_a_cell_under_an_unknown_name_is_reported(copper, tmp_path):
    frames = []
    for atoms in copper:
        frames.append(bare(atoms, energy=atoms.get_potential_energy(), edges=atoms.cell.array))
        frames[-1].set_cell(None)
        frames[-1].pbc = False
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    (finding,) = [f for f in mt.check(tmp_path / "a.xyz") if f.id == "lost-periodicity"]
    assert len(finding.frames) == len(copper)
    assert "Rename 'edges' to Lattice" in finding.remedy
    for atoms in frames:
        atoms.info["edges"] = 30 * np.eye(3)  # as a polarizability may be
    ase.io.write(tmp_path / "b.xyz", frames, format="extxyz")
    assert "lost-periodicity" not in ids(mt.check(tmp_path / "b.xyz"))


def test_structures_without_any_label_are_told():
    (finding,) = mt.check([bulk("Cu"), bulk("Ni")])
    assert finding.id == "missing-label"
    assert "nothing to train on" in finding.message


def test_forces_of_another_frame_are_found_in_both(copper):
    foreign = labelled(copper[7], forces=copper[9].get_forces())
    (finding,) = mt.check(with_frame(copper, 7, foreign))
    assert (finding.id, finding.frames) == ("foreign-forces", (7, 9))


def test_an_atom_in_the_middle_of_a_symmetric_crystal_may_have_no_force():
    frames = [labelled(bulk("Cu", cubic=True, a=3.5 + 0.02 * i)) for i in range(6)]
    for atoms in frames:
        atoms.calc.results["forces"] = np.zeros((4, 3))
    assert "placeholder-forces" not in ids(mt.check(frames))


def test_energies_per_atom_do_not_grow_with_the_structure(copper):
    frames = [labelled(a, energy=a.get_potential_energy() / len(a) - 3.5) for a in copper]
    assert ids(mt.check(frames)) == {"energy-per-atom"}


def read_with_model(frames, energies):
    """Return what is found with a model that is right, where the labels have these energies."""
    n = len(frames)
    truth = [{"energy": a.get_potential_energy(), "forces": a.get_forces()} for a in frames]
    given = [labelled(a, energy=e) for a, e in zip(frames, energies, strict=True)]
    return findings_of(look_at(as_dataset(given), predicted=predicted_as(np.arange(n), truth)))


def test_a_model_that_is_off_says_nothing_of_frames_compressed_further_than_all_others():
    rng, frames = np.random.default_rng(0), []
    for k in range(30):
        atoms = bulk("Cu", cubic=True, a=3.0 + 0.03 * k) * (2, 1, 1)
        atoms.rattle(0.1, seed=k)
        frames.append(labelled(atoms))

    def found(first):
        truth = [{"energy": a.get_potential_energy(), "forces": a.get_forces()} for a in frames]
        for k in range(first, first + 4):
            wrong = rng.normal(size=truth[k]["forces"].shape)
            truth[k]["forces"] = wrong * np.linalg.norm(truth[k]["forces"]) / np.linalg.norm(wrong)
        predicted = predicted_as(np.arange(30), truth)
        findings = findings_of(look_at(as_dataset(frames), predicted=predicted))
        return "reordered-forces" in {f.id for f in findings}

    assert found(15)
    assert not found(0)


def rattled_copper(sizes):
    """Return forty rattled crystals of copper, of four to sixteen atoms."""
    frames = []
    for i in range(40):
        atoms = bulk("Cu", cubic=True) * (sizes[i % len(sizes)], 1, 1)
        atoms.rattle(0.02 + 0.004 * i, seed=i)
        frames.append(labelled(atoms))
    return frames


@pytest.mark.parametrize("sizes", [(1,), (1, 2), (1, 2, 4)])
def test_energies_per_atom_are_told_by_a_model_whatever_the_sizes(sizes):
    frames = rattled_copper(sizes)
    found = read_with_model(frames, [a.get_potential_energy() / len(a) for a in frames])
    assert "energy-per-atom" in {finding.id for finding in found}
    sound = read_with_model(frames, [a.get_potential_energy() for a in frames])
    assert not [f for f in sound if f.id.startswith("energy-")]


def test_two_readings_that_fit_are_both_said():
    frames = rattled_copper((3,))
    found = read_with_model(frames, [a.get_potential_energy() / len(a) for a in frames])
    (finding,) = [f for f in found if f.id.startswith("energy-")]
    assert "per atom or in Ry, which cannot be told apart" in finding.message
    assert not finding.settings


def test_ions_are_no_mismatch_of_references():
    frames = rattled_copper((1,))
    energies = [a.get_potential_energy() + 8.0 * (i % 2) for i, a in enumerate(frames)]
    assert "reference-mismatch" in {f.id for f in read_with_model(frames, energies)}
    for i, atoms in enumerate(frames):
        atoms.info["charge"] = i % 2
    assert "reference-mismatch" not in {f.id for f in read_with_model(frames, energies)}


def test_one_structure_with_two_energies_is_an_error_and_with_one_a_warning(copper):
    twice = mt.check([*copper, labelled(copper[2])])
    assert ids(twice) == {"duplicates"}
    assert twice.is_sound
    other = labelled(copper[2], energy=copper[2].get_potential_energy() + 0.3)
    report = mt.check([*copper, other])
    (finding,) = report.errors
    assert (finding.id, finding.frames) == ("differing-labels", (2, 40))


@pytest.mark.parametrize("atoms", [molecule("CH3CH2OH"), bulk("Cu", cubic=True)])
def test_a_structure_written_again_from_another_origin_or_wrapped_is_seen(atoms):
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=atoms.positions.shape)
    atoms.positions[0] -= 0.2  # out of the cell
    again = labelled_without_stress(atoms)
    if atoms.pbc.any():
        again.wrap()
    else:
        again.positions += [3.0, 1.0, 0.5]
    assert np.abs(again.positions - atoms.positions).max() > 1
    again.calc = SinglePointCalculator(again, **again.calc.results)
    (finding,) = mt.check([labelled_without_stress(atoms), again])
    assert finding.id == "duplicates"
    again.calc.results["energy"] += 0.3
    (finding,) = mt.check([labelled_without_stress(atoms), again])
    assert finding.id == "differing-labels"


def test_the_work_for_structures_that_hardly_differ_grows_with_their_number_alone(monkeypatch):
    rng, frames = np.random.default_rng(0), []
    for _ in range(120):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.003, rng=rng)
        frames.append(labelled(atoms))
    frames[60] = labelled(frames[60], energy=frames[60].get_potential_energy() + 0.5)
    compared = []
    monkeypatch.setattr(
        pairs, "shortest_way", lambda *two: compared.append(two) or shortest_way(*two)
    )
    (finding,) = mt.check(frames).findings
    assert finding.id == "differing-labels"
    assert 60 in finding.frames
    # of the 7140 pairs, each measured once
    assert len(compared) < 10 * len(frames)


def test_two_structures_that_differ_as_much_as_their_forces_say_are_no_contradiction(copper):
    atoms = copper[2].copy()
    atoms.positions[0] += [0.02, 0.0, 0.0]
    assert not len(mt.check([*copper, labelled(atoms)]))


def test_a_crystal_without_periodicity_and_a_cell_too_long_are_found(copper):
    cluster = copper[4].copy()
    cluster.pbc = False
    stretched = copper[6].copy()
    stretched.set_cell(1.7 * stretched.cell.array)
    report = mt.check(with_frame(with_frame(copper, 4, cluster), 6, stretched))
    frames = {finding.id: finding.frames for finding in report}
    assert frames["lost-periodicity"] == (4,)
    assert frames["wrong-cell"] == (6,)
    assert frames["mixed-periodicity"] == (4,)


def test_a_molecule_in_a_box_is_no_crystal():
    frames = []
    for i in range(12):
        atoms = molecule("CH3CH2OH", vacuum=3.0)
        atoms.rattle(0.03, seed=i)
        frames.append(atoms)
    assert ids(mt.check(frames)) == {"missing-label"}


def test_energies_are_compared_with_the_forces_along_a_trajectory(copper):
    rng, atoms, frames = np.random.default_rng(1), copper[0].copy(), []
    for _ in range(30):
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        frames.append(labelled(atoms))
    assert not len(mt.check(frames))
    turned = [labelled(a, forces=-a.get_forces()) for a in frames]
    (finding,) = mt.check(turned)
    assert finding.id == "forces-against-energy"
    assert "sign" in finding.message
    changed = [labelled(a, energy=a.get_potential_energy() / 27.211386) for a in frames]
    (finding,) = mt.check(changed)
    assert "Hartree" in finding.message


def test_validation_is_compared_with_training(copper):
    gold = labelled(bulk("Au", cubic=True))
    stretched = [labelled(bulk("Cu", cubic=True, a=4.3 + 0.01 * i)) for i in range(3)]
    report = mt.check(copper, validation=[copper[0], gold, *stretched])
    found = {finding.id: finding for finding in reversed(report.findings)}
    assert found["validation-in-training"].severity == "error"
    assert found["validation-in-training"].frames == (0,)
    assert found["element-not-trained"].frames == (1,)
    assert "volume" in found["range-not-trained"].message


def test_of_two_parts_of_one_file_each_is_named(copper, tmp_path):
    frames = [*copper, *copper[:4]]
    frames[1] = labelled(frames[1], energy=0.0)
    ase.io.write(tmp_path / "all.xyz", frames)
    n = len(frames)
    parts = [
        mt.open_dataset(tmp_path / "all.xyz", index=text) for text in (f":{n - 4}", f"{n - 4}:")
    ]
    found = {finding.id: finding for finding in mt.check(parts[0], validation=parts[1])}
    assert found["placeholder-energy"].where() == "all.xyz (training), frame 1"
    assert found["validation-in-training"].where().startswith("all.xyz (validation), frames ")
    assert not any(finding.part for finding in mt.check(parts[0]))


def test_elements_that_hardly_occur_are_told(copper):
    assert "rare-element" in ids(mt.check([*copper, labelled(bulk("Ag", cubic=True))]))


def test_the_command_exits_with_1_for_errors_alone(copper, tmp_path):
    from typer.testing import CliRunner

    from mattertune_nb.cli import app

    sound, twice, broken = (tmp_path / f"{name}.xyz" for name in ("sound", "twice", "broken"))
    ase.io.write(sound, copper)
    ase.io.write(twice, [*copper, copper[0]])
    ase.io.write(broken, [labelled(a, energy=0.0) for a in copper])
    results = {
        p.stem: CliRunner().invoke(app, ["check", str(p), "--json"]) for p in (sound, twice, broken)
    }
    assert {name: r.exit_code for name, r in results.items()} == {
        "sound": 0,
        "twice": 0,
        "broken": 1,
    }
    assert not any(r.stderr for r in results.values())
    (finding,) = json.loads(results["broken"].stdout)["findings"]
    assert finding["id"] == "placeholder-energy"
    assert finding["source"] == "broken.xyz"


def test_labels_are_looked_for_by_name_and_asked_about_where_two_may_be_it(copper, tmp_path):
    frames = []
    for i, atoms in enumerate(copper):
        frame = atoms.copy()
        frame.info |= {"dft_energy": atoms.get_potential_energy(), "qm_energy": -3.0 * i}
        frame.arrays["REF_forces"] = atoms.get_forces() * (i != 5)
        frames.append(frame)
    ase.io.write(tmp_path / "frames.xyz", frames)
    found = {finding.id: finding for finding in mt.check(tmp_path / "frames.xyz")}
    assert "'dft_energy'" in found["label-candidates"].message
    assert found["placeholder-forces"].frames == (5,)


def test_remedies_that_are_settings_read_the_labels_right(copper, tmp_path):
    frames = [labelled(a, energy=a.get_potential_energy() / len(a) - 3.5) for a in copper]
    ase.io.write(tmp_path / "frames.xyz", frames)
    (finding,) = mt.check(tmp_path / "frames.xyz")
    config = mt.XYZDatasetConfig(src=tmp_path / "frames.xyz")
    unit = finding.settings["units.energy"]
    config.units.energy = unit
    assert not len(mt.check(config))


def test_frames_beyond_the_memory_budget_of_a_batch(copper):
    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.AtomsListDatasetConfig(atoms_list=copper), max_atoms=6
    ).create_datasets()
    (finding,) = [f for f in mt.check(data["train"]) if f.id == "beyond-memory-budget"]
    sizes = [len(copper[i]) for i in finding.frames]
    assert set(sizes) == {8}
    assert "more than the 6 that a batch may have" in finding.message
    assert "<svg" in finding.picture


@pytest.mark.parametrize(
    ("label", "value"), [("energy", np.nan), ("forces", np.full((4, 3), np.inf)), ("energy", "n/a")]
)
def test_a_label_that_is_no_number_is_an_error_with_its_frame(copper, label, value):
    frames = [atoms.copy() for atoms in copper]
    for frame, known in zip(frames, copper, strict=True):
        frame.info["energy"] = known.get_potential_energy()
        frame.arrays["forces"] = known.get_forces()
    (frames[4].info if label == "energy" else frames[4].arrays)[label] = value
    (finding,) = [f for f in mt.check(frames) if f.id == "unreadable-label"]
    assert finding.severity == "error"
    assert finding.frames == (4,)
    assert f"{label} ('{label}')" in finding.message


def test_frames_without_a_label_that_others_have_are_told(copper):
    frames = [atoms.copy() for atoms in copper]
    for k, (frame, known) in enumerate(zip(frames, copper, strict=True)):
        frame.info = {} if k in (3, 9) else {"energy": known.get_potential_energy()}
    (finding,) = [f for f in mt.check(frames) if f.id == "missing-label"]
    assert (finding.severity, finding.frames) == ("warning", (3, 9))
    assert "2 of 40 frames lack energy" in finding.message


def test_isolated_atoms_are_no_frames_of_the_doctor(copper):
    alone = bulk("Cu")
    alone.set_cell([20, 20, 20])
    alone.info = {"config_type": "IsolatedAtom", "energy": -0.25}
    report = mt.check([alone, *copper])
    assert not len(report)
    assert report.n_frames == len(copper)


@pytest.mark.parametrize(
    ("order", "told"),
    [([5, 4, 3], "the order xy xz yz"), ([5, 3, 4], "VASP's order xy yz xz"), ([3, 4, 5], None)],
)
def test_the_order_of_shear_stresses_is_said(copper, order, told):
    frames = [labelled(atoms, stress=atoms.get_stress()[[0, 1, 2, *order]]) for atoms in copper]
    data = mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()
    truth = [{"stresses": atoms.get_stress()} for atoms in copper]
    case = look_at(data, predicted=predicted_as(np.arange(len(frames)), truth))
    found = [f.message for f in findings_of(case) if f.id == "stress-order"]
    assert len(found) == (told is not None)
    assert not found or told in found[0]


def test_structures_denser_than_any_are_not_predicted_which_would_take_all_memory(copper):
    dense = bulk("Cu", a=1.89)
    facts = gather(as_dataset([copper[0], dense]))
    assert facts.closest[1] > OVERLAP
    assert choose(facts).tolist() == [0]


def test_a_file_in_which_no_frame_is_usable_is_told_and_ends_no_check(copper):
    flat = copper[0].copy()
    flat.cell[2] = 0.0
    flat.info["energy"] = -1.0
    assert "unusable-structure" in ids(mt.check([flat]))


@pytest.mark.parametrize("factor", [-1.0, 1 / units.GPa])
def test_stresses_of_which_some_have_another_sign_or_unit_are_found(copper, factor):
    """A few stresses of zero beside them have no sign; the model is off by the usual amount."""
    rng = np.random.default_rng(0)
    odd, zero = {3, 11, 17, 29}, {5, 21}
    frames = [
        labelled(atoms, stress=atoms.get_stress() * (factor if i in odd else i not in zero))
        for i, atoms in enumerate(copper)
    ]
    size = np.median([np.linalg.norm(atoms.get_stress()) for atoms in copper])
    noise = 0.05 * size * rng.normal(size=(len(copper), 6))
    truth = [{"stresses": atoms.get_stress() + n} for atoms, n in zip(copper, noise, strict=True)]
    data = mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()
    case = look_at(data, predicted=predicted_as(np.arange(len(frames)), truth))
    found = [f for f in findings_of(case) if f.id == "stress-unit" and "untuned" in f.message]
    assert [len(f.frames) >= 3 and odd.issuperset(f.frames) for f in found] == [True]


def test_energies_of_the_next_frame_are_told_without_a_model(copper):
    rng = np.random.default_rng(0)
    frames = []
    for i in range(len(copper)):
        atoms = bulk("Cu", cubic=True) * (rng.integers(1, 6), 1, 1)
        atoms.rattle(0.1, seed=i)
        frames.append(labelled(atoms))
    energies = [atoms.get_potential_energy() - 3.5 * len(atoms) for atoms in frames]
    assert not mt.check(
        [labelled(a, energy=e) for a, e in zip(frames, energies, strict=True)]
    ).errors
    shifted = [labelled(a, energy=e) for a, e in zip(frames, np.roll(energies, 1), strict=True)]
    (finding,) = mt.check(shifted).errors
    assert finding.id == "shifted-energies"
    assert "stands 1 place after it" in finding.message


@pytest.mark.parametrize("given_as", [None, "gradient"])
def test_a_gradient_is_not_forces_of_other_frames_and_a_setting_mends_it(given_as):
    frames = rattled_copper((1,))[:12]
    frames[1].positions = 2 * bulk("Cu", cubic=True).positions - frames[0].positions
    frames[1] = labelled(
        frames[1]
    )  # the mirror image, whose forces are those of the first reversed
    truth = [{"energy": a.get_potential_energy(), "forces": a.get_forces()} for a in frames]
    given = [labelled(a, forces=-a.get_forces()) for a in frames]
    config = mt.AtomsListDatasetConfig(atoms_list=given, units={"forces_as": given_as})
    case = look_at(config.create_dataset(), predicted=predicted_as(np.arange(12), truth))
    found = {
        f.id: f.settings for f in findings_of(case) if f.id in ("forces-sign", "foreign-forces")
    }
    assert found == ({} if given_as else {"forces-sign": {"units.forces_as": "gradient"}})


def test_scans_of_two_crystals_after_each_other_are_smooth():
    frames = [labelled(bulk("Cu", a=3.2 + 0.06 * k)) for k in range(20)]
    frames += [labelled(bulk("Cu", "bcc", a=2.6 + 0.04 * k)) for k in range(20)]
    energies = np.array([a.get_potential_energy() for a in frames])
    truth = [
        {"energy": e, "forces": a.get_forces()}
        for a, e in zip(frames, np.roll(energies, 1), strict=True)
    ]
    case = look_at(as_dataset(frames), predicted=predicted_as(np.arange(40), truth))
    assert "shifted-energies" not in {f.id for f in findings_of(case)}


def test_two_settings_are_told_where_symmetry_leaves_no_forces():
    """Of a scan of the volume forces say nothing about the model, for or against it."""
    frames = [labelled(bulk("Cu", a=3.4 + 0.02 * k)) for k in range(24)]
    truth = [{"energy": a.get_potential_energy(), "forces": a.get_forces()} for a in frames]
    odd = set(np.random.default_rng(0).choice(24, 8, replace=False).tolist())
    given = [
        labelled(a, energy=a.get_potential_energy() + 0.4 * (k in odd))
        for k, a in enumerate(frames)
    ]
    for labels, expected in ((frames, []), (given, [odd])):
        case = look_at(as_dataset(labels), predicted=predicted_as(np.arange(24), truth))
        found = [set(f.frames) for f in findings_of(case) if f.id == "mixed-settings"]
        assert found == expected


@pytest.mark.parametrize("is_guide", [True, False])
def test_two_settings_are_told_by_a_model_that_knows_the_forces(is_guide):
    rng, frames = np.random.default_rng(0), rattled_copper((1, 2))
    truth = [{"energy": a.get_potential_energy(), "forces": a.get_forces()} for a in frames]
    for prediction in [] if is_guide else truth:
        prediction["forces"] = rng.permuted(prediction["forces"], axis=None)
    given = [
        labelled(a, energy=a.get_potential_energy() + 0.4 * len(a) * (k % 3 == 0))
        for k, a in enumerate(frames)
    ]
    case = look_at(as_dataset(given), predicted=predicted_as(np.arange(len(frames)), truth))
    assert ("mixed-settings" in {f.id for f in findings_of(case)}) == is_guide


def test_a_layer_in_bohr_is_told_and_one_in_angstrom_is_none():
    frames = []
    for seed in range(12):
        atoms = fcc111("Cu", (2, 2, 1), vacuum=9.0, periodic=True)
        atoms.rattle(0.05, seed=seed)
        frames.append(labelled(atoms))
    assert not len(mt.check(frames))
    in_bohr = []
    for known in frames:
        atoms = known.copy()
        atoms.set_cell(known.cell.array / units.Bohr, scale_atoms=True)
        atoms.calc = SinglePointCalculator(atoms, **known.calc.results)
        in_bohr.append(atoms)
    (finding,) = mt.check(in_bohr)
    assert finding.message.startswith("the positions and cell are in Bohr")


@pytest.mark.parametrize(
    ("told", "positions", "cell"),
    [("cells", 0, 1), ("positions", 1, 0), ("positions and cell", 1, 1)],
)
def test_lengths_in_bohr_are_told(copper, told, positions, cell):
    frames = []
    for known in copper:
        atoms = known.copy()
        atoms.set_cell(known.cell.array / units.Bohr**cell)
        atoms.positions /= units.Bohr**positions
        atoms.calc = known.calc
        frames.append(atoms)
    (finding,) = [f for f in mt.check(frames) if f.id == "length-unit"]
    assert finding.message.startswith(f"the {told} are in Bohr: read that way, 100 % of 24 frames")
