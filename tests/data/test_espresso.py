"""Outputs of Quantum ESPRESSO whose electronic steps did not converge are not taken in silence."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError

HEAD = """
     Program PWSCF v.7.2 starts on 11Nov2026 at 10: 0: 0

     This program is part of the open-source Quantum ESPRESSO suite

     bravais-lattice index     =            0
     lattice parameter (alat)  =      10.2612  a.u.
     unit-cell volume          =     270.1072 (a.u.)^3
     number of atoms/cell      =            2
     number of atomic types    =            1

     celldm(1)=  10.261212  celldm(2)=   0.000000  celldm(3)=   0.000000
     celldm(4)=   0.000000  celldm(5)=   0.000000  celldm(6)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   0.000000   0.500000   0.500000 )
               a(2) = (   0.500000   0.000000   0.500000 )
               a(3) = (   0.500000   0.500000   0.000000 )

     reciprocal axes: (cart. coord. in units 2 pi/alat)
               b(1) = ( -1.000000  1.000000  1.000000 )
               b(2) = (  1.000000 -1.000000  1.000000 )
               b(3) = (  1.000000  1.000000 -1.000000 )

     atomic species   valence    mass     pseudopotential
        Si             4.00    28.08550     Si( 1.00)

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Si  tau(   1) = (   0.0100000   0.0000000   0.0000000  )
         2           Si  tau(   2) = (   0.2500000   0.2500000   0.2500000  )

     number of k points=     1
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000

     Self-consistent Calculation
"""
BANDS = """
     iteration # {n:>2}     ecut=    30.00 Ry     beta= 0.70
     Davidson diagonalization with overlap
     ethr =  1.00E-02,  avg # of iterations =  2.0

     total cpu time spent up to now is        0.3 secs

     End of self-consistent calculation

          k = 0.0000 0.0000 0.0000 (   283 PWs)   bands (ev):

    -5.6039   4.6467   5.9568   5.9568

     highest occupied level (ev):     5.9568
"""
ENERGY = """
!    total energy              =     {energy:.8f} Ry
     estimated scf accuracy    <          4.8E-09 Ry

     convergence has been achieved in  11 iterations
"""
NO_ENERGY = """
     total energy              =     {energy:.8f} Ry
     estimated scf accuracy    <       0.03110000 Ry

     convergence NOT achieved after 100 iterations: stopping
"""
FORCES = """
     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =    -0.00123000    0.00045600    0.00000000
     atom    2 type  1   force =     0.00123000   -0.00045600    0.00000000

     Total force =     0.017000     Total SCF correction =     0.000001
"""
NEXT = """
ATOMIC_POSITIONS (alat)
Si               0.0{n:02d}0000000        0.0000000000        0.0000000000
Si               0.2500000000        0.2500000000        0.2500000000
"""


def output(*steps: bool | None, stops: bool = False) -> str:
    """Return an output of a step for each that did converge or not; None repeats the positions alone."""
    text = HEAD
    for n, converged in enumerate(steps, start=1):
        if n > 1:
            text += NEXT.format(n=n)
        if converged is None:
            continue
        text += BANDS.format(n=n) + (ENERGY if converged else NO_ENERGY).format(energy=-15.79 - n)
        if converged or not stops:  # with scf_must_converge = .false. it goes on
            text += FORCES
    return text


def test_a_converged_relaxation_is_read(tmp_path):
    (tmp_path / "relax.out").write_text(output(True, True, None))
    data = mt.open_dataset(tmp_path / "relax.out")
    assert len(data) == 2
    labels = data.labels(1)
    assert labels["energy"] == pytest.approx(-17.79 * units.Ry, abs=1e-3)
    np.testing.assert_allclose(labels["forces"][0, 0], -0.00123 * units.Ry / units.Bohr, rtol=1e-4)


@pytest.mark.parametrize("name", ["relax.out", "relax.pwo", "md.log"])
@pytest.mark.parametrize(
    ("steps", "stops", "bad"),
    [((True, False, True, None), False, 1), ((True, True, False), True, 2)],
)
def test_steps_that_did_not_converge_are_refused_or_left_out(tmp_path, steps, stops, bad, name):
    path = tmp_path / name
    path.write_text(output(*steps, stops=stops))
    with pytest.raises(DataError, match=rf"1 of 3 frames did not converge \(frame {bad}\)"):
        mt.open_dataset(path)
    with pytest.warns(UserWarning, match="are left out"):
        rest = mt.open_dataset(path, unconverged="skip")
    assert rest.indices.tolist() == [i for i in range(3) if i != bad]
    assert len(mt.open_dataset(path, unconverged="keep")) == 3


def test_outputs_joined_into_one_keep_their_own_steps(tmp_path):
    path = tmp_path / "both.out"
    path.write_text(output(True) + output(False, stops=True) + output(True))
    with pytest.raises(DataError, match=r"1 of 3 frames did not converge \(frame 1\)"):
        mt.open_dataset(path)


def test_a_folder_of_outputs_is_known_by_their_content(tmp_path):
    folder = tmp_path / "runs"
    for i in range(3):
        (folder / f"{i}").mkdir(parents=True)
        (folder / f"{i}" / "pw.log").write_text(output(True))
        (folder / f"{i}" / "notes.txt").write_text("beside it\n")
    assert len(mt.open_dataset(folder)) == 3
    for path in folder.rglob("pw.log"):
        path.unlink()
    with pytest.raises(DataError, match=r"no file of structures by name or content; a pattern"):
        mt.open_dataset(folder)
