"""The lower envelope against a dense sweep, and how few times it asks."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.comparison.lower_envelope import CostLine, lower_envelope

LINES = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda p: (p[0] / 10, p[1] / 10)),
    min_size=1,
    max_size=30,
    unique=True,
)


@settings(max_examples=300, deadline=None)
@given(LINES, st.integers(1, 50), st.integers(1, 400))
def test_every_breakpoint_is_found_and_nothing_else(pairs, low, width):
    lines = [CostLine(a, b, number) for number, (a, b) in enumerate(pairs)]
    asked = []

    def best(x):
        asked.append(x)
        return min(lines, key=lambda line: line.at(x))

    low, high = low / 100, (low + width) / 100
    pieces = lower_envelope(best, low, high)
    assert pieces[0].low == low
    assert pieces[-1].high == high
    assert all(a.high == b.low for a, b in pairwise(pieces))
    assert all(a.line.slope > b.line.slope for a, b in pairwise(pieces))
    for x in np.linspace(low, high, 200):
        own = next(piece for piece in pieces if x <= piece.high * (1 + 1e-12))
        least = min(line.at(x) for line in lines)
        assert own.line.at(x) <= least * (1 + 3e-6) + 1e-12
    assert len(asked) <= 2 + 3 * (len(pieces) - 1)


def test_lines_that_meet_in_one_point_are_no_pieces_of_their_own():
    lines = [CostLine(0.0, 2.0, "steep"), CostLine(1.0, 1.0, "middle"), CostLine(2.0, 0.0, "flat")]
    pieces = lower_envelope(lambda x: min(lines, key=lambda line: line.at(x)), 0.0, 4.0)
    assert [piece.line.plan for piece in pieces] in (["steep", "flat"], ["steep", "middle", "flat"])
    assert pieces[-1].low == 1.0
