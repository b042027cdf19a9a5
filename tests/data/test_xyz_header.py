"""Headers that ASE refuses, or reads as something else, give the crystal and the stress that they say."""

from __future__ import annotations

import numpy as np
import pytest

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.labels.reading import read_labels
from mattertune_nb.data.xyz.file import IndexedXYZ

CELL = "4.1 0 0 0.3 4.2 0 0 0.2 4.3"
VOIGT = [0.01, 0.02, 0.03, 0.003, 0.002, 0.001]


def frame(tmp_path, header):
    path = tmp_path / "a.xyz"
    path.write_text(f"2\n{header}\nNa 0 0 0\nCl 2 2 2\n")
    return IndexedXYZ(path)[0]


@pytest.mark.parametrize(
    "cell",
    [
        f'Lattice="{CELL}"',
        f'lattice="{CELL}"',
        f'cell="{CELL}" pbc="T T T"',
        f'unit_cell="{CELL}"',
        "Lattice=[[4.1,0,0],[0.3,4.2,0],[0,0.2,4.3]]",
        'Lattice="4.1D+00 0 0 0.3 4.2 0 0 0.2 4.3"',
    ],
)
def test_a_cell_under_any_name_makes_a_crystal(tmp_path, cell):
    atoms = frame(tmp_path, f"{cell} Properties=species:S:1:pos:R:3 energy=-6.8")
    np.testing.assert_allclose(atoms.cell.array, [[4.1, 0, 0], [0.3, 4.2, 0], [0, 0.2, 4.3]])
    assert atoms.pbc.all()


@pytest.mark.parametrize("cell", ['Lattice="4.1 4.2 4.3"', 'cell="4.1 4.2 4.3 90 90 90"'])
def test_a_cell_of_other_numbers_is_refused_with_them(tmp_path, cell):
    with pytest.raises(
        DataError, match=r"the cell .*4\.1, 4\.2, 4\.3.* expected nine numbers"
    ) as error:
        frame(tmp_path, f"{cell} Properties=species:S:1:pos:R:3 energy=-6.8")
    assert "truncated" not in str(error.value)


@pytest.mark.parametrize(
    "stress",
    [
        'stress="0.01 0.02 0.03 0.003 0.002 0.001"',
        'stress="0.01 0.001 0.002 0.001 0.02 0.003 0.002 0.003 0.03"',
        "stress=[[0.01,0.001,0.002],[0.001,0.02,0.003],[0.002,0.003,0.03]]",
        'stress="0.01 0.002 0.002 0.0 0.02 0.003 0.002 0.003 0.03"',  # averaged
    ],
)
def test_a_stress_has_six_numbers_whatever_it_is_written_as(tmp_path, stress):
    atoms = frame(tmp_path, f'Lattice="{CELL}" {stress}')
    np.testing.assert_allclose(read_labels(atoms)["stresses"], VOIGT)


def test_names_of_other_things_are_left_alone(tmp_path):
    atoms = frame(tmp_path, f'Lattice="{CELL}" cell=primitive box_label=3 dft_stress="1 2 3 4 5 6"')
    assert atoms.info["cell"] == "primitive"
    assert atoms.info["dft_stress"].tolist() == [1, 2, 3, 4, 5, 6]
