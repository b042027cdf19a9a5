"""Outputs of VASP are taken where they are of one calculation and its electrons converged."""

from __future__ import annotations

import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, DataError

SAMPLES = Path(ase.__file__).parent / "test/testdata/vasp"
OUTCAR, VASPRUN = SAMPLES / "OUTCAR_example_1", SAMPLES / "vasprun_pstress.xml"
REACHED = "aborting loop because EDIFF is reached"

if not OUTCAR.is_file():
    pytest.skip("this ASE comes without its samples", allow_module_level=True)


def outcar_of(*endings: str) -> str:
    """Return an OUTCAR of a step for each of some endings of its electronic loop."""
    text = OUTCAR.read_text()
    begin = re.search(r"-{30,} Iteration +1\( +1\)", text).start()
    loop = text[begin:]
    assert loop.count(REACHED) == 1
    return text[:begin] + "".join(
        re.sub(r"Iteration +1\(", f"Iteration {i:4d}(", loop).replace(REACHED, ending)
        for i, ending in enumerate(endings, start=1)
    )


def vasprun_of(*n_steps: int, most: int = 10) -> str:
    """Return a vasprun.xml of an ionic step for each of some numbers of electronic steps."""
    text = VASPRUN.read_text()
    begin, end = text.index("<calculation>"), text.index("</calculation>") + len("</calculation>")
    step = text[begin:end]
    first = step.index("<scstep>")
    one = step[first : step.index("</scstep>") + len("</scstep>")]
    after = step[step.rindex("</scstep>") + len("</scstep>") :]
    steps = [step[:first] + one * n + after for n in n_steps]
    head = re.sub(r'name="NELM">\s*\d+', f'name="NELM"> {most}', text[:begin])
    return head + "\n".join(steps) + text[end:]


@pytest.mark.parametrize("sample", [OUTCAR, VASPRUN], ids=["OUTCAR", "vasprun"])
@pytest.mark.parametrize("name", [None, "calculation.out", "md.xml", "data.txt"])
def test_a_calculation_is_read_under_any_name(sample, name, tmp_path):
    path = sample
    if name is not None:
        path = tmp_path / name
        path.write_bytes(sample.read_bytes())
    fmt = "vasp-out" if sample is OUTCAR else "vasp-xml"
    expected = ase.io.read(sample, format=fmt)
    labels = mt.open_dataset(path).labels(0)
    assert labels["energy"] == expected.get_potential_energy()
    np.testing.assert_array_equal(labels["forces"], expected.calc.results["forces"])


@pytest.mark.parametrize("text", [outcar_of(REACHED), vasprun_of(4)], ids=["OUTCAR", "vasprun"])
def test_joined_outputs_are_refused(text, tmp_path):
    (tmp_path / "joined").write_text(text * 3)
    with pytest.raises(
        DataError, match=r"joined: holds 3 outputs of VASP, joined.* file of its own"
    ):
        mt.open_dataset(tmp_path / "joined")
    for i in range(3):
        (tmp_path / "apart").mkdir(exist_ok=True)
        (tmp_path / "apart" / f"{i}.OUTCAR").write_text(text)
    assert len(mt.open_dataset(tmp_path / "apart")) == 3


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        (outcar_of(REACHED, "aborting loop EDIFF was not reached (unconverged)", REACHED), [1]),
        # VASP 5 says nothing where the steps were not enough
        (outcar_of("", REACHED).replace("NELM   =    120", "NELM   =     34"), [0]),
        (outcar_of("", REACHED), []),
        (vasprun_of(4, 10, 9), [1]),
        (vasprun_of(10, 3, 12), [0, 2]),
        (vasprun_of(4, 9), []),
    ],
    ids=["VASP 6", "VASP 5", "VASP 5 within its steps", "vasprun", "two of three", "none"],
)
def test_steps_that_did_not_converge_are_refused_left_out_or_kept(text, bad, tmp_path):
    path = tmp_path / "run"
    path.write_text(text)
    everything = mt.open_dataset(path, unconverged="keep")
    n = len(everything)
    assert n == len(ase.io.read(path, ":", format=_format(text)))
    if not bad:
        assert len(mt.open_dataset(path)) == n
        return
    with pytest.raises(DataError, match=rf"electrons of {len(bad)} of {n} frames .*frame {bad[0]}"):
        mt.open_dataset(path)
    with pytest.warns(UserWarning, match=f"{len(bad)} of {n} frames did not converge"):
        rest = mt.open_dataset(path, unconverged="skip")
    assert rest.indices.tolist() == [i for i in range(n) if i not in bad]
    good = next(i for i in range(n) if i not in bad)
    assert len(mt.open_dataset(path, index=f"{good}:{good + 1}")) == 1
    with pytest.raises(DataError, match="did not converge"):
        mt.open_dataset(path, index=f"{bad[0]}:{bad[0] + 1}", unconverged="skip")


def _format(text: str) -> str:
    return "vasp-xml" if text.startswith("<?xml") else "vasp-out"


def test_of_several_calculations_the_file_is_named(tmp_path):
    for name, steps in (("a.xml", (4, 10)), ("b.xml", (4, 4))):
        (tmp_path / name).write_text(vasprun_of(*steps))
    with pytest.raises(DataError, match=r"of 1 of 4 frames did not converge \(.*a\.xml, frame 1\)"):
        mt.open_dataset(tmp_path / "*.xml")
    with pytest.warns(UserWarning, match="left out"):
        assert len(mt.open_dataset(tmp_path / "*.xml", unconverged="skip")) == 3


def test_electronic_steps_of_a_response_are_not_those_of_the_frame():
    assert len(mt.open_dataset(SAMPLES / "vasprun_dfpt.xml")) == 1


def test_a_setting_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="unconverged"):
        mt.XYZDatasetConfig(src="OUTCAR", unconverged="ignore")
