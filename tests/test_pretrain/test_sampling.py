"""Keyed randomness: the same data for any number of workers and ranks, and after a resume."""

import pickle
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.engine.sampling import Draw, KeyedDataset, KeyedSampler, generator


def sampler(size, batch, seed=0, rank=0, world=1):
    made = KeyedSampler(range(size), batch, seed)
    made.rank, made.world_size = rank, world
    return made


def stream(made, count):
    return [(int(draw), draw.draw) for draw in islice(iter(made), count)]


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 17),
    batch=st.sampled_from([4, 8, 12]),
    world=st.sampled_from([1, 2, 4]),
    steps=st.integers(1, 6),
)
def test_ranks_share_the_global_batches_of_one_process(size, batch, world, steps):
    alone = stream(sampler(size, batch), steps * batch)
    part = batch // world
    ranks = [stream(sampler(size, part, rank=rank, world=world), steps * part) for rank in range(world)]
    for step in range(steps):
        together = [entry for rank in ranks for entry in rank[step * part : (step + 1) * part]]
        assert together == alone[step * batch : (step + 1) * batch]


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 13), passes=st.integers(1, 4), seed=st.integers(0, 5))
def test_every_pass_sees_every_sample_once(size, passes, seed):
    found = stream(sampler(size, 1, seed), size * passes)
    for number in range(passes):
        part = found[number * size : (number + 1) * size]
        assert sorted(index for index, _ in part) == list(range(size))
        assert {draw for _, draw in part} == {number}


@given(steps=st.integers(0, 9))
def test_skipping_goes_on_where_the_run_stopped(steps):
    whole = stream(sampler(7, 3), 60)
    resumed = sampler(7, 3)
    resumed.skip(steps * 3)
    assert stream(resumed, 30) == whole[steps * 3 : steps * 3 + 30]


def test_seeds_and_draws_differ():
    assert stream(sampler(50, 1, seed=0), 50) != stream(sampler(50, 1, seed=1), 50)
    first, second = stream(sampler(50, 1), 100)[:50], stream(sampler(50, 1), 100)[50:]
    assert [index for index, _ in first] != [index for index, _ in second]
    values = {generator(seed, Draw(3, draw)).integers(2**60) for seed in (0, 1) for draw in (0, 1)}
    assert len(values) == 4


def test_a_draw_travels_to_a_worker():
    draw = pickle.loads(pickle.dumps(Draw(5, 2)))
    assert (draw, draw.draw) == (5, 2)


class Noise:
    """A data set whose transform draws from NumPy's global generator, as mm* transforms do."""

    metainfo = None

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index, np.random.rand()


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_a_wrapped_data_set_draws_by_sample_not_by_order(order):
    wrapped = KeyedDataset(Noise(), seed=3)
    found = {index: wrapped[Draw(index, 1)] for index in order}
    assert found == {index: wrapped[Draw(index, 1)] for index in (1, 0, 2)}
    assert wrapped[Draw(0, 0)] != wrapped[Draw(0, 1)]
