"""Every structure comes once an epoch, in an order that seed and epoch fix, also after a resume."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, strategies as st
from torch.utils.data.distributed import DistributedSampler

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.batches.samplers import FrameBatchSampler, frame_loader

SIZES = st.lists(st.integers(1, 60), min_size=4, max_size=60)


def epoch(sampler, number=0):
    sampler.set_epoch(number)
    return list(sampler)


def ranks(replicas, **kwargs):
    return [
        FrameBatchSampler(num_replicas=replicas, rank=rank, **kwargs) for rank in range(replicas)
    ]


def test_without_shuffling_batches_follow_the_data():
    assert list(FrameBatchSampler(5, batch_size=2)) == [[0, 1], [2, 3], [4]]


def test_shuffling_depends_on_seed_and_epoch_alone():
    first, again = (FrameBatchSampler(20, batch_size=4, shuffle=True, seed=1) for _ in range(2))
    other = FrameBatchSampler(20, batch_size=4, shuffle=True, seed=2)
    assert epoch(first, 3) == epoch(again, 3) == epoch(again, 3)
    assert epoch(first, 3) != epoch(first, 4)
    assert epoch(first, 3) != epoch(other, 3)


def test_the_order_is_this_very_one_on_any_machine():
    sampler = FrameBatchSampler(6, batch_size=4, shuffle=True, seed=42)
    assert epoch(sampler, 1) == [[5, 0, 2, 1], [3, 4]]


@given(SIZES, st.integers(1, 80), st.booleans(), st.integers(0, 3))
def test_one_process_sees_each_structure_once_and_no_batch_passes_the_bound(
    sizes, most, shuffle, e
):
    sampler = FrameBatchSampler(len(sizes), n_atoms=sizes, max_atoms=most, shuffle=shuffle)
    batches = epoch(sampler, e)
    assert len(batches) == len(sampler)
    assert sorted(chain(*batches)) == list(range(len(sizes)))
    assert all(len(b) == 1 or sum(sizes[i] for i in b) <= most for b in batches)


@given(SIZES, st.integers(1, 9), st.none() | st.integers(1, 80), st.booleans(), st.integers(2, 4))
def test_an_evaluation_over_processes_sees_each_structure_once(sizes, batch_size, most, shuffle, n):
    kwargs = {"n_atoms": sizes, "max_atoms": most, "batch_size": batch_size, "shuffle": shuffle}
    parts = [epoch(sampler) for sampler in ranks(n, length=len(sizes), **kwargs)]
    assert len({len(part) for part in parts}) == 1  # nobody waits for another
    assert all(batch for part in parts for batch in part)
    assert sorted(i for part in parts for batch in part for i in batch) == list(range(len(sizes)))


@given(
    SIZES, st.integers(1, 9), st.none() | st.integers(1, 80), st.integers(1, 4), st.integers(0, 3)
)
def test_training_over_processes_has_the_same_number_of_batches_each_epoch(sizes, size, most, n, e):
    kwargs = {"n_atoms": sizes, "max_atoms": most, "batch_size": size, "shuffle": True, "pad": True}
    parts = [epoch(sampler, e) for sampler in ranks(n, length=len(sizes), **kwargs)]
    lengths = {len(part) for part in parts} | {
        len(s) for s in ranks(n, length=len(sizes), **kwargs)
    }
    assert len(lengths) == 1
    seen = Counter(i for part in parts for batch in part for i in batch)
    assert set(seen) == set(range(len(sizes)))
    if most is None:
        assert seen.total() - len(sizes) < n  # repeated as torch's DistributedSampler repeats
        assert all(len(batch) <= size for part in parts for batch in part)
    else:
        assert all(len(b) == 1 or sum(sizes[i] for i in b) <= most for part in parts for b in part)


def test_padding_shares_structures_as_torch_does():
    torch_order = [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    ours = [list(chain(*sampler)) for sampler in ranks(2, length=5, batch_size=2, pad=True)]
    assert ours == torch_order


def test_batches_by_atoms_are_few_and_drawn_anew():
    sizes = np.random.RandomState(0).randint(8, 127, 300)
    sampler = FrameBatchSampler(300, n_atoms=sizes, max_atoms=256, shuffle=True)
    assert len(sampler) <= 1.08 * sizes.sum() / 256
    pairs = [
        {frozenset((i, j)) for batch in epoch(sampler, e) for i in batch for j in batch if i < j}
        for e in (0, 1)
    ]
    assert len(pairs[0] & pairs[1]) < 0.1 * len(pairs[0])


def test_too_few_structures_for_the_processes_are_refused():
    with pytest.raises(DataError, match="1 structures cannot be divided among 2 processes"):
        FrameBatchSampler(1, num_replicas=2, rank=0)
    with pytest.raises(DataError, match="0 structures"):
        FrameBatchSampler(0)
    assert list(FrameBatchSampler(1, num_replicas=2, rank=1, pad=True)) == [[0]]


def test_a_bound_on_atoms_needs_their_numbers():
    with pytest.raises(ValueError, match="n_atoms of all 3 structures, got 2"):
        FrameBatchSampler(3, max_atoms=10, n_atoms=[1, 2])


def loader(workers, **kwargs):
    sampler = FrameBatchSampler(10, batch_size=3, shuffle=True, seed=4, **kwargs)
    return frame_loader(range(10), sampler, list, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("drawn", [0, 1, 3])
def test_a_loader_resumes_in_the_middle_of_an_epoch(workers, drawn):
    whole = loader(workers)
    whole.sampler.set_epoch(2)
    batches = iter(whole)
    head = [next(batches) for _ in range(drawn)]
    state = whole.state_dict()
    tail = list(batches)
    whole.sampler.set_epoch(3)
    after = list(whole)
    assert sorted(chain(*head, *tail)) == list(range(10))

    resumed = loader(workers)
    resumed.load_state_dict(state)
    batches = iter(resumed)  # Lightning asks for the iterator first and sets the epoch then
    resumed.sampler.set_epoch(2)
    assert list(batches) == tail
    resumed.sampler.set_epoch(3)
    assert list(resumed) == after


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("exhausted", [False, True])
def test_a_loader_that_stopped_after_an_epoch_goes_on_with_the_next(workers, exhausted):
    whole = loader(workers)
    batches = iter(whole)
    for _ in range(len(whole)):
        next(batches)
    if exhausted:  # the end was also noticed, as by a for loop
        assert next(batches, None) is None
    state = whole.state_dict()
    whole.sampler.set_epoch(1)
    expected = list(whole)

    resumed = loader(workers)
    resumed.load_state_dict(state)
    assert list(resumed) == expected


def test_a_state_of_other_batches_is_refused_within_an_epoch():
    old = FrameBatchSampler(10, batch_size=2)
    batches = iter(old)
    next(batches)
    with pytest.raises(DataError, match="an epoch of 5 batches, but now there are 4"):
        FrameBatchSampler(10, batch_size=3).load_state_dict(old.state_dict())
    list(batches)
    new = FrameBatchSampler(10, batch_size=3)
    new.load_state_dict(old.state_dict())  # at the end of an epoch nothing is left to go on with
    assert len(list(new)) == 4
