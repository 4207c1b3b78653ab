from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solver.lagrangian.elimination_order import eliminate


def heights(bags) -> list[int]:
    found = [0] * len(bags)
    for number, bag in enumerate(bags):
        if bag.parent is not None:
            found[bag.parent] = max(found[bag.parent], found[number] + 1)
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=4, unique=True).map(tuple), max_size=8))
def test_every_table_is_in_a_bag_and_what_a_bag_shares_is_in_its_parent(scopes):
    bags = eliminate([2] * 7, scopes)
    assert sorted(bag.variables[0] for bag in bags) == list(range(7))
    for scope in scopes:
        assert any(set(scope) <= set(bag.variables) for bag in bags)
    for number, bag in enumerate(bags):
        if bag.parent is None:
            assert len(bag.variables) == 1
        else:
            above = bags[bag.parent].variables
            assert bag.parent > number
            # In the same order, so that messages need no reordering.
            assert bag.variables[1:] == tuple(v for v in above if v in bag.variables)


def test_few_bags_of_a_chain_wait_for_each_other():
    bags = eliminate([3] * 1000, [(v, v + 1) for v in range(999)])
    assert max(heights(bags)) < 25
    assert max(len(bag.variables) for bag in bags) == 3


def test_large_tables_of_a_chain_are_not_joined_for_fewer_waits():
    bags = eliminate([100] * 50, [(v, v + 1) for v in range(49)])
    assert max(len(bag.variables) for bag in bags) == 2
