"""Files of the kinds that public reports describe: each check ends, with findings or in words."""

from __future__ import annotations

import contextlib

import pytest

import mattertune_nb as mt
from mattertune_nb.doctor.check import findings_of, look_at


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_file_ends_a_check_with_an_error_that_is_not_ours(untuned, shared_data):
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("../shared/cases is not there")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        with contextlib.suppress(mt.MatterTuneError):
            data = mt.open_dataset(path)
            for model in (None, untuned):
                findings_of(look_at(data, model))
