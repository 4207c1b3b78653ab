import numpy as np
import pytest

from planner.solver.lagrangian.table_stack import stacked

TABLES = [
    ((np.array([[1.0], [2.0]]), np.array([[4.0, 0.0]])), (np.array([[0.5], [9.0]]), np.array([[1.0, 1.0]]))),
    ((np.array([3.0, np.inf]), np.array([1.0, 2.0])),),
    ((np.array([[5.0], [6.0]]), np.array([[7.0, 8.0]])), (np.array([[7.0], [1.0]]), np.array([[0.0, 3.0]]))),
]


def test_tables_of_equal_shape_are_weighed_as_each_alone_by_its_cheapest_way():
    stacks = stacked(TABLES)
    assert [stack.numbers for stack in stacks] == [(0, 2), (1,)]
    for stack in stacks:
        for number, table in zip(stack.numbers, stack.weighed([1.0, 2.0]), strict=True):
            ways = [first + 2.0 * second for first, second in TABLES[number]]
            assert np.broadcast_to(table, (2,) * table.ndim).tolist() == np.minimum.reduce(ways).tolist()


def test_what_the_first_row_forbids_is_forbidden_at_weight_zero():
    assert stacked(TABLES)[1].weighed([0.0, 2.0]).tolist() == [[2.0, np.inf]]


def test_entries_are_those_of_each_table_where_an_axis_may_have_length_one():
    entries = stacked(TABLES)[0].entries(np.array([[1, 0], [0, 1]]))
    assert entries.tolist() == [[[2.0, 5.0], [4.0, 8.0]], [[9.0, 7.0], [1.0, 3.0]]]


def test_the_largest_difference_is_within_one_table():
    assert [stacked(TABLES)[0].most_difference(row) for row in (0, 1)] == pytest.approx([8.5, 4.0])
