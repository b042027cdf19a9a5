"""Each format is read to the numbers that were written, with its units converted."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from importlib.metadata import entry_points
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError, MissingExtraError
from mattertune_nb.data.readers import registry
from mattertune_nb.data.sources.opening import open_frames
from mattertune_nb.data.xyz.file import IndexedXYZ


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_a_packed_file_is_unpacked_once_and_indexed(
    suffix, pack, copper_xyz, tmp_path, monkeypatch
):
    packed = tmp_path / f"md@300K.xyz{suffix}"
    with pack(packed, "wb") as file:
        file.write(copper_xyz.read_bytes())
    frames = open_frames(packed)
    assert isinstance(frames, IndexedXYZ)
    np.testing.assert_array_equal(frames[4].get_forces(), IndexedXYZ(copper_xyz)[4].get_forces())
    from mattertune_nb.data.readers import compressed

    monkeypatch.setattr(compressed, "_OPEN", {suffix: None})  # nothing is unpacked any more
    assert len(open_frames(packed)) == 10
    assert mt.open_dataset(packed).source(3) == f"{packed}, frame 3"


@pytest.mark.parametrize("pack", [gzip.open, lzma.open, bz2.open])
def test_a_packed_file_is_known_by_its_content(pack, copper_xyz, tmp_path):
    packed = tmp_path / "md.xyz"
    with pack(packed, "wb") as file:
        file.write(copper_xyz.read_bytes())
    assert len(open_frames(packed)) == 10


def test_a_packed_file_that_changes_is_unpacked_again_and_the_old_copy_goes(copper, tmp_path):
    from mattertune_nb.data.cache_folder import cache_folder

    packed = tmp_path / "a.xyz.gz"
    for n in (2, 5):
        ase.io.write(packed, copper(n))
        assert len(open_frames(packed)) == n
    copies = [path for path in cache_folder("unpacked").rglob("*") if path.is_file()]
    assert len(copies) == 1


def test_a_packed_file_that_is_cut_off_is_named(copper, tmp_path):
    packed = tmp_path / "a.xyz.gz"
    ase.io.write(packed, copper(4))
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.xyz\.gz: cannot be unpacked \(EOFError"):
        open_frames(packed)
    content = bytearray(gzip.compress(b"1\n\nH 0 0 0\n" * 50))
    content[10] = 0x07  # a kind of block that there is not
    packed.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.xyz\.gz: cannot be unpacked \(error: Error -3"):
        open_frames(packed)
    (tmp_path / "b.xyz.gz").write_bytes(gzip.compress(b"1\n\nH 0 0 zero\n"))
    with pytest.raises(DataError, match=rf"{tmp_path}/b\.xyz\.gz, frame 0 .*not a valid frame"):
        open_frames(tmp_path / "b.xyz.gz")


SITES = [
    {"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0], "label": "Na"},
    {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, 0.5], "label": "Cl"},
]
RECORD = {
    "structure": {
        "@module": "pymatgen.core.structure",
        "lattice": {"matrix": [[4.1, 0, 0], [0, 4.2, 0], [0, 0, 4.3]]},
        "sites": SITES,
    },
    "energy_per_atom": -3.4,
    "uncorrected_total_energy": -6.5,
    "force": [[0.1, 0, -0.2], [-0.1, 0, 0.2]],
    "stress": [[-16, 1, 2], [1, -32, 3], [2, 3, -48]],
    "magmom": [0.5, 0.0],
}


@pytest.mark.parametrize(
    "data",
    [
        [RECORD],
        {name: [value] for name, value in RECORD.items()},
        {"mp-22862": {"mp-22862-0-1": RECORD}},
    ],
    ids=["list", "columns", "MPtrj"],
)
def test_records_of_chgnet_have_energies_per_atom_and_stress_in_kbar(data, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(data))
    opened = mt.open_dataset(tmp_path / "a.json")
    labels, atoms = opened.labels(0), opened.frame(0)
    assert labels["energy"] == pytest.approx(-6.8)
    assert labels["forces"].tolist() == RECORD["force"]
    kbar = np.array([-16, -32, -48, 3, 2, 1])
    assert labels["stresses"] == pytest.approx(-0.1 * kbar * units.GPa)
    assert atoms.positions[1] == pytest.approx([2.05, 2.1, 2.15])
    assert atoms.info["uncorrected_total_energy"] == -6.5
    assert atoms.calc.results["magmoms"].tolist() == [0.5, 0.0]


def test_a_structure_of_pymatgen_beside_other_names_keeps_their_units(tmp_path):
    """CHGNet's kbar is that of its own names; a stress beside 'energy' and 'forces' is taken as it is."""
    stress = [[0.01, 0, 0], [0, 0.02, 0], [0, 0, 0.03]]
    plain = {"energy": -6.8, "forces": RECORD["force"], "stress": stress, "steps": [[1], [1, 2]]}
    records = [{"structure": RECORD["structure"], **plain}] * 2
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    nested = [{"structure": RECORD["structure"], "outputs": plain, "num_atoms": 2}]
    (tmp_path / "mlearn.json").write_text(json.dumps(nested))
    for name in ("a.json", "a.jsonl", "mlearn.json"):
        labels = mt.open_dataset(tmp_path / name).labels(0)
        assert labels["energy"] == -6.8
        assert labels["forces"].tolist() == RECORD["force"]
        assert labels["stresses"].tolist() == [0.01, 0.02, 0.03, 0, 0, 0]


