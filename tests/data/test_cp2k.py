"""CP2K: a trajectory of positions beside one of forces, and the output of a single point."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError

POSITIONS = """       2
 i =        0, time =        0.000, E =        -1.1000000000
  H         0.0000000000        0.0000000000        0.0000000000
  H         0.0000000000        0.0000000000        0.7400000000
       2
 i =        5, time =        2.500, E =        -1.0900000000
  H         0.0000000000        0.0000000000        0.0000000000
  H         0.0000000000        0.0000000000        0.7800000000
"""
FORCES = POSITIONS.replace("0.7400000000", "0.0100000000").replace("0.7800000000", "0.0300000000")
CELL = """#   Step   Time [fs]  Ax [Angstrom] Ay Az Bx By Bz Cx Cy Cz  Volume [Angstrom^3]
0 0.000 5.0 0.0 0.0 0.0 6.0 0.0 0.0 0.0 7.0 210.0
5 2.500 5.1 0.0 0.0 0.0 6.0 0.0 0.0 0.0 7.0 214.2
"""
OUTPUT = """ DBCSR| Multiplication driver                                               XSMM

 CP2K| version string:                                          CP2K version 2025.1

 GLOBAL| Run type                                                   ENERGY_FORCE

 CELL| Vector a [angstrom]:       5.000     0.000     0.000    |a| =       5.000
 CELL| Vector b [angstrom]:       0.000     6.000     0.000    |b| =       6.000
 CELL| Vector c [angstrom]:       0.000     0.000     7.000    |c| =       7.000

  1. Atomic kind: H                                     Number of atoms:       2

 *** SCF run converged in     1 steps ***

 MODULE QUICKSTEP:  ATOMIC COORDINATES IN angstrom

  Atom  Kind  Element       X           Y           Z          Z(eff)       Mass

       1     1 H    1    0.000000    0.000000    0.000000      1.00       1.0079
       2     1 H    1    0.000000    0.000000    0.740000      1.00       1.0079

 ENERGY| Total FORCE_EVAL ( QS ) energy [hartree] -1.1

 FORCES| Atomic forces [hartree/bohr]

 FORCES| Atom x y z |f|

 FORCES| 1 0.0 0.0 -1.0E-02 1.0E-02
 FORCES| 2 0.0 0.0 1.0E-02 1.0E-02

 STRESS TENSOR [GPa]

            X               Y               Z
  X       1.60217663      0.00000000      0.00000000
  Y       0.00000000      0.00000000      0.00000000
  Z       0.00000000      0.00000000      0.00000000

"""


@pytest.fixture
def folder(tmp_path):
    for name, text in (
        ("h2-pos-1.xyz", POSITIONS),
        ("h2-frc-1.xyz", FORCES),
        ("h2-1.cell", CELL),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_positions_and_forces_of_a_trajectory_are_one_set(folder):
    for src in (folder / "h2-pos-1.xyz", folder):
        data = mt.open_dataset(src)
        assert len(data) == 2
        labels = data.labels(1)
        assert labels["energy"] == pytest.approx(-1.09 * units.Hartree)
        assert labels["forces"][1, 2] == pytest.approx(0.03 * units.Hartree / units.Bohr)
        frame = data.frame(1)
        np.testing.assert_allclose(frame.cell.lengths(), [5.1, 6, 7])
        assert frame.pbc.all()
        assert frame.positions[1, 2] == 0.78


def test_a_cell_that_stays_is_that_of_the_output(folder):
    (folder / "h2-1.cell").unlink()
    with pytest.raises(DataError, match="its cell is in no file beside it"):
        mt.open_dataset(folder / "h2-pos-1.xyz")
    (folder / "cp2k.log").write_text(OUTPUT.replace("ENERGY_FORCE", "          MD"))
    frame = mt.open_dataset(folder / "h2-pos-1.xyz").frame(1)
    np.testing.assert_allclose(frame.cell.lengths(), [5, 6, 7])


def test_what_does_not_belong_together_is_refused(folder):
    with pytest.raises(DataError, match="holds forces of CP2K"):
        mt.open_dataset(folder / "h2-frc-1.xyz")
    (folder / "h2-frc-1.xyz").write_text(FORCES.replace("i =        5", "i =       10"))
    with pytest.raises(DataError, match="positions are of step 5 and forces of step 10"):
        mt.open_dataset(folder / "h2-pos-1.xyz").frame(1)
    (folder / "h2-frc-1.xyz").write_text(FORCES[: len(FORCES) // 2])
    with pytest.raises(DataError, match=r"has 2 frames and h2-frc-1\.xyz has 1"):
        mt.open_dataset(folder / "h2-pos-1.xyz")
    (folder / "h2-frc-1.xyz").unlink()
    with pytest.raises(DataError, match=r"h2-frc-1\.xyz is not beside it"):
        mt.open_dataset(folder / "h2-pos-1.xyz")


def test_an_output_of_a_single_point(tmp_path):
    pytest.importorskip("dpdata", reason="pip install 'mattertune-nb[dpdata]'")
    (tmp_path / "job.out").write_text(OUTPUT)
    labels = mt.open_dataset(tmp_path / "job.out").labels(0)
    assert labels["energy"] == pytest.approx(-1.1 * units.Hartree)
    assert labels["forces"][1, 2] == pytest.approx(0.01 * units.Hartree / units.Bohr)
    # CP2K's stress is positive under compression, ASE's under tension
    np.testing.assert_allclose(labels["stresses"], [-0.01, 0, 0, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("ENERGY_FORCE", "          MD", "type MD, which holds no positions"),
        ("SCF run converged", "SCF run NOT converged", "no SCF run converged"),
    ],
)
def test_an_output_that_gives_no_labels_is_refused(tmp_path, old, new, told):
    (tmp_path / "job.out").write_text(OUTPUT.replace(old, new))
    with pytest.raises(DataError, match=told):
        mt.open_dataset(tmp_path / "job.out")
