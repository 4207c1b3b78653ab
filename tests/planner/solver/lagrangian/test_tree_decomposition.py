import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solver.lagrangian.tree_decomposition import Network


@st.composite
def sums(draw):
    """Sizes of variables, scopes of tables, and tables of small integers and infinities."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    variables = range(len(sizes))
    scopes = draw(
        st.lists(
            st.lists(st.sampled_from(variables), max_size=3, unique=True).map(tuple), min_size=1, max_size=7
        )
    )
    numbers = st.integers(0, 9).map(float) | st.just(np.inf)
    tables = []
    for scope in scopes:
        shape = [sizes[v] for v in scope]
        count = int(np.prod(shape))
        tables.append(np.array(draw(st.lists(numbers, min_size=count, max_size=count))).reshape(shape))
    return sizes, scopes, tables


@settings(max_examples=200, deadline=None)
@given(sums())
def test_elimination_finds_what_enumeration_finds(drawn):
    sizes, scopes, tables = drawn
    network = Network(sizes, scopes)

    def total(values):
        return sum(
            table[tuple(values[v] for v in scope)] for scope, table in zip(scopes, tables, strict=True)
        )

    every = [(total(values), values) for values in itertools.product(*map(range, sizes))]
    least, values = network.minimise(tables)
    assert least == min(every)[0] == total(values)
    for v, marginal in enumerate(network.marginals(tables)):
        for value in range(sizes[v]):
            assert marginal[value] == min(cost for cost, values in every if values[v] == value)