def test_columns_whose_names_leave_the_units_open_are_refused_in_short(tmp_path):
    columns = {"structures": [RECORD["structure"]] * 3, "energies": [-3.4] * 3, "stresses": [0] * 3}
    (tmp_path / "a.json").write_text(json.dumps(columns))
    with pytest.raises(DataError, match="Name the columns structure, energy or") as error:
        mt.open_dataset(tmp_path / "a.json")
    assert "(structures, energies, stresses)" in str(error.value)
    assert len(str(error.value)) < 400


def test_a_disordered_structure_is_refused(tmp_path):
    half = {"species": [{"element": "Na", "occu": 0.5}], "abc": [0, 0, 0]}
    record = RECORD | {"structure": RECORD["structure"] | {"sites": [SITES[0], half]}}
    (tmp_path / "a.json").write_text(json.dumps([RECORD, record]))
    with pytest.raises(DataError, match=r"a\.json, frame 1: site 1 is occupied"):
        mt.open_dataset(tmp_path / "a.json")


@pytest.mark.parametrize(
    "stress", [[0.01, 0.02, 0.03, 0, 0, 0], [[[0.01, 0, 0], [0, 0.02, 0], [0, 0, 0.03]]]]
)
def test_plain_lists_are_read_with_any_label(stress, tmp_path):
    record = {
        "atomic_numbers": [11, 17],
        "positions": [[0, 0, 0], [2, 2, 2]],
        "cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
    }
    record |= {
        "energy": -6.8,
        "forces": [0.1, 0, 0, -0.1, 0, 0],
        "stress": stress,
        "band_gap": [1.5],
        "site": [1, 2],
    }
    (tmp_path / "a.json").write_text(json.dumps([record, record]))
    opened = mt.open_dataset(tmp_path / "a.json")
    assert opened.labels(1)["energy"] == -6.8
    assert opened.labels(1)["forces"].tolist() == [[0.1, 0, 0], [-0.1, 0, 0]]
    assert opened.labels(1)["stresses"].tolist() == [0.01, 0.02, 0.03, 0, 0, 0]
    assert opened.frame(1).info["band_gap"] == 1.5
    assert opened.frame(1).arrays["site"].tolist() == [1, 2]
    assert opened.frame(1).pbc.all()


@pytest.mark.parametrize("name", ["md.out", "md.log", "run.txt", "run"])
def test_an_output_of_aims_without_its_first_lines_is_known(name, tmp_path):
    sample = Path(ase.__file__).parent / "test/testdata/aims/md.out"
    if not sample.exists():
        pytest.skip("ASE came without its tests")
    (tmp_path / name).write_bytes(sample.read_bytes())
    assert mt.open_dataset(tmp_path / name).labels(0)["energy"] == pytest.approx(
        -2067.774, abs=1e-3
    )


def test_a_file_without_structures_says_as_what_it_was_read(tmp_path):
    (tmp_path / "a.out").write_text("nothing of use\n")
    with pytest.raises(DataError, match="read as 'espresso-out', it holds no structure"):
        open_frames(tmp_path / "a.out")


