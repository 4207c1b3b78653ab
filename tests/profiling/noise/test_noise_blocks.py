"""Blocks keep a budget that does not grow with the number of units, and every change is followed once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.noise.block_end import PARTS
from profiling.noise.noise_blocks import FollowedChanges, RunBudget, blocks_within


@st.composite
def followed(draw) -> FollowedChanges:
    units = draw(st.integers(1, 40))
    work = draw(st.lists(st.sampled_from([0.0, 1.0, 3.0, 50.0]), min_size=units, max_size=units))
    crossing = draw(st.lists(st.integers(1, 4), min_size=units, max_size=units))
    places = draw(st.lists(st.integers(0, units), min_size=1, max_size=60))
    return FollowedChanges(tuple(work), tuple(crossing), tuple(places))


def runs_counted(changes: FollowedChanges, ends: tuple[int, ...]) -> float:
    """Count unit by unit what runs how often."""
    times = np.zeros(len(changes.work))
    for place in changes.places:
        end = min(end for end in ends if end >= place)
        times[place:end] += 1
    start = 0
    for end in ends[:-1]:
        times[start:end] += 1
        times[end:] += PARTS * changes.crossing[end]
        start = end
    return float(times @ changes.work) / sum(changes.work)


@given(followed(), st.floats(0.5, 40))
def test_blocks_keep_the_budget_or_cost_the_least(changes, budget):
    ends = blocks_within(changes, budget)
    assert ends[-1] == len(changes.work)
    assert list(ends) == sorted(set(ends))
    assert ends[0] > 0
    runs = changes.runs(ends)
    if sum(changes.work):
        assert runs == pytest.approx(runs_counted(changes, ends))
    candidates = [changes.equal_blocks(count) for count in range(1, changes.most_blocks + 1)]
    assert ends in candidates
    assert runs <= budget or runs == min(map(changes.runs, candidates))


@given(followed())
def test_changes_are_followed_to_the_outputs_where_the_budget_allows_it(changes):
    whole = (len(changes.work),)
    assert blocks_within(changes, changes.runs(whole) + 1e-9) == whole


@pytest.mark.parametrize("units", [50, 300, 1000, 2000])
def test_runs_grow_with_the_root_of_the_number_of_units(units):
    changes = FollowedChanges((1.0,) * units, (1,) * units, tuple(range(units)) * 2)
    runs = changes.runs(blocks_within(changes, 1.0))
    assert runs <= np.sqrt(PARTS * 2 * units) + 1
    assert changes.runs((units,)) == pytest.approx(units + 1)


def test_blocks_end_where_the_fewest_tensors_cross():
    crossing = tuple(1 if number % 5 == 0 else 3 for number in range(40))
    changes = FollowedChanges((1.0,) * 40, crossing, tuple(range(40)))
    assert changes.equal_blocks(4) == (10, 20, 30, 40)
    assert {crossing[end] for end in changes.equal_blocks(3)[:-1]} == {1}


def test_a_small_model_may_run_more_often():
    budget = RunBudget(runs=100, multiplications=1e12)
    assert [budget.runs_per_sample(work, 4) for work in (1e12, 1e10, 1e9, 0.0)] == [25, 25, 250, 2.5e11]
