"""Reference energies: exact where the data allow, robust, of least norm, and honest outside."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.model.references import (
    N_ELEMENTS,
    fit_references,
    outside_span,
    read_references,
)

H, LI, O = 1, 3, 8  # noqa: E741  the symbol of oxygen


def composition(**counts: int) -> np.ndarray:
    row = np.zeros(N_ELEMENTS, dtype=np.int64)
    for symbol, n in counts.items():
        row[{"H": H, "Li": LI, "O": O}[symbol]] = n
    return row


def test_exact_offsets_are_found_again():
    truth = np.zeros(N_ELEMENTS)
    truth[[H, LI, O]] = -13.6, -203.5, -2041.8
    counts = np.stack(
        [composition(H=h, Li=li, O=o) for h, li, o in [(2, 0, 1), (4, 1, 2), (1, 5, 3)]]
    )
    references, span = fit_references(counts, counts @ truth)
    assert references == pytest.approx(truth, abs=1e-6)
    assert len(span) == 3


@pytest.mark.parametrize("distance", [3.0, 1e3, 1e6])
def test_a_few_frames_far_off_do_not_bend_the_fit_however_far(distance):
    rng = np.random.default_rng(0)
    counts = np.stack([composition(Li=int(a), O=int(b)) for a, b in rng.integers(1, 9, (60, 2))])
    truth = np.zeros(N_ELEMENTS)
    truth[[LI, O]] = 0.3, -0.7
    noise = 0.005 * rng.normal(size=60) * counts.sum(axis=1)
    noise[:4] += distance * counts.sum(axis=1)[:4]
    references, _ = fit_references(counts, counts @ truth + noise)
    assert references[[LI, O]] == pytest.approx([0.3, -0.7], abs=0.02)


def test_one_ratio_of_elements_gives_the_least_norm_and_a_warning_outside_of_it():
    counts = np.stack([composition(H=2 * n, O=n) for n in (1, 2, 64)])
    references, span = fit_references(counts, counts @ np.eye(N_ELEMENTS)[O] * -468.0)
    # one equation, 2 h + o = -468, solved by the shortest (h, o)
    assert references[[H, O]] == pytest.approx([-468 * 2 / 5, -468 / 5])
    assert outside_span(
        np.stack([composition(H=4, O=2), composition(H=3, O=1)]), span
    ).tolist() == [
        False,
        True,
    ]


def test_large_energies_keep_their_digits():
    counts = np.stack([composition(H=128, O=64)] * 3)
    labels = np.array([-30010.46073064, -30010.46073164, -30010.46072964])
    references, _ = fit_references(counts, labels)
    assert counts[0] @ references == pytest.approx(-30010.46073064, abs=1e-6)


def test_many_frames_of_few_elements_take_little_memory_and_give_the_same():
    rng = np.random.default_rng(0)
    dense = np.zeros((50_000, N_ELEMENTS), dtype=np.int64)
    dense[:, [H, LI, O]] = rng.integers(1, 9, (50_000, 3))
    labels = dense @ rng.normal(size=N_ELEMENTS) + rng.normal(size=50_000)
    sparse = csr_array(dense)
    tracemalloc.start()
    references, span = fit_references(sparse, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < dense.nbytes / 2  # 119 numbers per frame would take all of it several times
    of_dense, span_of_dense = fit_references(dense, labels)
    assert np.array_equal(references, of_dense)
    assert np.array_equal(span, span_of_dense)


def test_a_file_of_references_is_checked(tmp_path):
    path = tmp_path / "refs.json"
    path.write_text('{"H": -13.6, "O": -2041.8}')
    assert read_references(path) == {"H": -13.6, "O": -2041.8}
    path.write_text('{"Hx": -13.6}')
    with pytest.raises(ConfigError, match="'Hx' is not an element"):
        read_references(path)