def test_json_that_holds_no_structure_is_named(tmp_path):
    path = tmp_path / "a.json"
    for text, words in (
        ("[{}]", "frame 0: has no atomic numbers or no positions, only nothing"),
        ("[1, 2]", "frame 0: no structure that is understood"),
        ("[", "no valid JSON"),
        ("[]", "holds no structure"),
    ):
        path.write_text(text)
        with pytest.raises(DataError) as error:
            open_frames(path)
        assert f"{path}" in str(error.value)
        assert words in str(error.value)


def test_databases_of_ase_keep_their_row_data(copper, tmp_path):
    for name in ("a.db", "b.json"):
        with ase.db.connect(tmp_path / name) as database:
            for atoms in copper(3):
                database.write(atoms, data={"my_energy": 5.0})
    data = mt.open_dataset(tmp_path / "a.db", energy_key="my_energy")
    assert data.labels(2)["energy"] == 5.0
    assert len(mt.open_dataset(tmp_path / "b.json")) == 3


def test_units_that_schnetpack_writes_into_a_database_are_used(tmp_path):
    with ase.db.connect(tmp_path / "md.db") as db:
        db.metadata = {
            "_property_unit_dict": {"energy": "kcal/mol", "forces": "kcal/mol/Ang"},
            "_distance_unit": "Ang",
        }
        data = {"energy": np.array([-100.0]), "forces": np.array([[1.0, 0, 0], [-1.0, 0, 0]])}
        db.write(Atoms("N2", [[0, 0, 0], [1.1, 0, 0]]), data=data)
    labels = mt.open_dataset(tmp_path / "md.db").labels(0)
    kcal = units.kcal / units.mol
    assert labels["energy"] == pytest.approx(-100 * kcal)
    assert labels["forces"][0, 0] == pytest.approx(kcal)
    with ase.db.connect(tmp_path / "md.db") as db:
        db.metadata = {**db.metadata, "_distance_unit": "Bohr"}
    with pytest.raises(DataError, match=r"Set units\.length of the data set to 'Bohr'"):
        mt.open_dataset(tmp_path / "md.db").labels(0)


def test_a_database_is_known_by_its_content(copper, tmp_path):
    ase.io.write(tmp_path / "a.db", copper(3))
    renamed = (tmp_path / "a.db").rename(tmp_path / "rows.sqlite")
    data = mt.open_dataset(renamed)
    assert data.labels(2)["energy"] == copper(3)[2].get_potential_energy()


def test_the_kind_of_cell_of_a_cif_is_no_unit(tmp_path):
    ase.io.write(tmp_path / "a.cif", Atoms("Cu", cell=[3, 3, 3], pbc=True))
    data = mt.open_dataset(tmp_path / "a.cif")
    assert "unit_cell" in data.frame(0).info
    assert data.labels(0) == {}


def test_lmdb_databases_are_read_by_row(copper, tmp_path):
    pytest.importorskip("ase_db_backends")
    for k in range(2):
        with ase.db.connect(tmp_path / f"data.{k:04d}.aselmdb", type="aselmdb") as database:
            for atoms in copper(3, seed=k):
                database.write(atoms, data={"charge": 0})
    data = mt.open_dataset(tmp_path)
    assert len(data) == 6
    assert data.labels(4)["forces"] == pytest.approx(copper(3, seed=1)[1].get_forces())
    assert data.frame(4).info["charge"] == 0


def test_folders_of_deepmd_are_read_with_their_virial_as_stress(tmp_path):
    dpdata = pytest.importorskip("dpdata")
    rng, frames = np.random.default_rng(0), []
    for _ in range(3):
        atoms = Atoms("HOH", rng.normal(size=(3, 3)), cell=[9, 9, 9], pbc=True)
        labels = {"energy": -14.0, "forces": rng.normal(size=(3, 3)), "stress": rng.normal(size=6)}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    system = dpdata.LabeledSystem(frames[0], fmt="ase/structure")
    for atoms in frames[1:]:
        system.append(dpdata.LabeledSystem(atoms, fmt="ase/structure"))
    for kind in ("npy", "raw"):
        system.to(f"deepmd/{kind}", str(tmp_path / "sets" / kind))
        data = mt.open_dataset(tmp_path / "sets" / kind)
        assert len(data) == 3
        digits = 1e-5 if kind == "raw" else 1e-9
        assert data.labels(1)["energy"] == pytest.approx(-14)
        assert data.labels(1)["stresses"] == pytest.approx(frames[1].get_stress(), abs=digits)
    assert len(mt.open_dataset(tmp_path / "sets")) == 6
    (tmp_path / "sets" / "raw" / "type_map.raw").write_text("H Qq")
    with pytest.raises(DataError, match=r"cannot be read as a folder of DeePMD \(KeyError: 'Qq'"):
        mt.open_dataset(tmp_path / "sets" / "raw")


