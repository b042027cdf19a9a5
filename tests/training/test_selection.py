"""Which structures to compute next: the least certain, the farthest, each once, and files for DFT."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from ase import Atoms

import mattertune_nb as mt
from mattertune_nb.training.dft_inputs import write_inputs
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.pool import farthest_points


@pytest.fixture
def pool(copper_xyz):
    """Return copper that is rattled more and more, and known frames among it."""
    frames = ase.io.read(copper_xyz, ":")
    for k in range(6):
        atoms = frames[0].copy()
        atoms.positions += np.random.default_rng(k).normal(scale=0.05 * k, size=(len(atoms), 3))
        frames.append(atoms)
    return [*frames, frames[-1].copy()]


def test_the_least_certain_are_chosen_and_none_twice(morse_config, pool):
    trained = new_ensemble(morse_config("few", max_epochs=1), 2).train()
    found = mt.select(pool, 3, by="uncertainty", model=trained)
    predicted = trained.model().property_predictor().predict(pool)
    spreads = np.array([np.linalg.norm(p["forces_std"], axis=1).max() for p in predicted])
    known = {atoms.positions.tobytes() for atoms in _trained_on(trained)}
    free = [i for i, atoms in enumerate(pool[:-1]) if atoms.positions.tobytes() not in known]
    expected = sorted(free, key=lambda i: -spreads[i])[:3]
    assert found.positions.tolist() == expected
    assert found.spread == pytest.approx(spreads, rel=1e-3)
    both = mt.select(pool, 2, by="both", model=trained)
    assert set(both.positions) <= set(sorted(free, key=lambda i: -spreads[i])[:8])
    with pytest.raises(mt.DataError, match="distinct structures that are not known"):
        mt.select(pool, len(free) + 1, model=trained)


def _trained_on(trained):
    from mattertune_nb.training.records.split import datasets_of

    data = datasets_of(trained.runs()[0].directory)["train"]
    return [data[i] for i in range(len(data))]


def test_the_farthest_are_far_from_the_known_and_from_each_other(pool):
    known = pool[:14]
    found = mt.select(pool, 3, by="distance", known=known)
    assert found.positions[0] in (18, 19)  # rattled most
    assert set(found.positions) <= set(range(14, 20))
    assert (np.diff(found.distance) <= 1e-12).all()
    line = np.array([[0.0], [1.0], [2.0], [10.0]])
    assert farthest_points(line, 4, np.array([[0.0]]))[0].tolist() == [3, 2, 1, 0]
    assert farthest_points(line, 2)[0].tolist() == [2, 3]


def test_its_progress_is_told_for_each_structure(morse_config, pool):
    trained = new_ensemble(morse_config("few", max_epochs=1), 2).train()
    told = []
    mt.select(pool, 2, by="both", model=trained, progress=lambda *said: told.append(said))
    assert [said for said in told if said[0] == "spread of forces"][-1] == (
        "spread of forces",
        len(pool),
        len(pool),
    )
    told.clear()
    mt.select(pool, 2, by="distance", known=pool[:14], progress=lambda *said: told.append(said))
    assert ("descriptors of the pool", len(pool), len(pool)) in told
    assert ("descriptors of known structures", 14, 14) in told


def test_what_is_chosen_is_shown_and_written(pool, tmp_path):
    found = mt.select(pool, 2, by="diversity")
    read = ase.io.read(found.write(tmp_path / "next.xyz"), ":")
    assert [atoms.positions for atoms in read] == [
        pytest.approx(pool[i].positions) for i in found.positions
    ]
    assert read[0].info["selected_from"] == f"structures, frame {found.positions[0]}"
    assert "data:image/png" in found._repr_html_()
    assert "Cu" in str(found)


def test_the_page_names_a_file_without_its_folder(copper_xyz):
    found = mt.select(copper_xyz, 1, by="diversity")
    place = f"{copper_xyz.name}, frame {found.positions[0]}"
    assert f"<td>{place}</td>" in found._repr_html_()
    assert found.table()["frame"] == [f"{copper_xyz.parent}/{place}"]


@pytest.mark.parametrize(
    ("code", "settings", "file", "line"),
    [
        ("vasp", {"encut": 520, "kpts": (2, 2, 2)}, "INCAR", "ENCUT = 520"),
        ("espresso", {"input_data": {"ecutwfc": 60}}, "espresso.pwi", "ecutwfc          = 60"),
        ("cp2k", {"cutoff": 5000}, "cp2k.inp", "RUN_TYPE ENERGY_FORCE"),
    ],
)
def test_inputs_of_dft_codes_hold_the_structure_and_the_settings(
    pool, tmp_path, code, settings, file, line
):
    found = mt.select(pool, 1, by="diversity")
    (folder,) = found.write_inputs(tmp_path, code, settings)
    assert line in (folder / file).read_text()
    if code != "cp2k":  # which ASE does not read
        structure = ase.io.read(folder / ("POSCAR" if code == "vasp" else file))
        assert structure.positions == pytest.approx(found.frames[0].positions, abs=1e-6)
    with pytest.raises(mt.ConfigError, match="ASE refuses them"):
        found.write_inputs(
            tmp_path, code, {"no_such": 1} if code != "espresso" else {"kspacing": "x"}
        )


@pytest.mark.parametrize("code", ["vasp", "espresso", "cp2k"])
def test_molecules_are_put_in_a_box_for_codes_that_need_a_cell(code, tmp_path):
    chain = Atoms("C8", [(1.4 * i, 0, 0) for i in range(8)])
    (place,) = write_inputs([chain], ["0"], tmp_path, code)
    text = next(
        p for p in place.iterdir() if p.name in ("POSCAR", "espresso.pwi", "cp2k.inp")
    ).read_text()
    numbers = {round(float(x), 3) for x in re.findall(r"\d+\.\d+(?:e[+-]\d+)?", text)}
    assert {15.0, 24.8} <= numbers  # the chain is 9.8 Å long
    assert not chain.cell.any()


def test_a_selection_does_not_replace_its_pool(copper_xyz, tmp_path):
    before = copper_xyz.read_bytes()
    with pytest.raises(mt.DataError, match="would replace the structures that are read"):
        mt.select(copper_xyz, 1, by="diversity").write(copper_xyz)
    assert copper_xyz.read_bytes() == before


def test_what_cannot_be_chosen_by_is_said(pool):
    with pytest.raises(mt.ConfigError, match="Did you mean 'diversity'"):
        mt.select(pool, 1, by="divers")
    with pytest.raises(mt.DataError, match="n: 900, but there are"):
        mt.select(pool, 900, by="diversity")
    with pytest.raises(mt.ConfigError, match=r"needs an ensemble.*by='distance'"):
        mt.select(pool, 1)
    with pytest.raises(mt.ConfigError, match="'size' is unknown"):
        mt.select(pool, 1, by="size")
    with pytest.raises(mt.ConfigError, match="code 'siesta' is unknown"):
        mt.select(pool, 1, by="diversity").write_inputs(".", "siesta")
