from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.lower_envelope import CostLine, lower_envelope
from planner.comparison.plan_selection import Selection, select_plans, simulate

numbers = st.floats(0.01, 10)


@st.composite
def envelopes(draw):
    lines = [CostLine(draw(numbers), draw(numbers), i) for i in range(draw(st.integers(1, 7)))]
    found = lower_envelope(lambda x: min(lines, key=lambda line: (line.at(x), line.slope)), 0.01, 100)
    return lines, [piece.line for piece in found]


@st.composite
def occurrences(draw):
    values = draw(st.lists(st.floats(0.01, 100), min_size=1, max_size=12))
    weights = [draw(numbers) for _ in values]
    return BandwidthDistribution(tuple(values), tuple(w / sum(weights) for w in weights), "")


def mean_of(lines, occurrence) -> float:
    pairs = zip(occurrence.values, occurrence.shares, strict=True)
    return sum(share * min(line.at(1 / value) for line in lines) for value, share in pairs)


@given(envelopes(), occurrences(), st.integers(1, 4))
def test_no_other_few_plans_have_a_smaller_mean(drawn, occurrence, most):
    lines, envelope = drawn
    found = select_plans(envelope, occurrence, most)
    best = min(mean_of(few, occurrence) for k in range(1, most + 1) for few in combinations(lines, k))
    assert 1 <= len(found.lines) <= most
    assert found.mean == pytest.approx(best, rel=1e-5)  # near ties, the envelope keeps one line of two
    assert found.mean == pytest.approx(mean_of(found.lines, occurrence))
    assert found.free == pytest.approx(mean_of(lines, occurrence), rel=1e-5)


@given(envelopes(), occurrences(), st.integers(1, 4))
def test_without_a_margin_the_best_plan_always_runs(drawn, occurrence, most):
    found = select_plans(drawn[1], occurrence, most)
    assert simulate(found, occurrence, 0.0)[0] == pytest.approx(found.mean)


TWO = Selection((CostLine(1.0, 10.0, 0), CostLine(6.0, 1.0, 1)), (5 / 9,), 0.0, 0.0)


def trace(*values: float) -> BandwidthDistribution:
    return BandwidthDistribution(values, (1 / len(values),) * len(values), "", in_time=True)


def test_a_margin_keeps_a_runtime_from_flapping():
    flapping = trace(*[1.7, 1.9] * 10)  # around 9 / 5
    assert simulate(TWO, flapping, 0.0)[1] == 19
    assert simulate(TWO, flapping, 0.2)[1] == 0
    assert simulate(TWO, trace(1.7, 1.9, 4.0, 1.9, 0.5), 0.2)[1] == 2


@given(occurrences(), st.floats(0, 1))
def test_a_margin_never_makes_it_faster(occurrence, margin):
    free, changes = simulate(TWO, occurrence, 0.0)
    held, fewer = simulate(TWO, occurrence, margin)
    assert held >= free * (1 - 1e-12)
    assert fewer <= changes