@pytest.mark.parametrize(
    ("module", "name"), [("ase_db_backends", "a.aselmdb"), ("dpdata", "system")]
)
def test_a_package_that_is_missing_is_named(module, name, tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda given: None)
    if name == "system":
        (tmp_path / name).mkdir()
        (tmp_path / name / "type.raw").write_text("0")
    else:
        (tmp_path / name).write_bytes(b"lmdb")
    with pytest.raises(MissingExtraError, match=r"pip install 'mattertune-nb\["):
        open_frames(tmp_path / name)


def test_a_reader_of_another_package_comes_first(tmp_path, monkeypatch):
    """One file and one entry point, as the guide for contributors says."""
    site = tmp_path / "site"
    info = site / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\ndimers = my_dimers:READER\n")
    (site / "my_dimers.py").write_text(
        "from ase import Atoms\n"
        "from mattertune_nb.data.readers.reader import Reader\n"
        "def read(path):\n"
        "    return [Atoms('Cu2', [[0, 0, 0], [0, 0, float(d)]]) for d in path.read_text().split()]\n"
        "READER = Reader('dimers', lambda path, head: path.suffix == '.dimers', read, ('*.dimers',))\n"
    )
    monkeypatch.syspath_prepend(site)
    registry.readers.cache_clear()
    assert "dimers" in {point.name for point in entry_points(group=registry.GROUP)}
    (tmp_path / "a.dimers").write_text("2.1 2.3")
    try:
        assert mt.open_dataset(tmp_path / "a.dimers").frame(1).get_distance(0, 1) == 2.3
        assert len(mt.open_dataset(tmp_path)) == 2, "a folder finds it by its pattern"
    finally:
        registry.readers.cache_clear()


CASES = [
    ("40_chgnet.json", 1),
    ("42_plain_list.json", 1),
    ("43_mattertune_json.json", 6),
]


@pytest.mark.parametrize(("name", "n"), CASES)
def test_shapes_of_public_reports_are_read(name, n, shared_data):
    path = shared_data.parent / "cases" / name
    if not path.is_file():
        pytest.skip("../shared/cases is not there")
    data = mt.open_dataset(path)
    assert len(data) == n
    assert data.labels(0)["energy"] == pytest.approx(-6.8)
    assert data.labels(0)["stresses"][:3] == pytest.approx([0.01, 0.02, 0.03], rel=2e-3)


def test_row_data_of_a_database_are_labels_under_the_names_that_they_have(shared_data):
    path = shared_data.parent / "cases" / "60_row_data.db"
    if not path.is_file():
        pytest.skip("../shared/cases is not there")
    named = mt.open_dataset(path, energy_key="dft_energy", stress_key="dft_stress")
    assert len(named) == 6
    assert named.labels(0)["energy"] == pytest.approx(-6.8)
    assert named.labels(0)["stresses"][:3] == pytest.approx([0.01, 0.02, 0.03])


@pytest.mark.parametrize("name", ["picture.png", "scene.pov", "page.html"])
def test_a_format_that_can_only_be_written_is_named(name, copper, tmp_path):
    ase.io.write(tmp_path / name, copper(1)[0])
    kind = name.split(".")[1]
    with pytest.raises(DataError, match=f"a file of '{kind}' cannot be read back as structures"):
        mt.open_dataset(tmp_path / name)


def test_a_package_that_is_missing_is_named_and_not_the_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    (tmp_path / "run.nc").write_bytes(b"CDF\x01" + bytes(64))
    with pytest.raises(MissingExtraError, match="'netcdftrajectory' needs the package netCDF4"):
        mt.open_dataset(tmp_path / "run.nc", format="netcdftrajectory")


def test_what_is_said_of_another_format_is_no_guess_at_a_cut_off_file(tmp_path):
    (tmp_path / "numbers.cfg").write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"numbers\.cfg: cannot be read as 'cfg' \(\w+.*`format`"):
        mt.open_dataset(tmp_path / "numbers.cfg")
    (tmp_path / "notes.txt").write_text("energies of yesterday\n")
    with pytest.raises(DataError, match=r"notes\.txt: is of no known format"):
        mt.open_dataset(tmp_path / "notes.txt")
