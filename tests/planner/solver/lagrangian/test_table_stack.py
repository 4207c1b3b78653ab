import numpy as np
import pytest

from planner.solver.lagrangian.table_stack import stacked

TABLES = [
    ((np.array([[1.0], [2.0]]), np.array([[4.0, 0.0]])), (np.array([[0.5], [9.0]]), np.array([[1.0, 1.0]]))),
    ((np.array([3.0, np.inf]), np.array([1.0, 2.0])),),
    ((np.array([[5.0], [6.0]]), np.array([[7.0, 8.0]])), (np.array([[7.0], [1.0]]), np.array([[0.0, 3.0]]))),
]


def test_tables_of_equal_shape_are_weighed_as_each_alone_by_its_cheapest_way():
    stacks = stacked(TABLES, [1.0] * 3)
    assert [stack.numbers for stack in stacks] == [(0, 2), (1,)]
    for stack in stacks:
        for number, table in zip(stack.numbers, stack.weighed([1.0, 2.0]), strict=True):
            ways = [first + 2.0 * second for first, second in TABLES[number]]
            assert np.broadcast_to(table, (2,) * table.ndim).tolist() == np.minimum.reduce(ways).tolist()


def test_what_the_first_row_forbids_is_forbidden_at_weight_zero():
    (table,) = stacked(TABLES, [1.0] * 3)[1].weighed([0.0, 2.0])
    assert table.tolist() == [2.0, np.inf]


def test_entries_are_those_of_each_table_where_an_axis_may_have_length_one():
    places = [np.array([[1, 0], [0, 1]])] * 2
    assert stacked(TABLES, [1.0] * 3)[0].entries(places).tolist() == [
        [[2.0, 5.0], [4.0, 8.0]],
        [[9.0, 7.0], [1.0, 3.0]],
    ]


def test_what_is_added_counts_in_the_choice_of_the_way_and_not_where_nothing_is():
    """Nothing is added to the last table."""
    added = [(np.array([[0.0, 9.0]]), np.array([[0.5]])), (np.array([1.0, 0.0]),)]
    table, untouched = stacked(TABLES, [1.0] * 3)[0].weighed([1.0, 0.0], added)
    assert np.broadcast_to(table, (2, 2)).tolist() == [[1.0, 1.0], [2.0, 9.5]]
    assert np.ravel(untouched).tolist() == [5.0, 1.0]
    (of_one_way,) = stacked(TABLES, [1.0] * 3)[1].weighed([1.0, 0.0], added)
    assert of_one_way.tolist() == [4.0, np.inf]
    places = [np.array([[1, 0], [0, 1]])] * 2
    pairs = [*added, (np.array([[7.0]]), np.array([[8.0, 6.0]]))]
    assert stacked(TABLES, [1.0] * 3)[0].entries_of(pairs, places).tolist() == [[0.0, 7.0], [0.5, 6.0]]


def test_what_is_above_a_value_in_a_row_is_forbidden_in_its_way_alone():
    stack = stacked(TABLES, [1.0] * 3)[0].without_above(1, 4.0)
    first, last = (np.broadcast_to(table, (2, 2)).tolist() for table in stack.weighed([1.0, 0.0]))
    assert first == [[0.5, 0.5], [2.0, 2.0]]  # 1 and 2 otherwise, in the first way with 4 at most
    assert last == [[7.0, 7.0], [1.0, 1.0]]  # the first way has 7 and 8


def test_the_largest_difference_is_within_one_table():
    assert [stacked(TABLES, [1.0] * 3)[0].most_difference(row) for row in (0, 1)] == pytest.approx([8.5, 4.0])


def test_what_a_tensor_has_above_a_value_is_its_share_of_a_table_made_whole():
    stack = stacked(TABLES, [0.5, 1.0, 1.0])[0].without_above(1, 4.0)
    first, last = (np.broadcast_to(table, (2, 2)).tolist() for table in stack.weighed([1.0, 0.0]))
    assert first == [[0.5, 0.5], [9.0, 2.0]]  # twice the first way's 4 is above, its 0 is not
    assert last == [[7.0, 7.0], [1.0, 1.0]]
