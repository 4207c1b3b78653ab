"""Options that a bound keeps."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.solver.lagrangian.kept_options import options_within

COSTS = st.one_of(st.integers(0, 9).map(float), st.just(float("inf")))
ROWS = st.lists(st.lists(COSTS, min_size=1, max_size=3).map(np.array), min_size=1, max_size=3)


@given(ROWS, COSTS)
def test_every_choice_is_kept_or_bounded_by_what_is_left_out(rows, reach):
    kept = options_within(rows, reach)
    assert kept.count == sum(len(options) for options in kept.options)
    for choice in product(*(range(len(row)) for row in rows)):
        # No plan with some options is below the greatest of their bounds.
        bound = max(row[o] for row, o in zip(rows, choice, strict=True))
        is_kept = all(o in options for options, o in zip(kept.options, choice, strict=True))
        assert is_kept == (bound <= reach)
        assert is_kept or bound >= kept.bound_of_rest
    assert kept.bound_of_rest > reach or kept.bound_of_rest == float("inf")


def test_an_option_whose_bound_differs_in_the_last_digits_is_kept():
    assert options_within([np.array([1.0 + 1e-15, 1.0001])], 1.0).options == ((0,),)
