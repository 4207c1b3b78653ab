from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solver.lagrangian.path_regions import regions

BEGIN, END = -1, -2


def paths(edges, node=BEGIN):
    """Yield the nodes of each path to the end."""
    if node == END:
        yield (END,)
    for tail, head in edges:
        if tail == node:
            yield from ((node, *rest) for rest in paths(edges, head))


def graphs():
    """Edges between a few nodes in order; what has none before or behind it is joined to the ends."""
    pairs = list(combinations(range(6), 2))

    def joined(inner):
        heads, tails = {head for _, head in inner}, {tail for tail, _ in inner}
        return [
            *((BEGIN, node) for node in range(6) if node not in heads),
            *inner,
            *((node, END) for node in range(6) if node not in tails),
        ]

    return st.lists(st.sampled_from(pairs), unique=True).map(sorted).map(joined)


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_every_path_through_a_region_passes_its_ends(edges):
    every = list(paths(edges))
    for region in regions(edges, BEGIN, END):
        assert len(region.nodes) > 1
        for path in every:
            for node in region.nodes:
                if node in path:
                    assert path.index(region.tail) < path.index(node) < path.index(region.head)


def test_nested_blocks_are_regions_of_their_own():
    edges = [(BEGIN, 0), (0, 1), (0, 2), (1, 3), (1, 4), (3, 5), (4, 5), (5, 6), (2, 6), (6, END)]
    found = {(region.tail, region.head): region.nodes for region in regions(edges, BEGIN, END)}
    assert found == {(1, 5): (3, 4), (0, 6): (1, 2, 3, 4, 5)}


def test_a_row_has_none():
    assert regions([(BEGIN, 0), (0, 1), (1, END)], BEGIN, END) == []
