import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.graph.nhwc_layout import LayoutContext, maxpool_coupling

INSIDE = (False, False)


def chain(*op_types: str, quantizable: bool = True) -> dict[int, tuple[int, ...]]:
    units = [
        LayoutContext((op_type,), quantizable, (index == 0, index == len(op_types) - 1))
        for index, op_type in enumerate(op_types)
    ]
    return dict(maxpool_coupling(units, nx.path_graph(len(units), nx.DiGraph)))


def test_a_pool_needs_the_convolutions_before_and_behind_it():
    assert chain("Conv", "MaxPool", "Conv") == {1: (0, 2)}


def test_it_needs_what_lies_between_as_well():
    assert chain("Conv", "Relu", "MaxPool", "Clip", "Add", "Conv", "Softmax") == {2: (0, 1, 3, 4, 5)}


@pytest.mark.parametrize(
    "op_types",
    [
        ("MaxPool", "Conv"),  # the model's input
        ("Conv", "MaxPool"),  # its output
        ("Conv", "Softmax", "MaxPool", "Conv"),
        ("Conv", "MaxPool", "Transpose", "Conv"),
    ],
)
def test_without_them_it_had_better_stay_in_float(op_types):
    assert chain(*op_types) == {op_types.index("MaxPool"): ()}


def test_what_stays_in_float_anyway_is_not_asked():
    assert chain("Conv", "MaxPool", "Conv", quantizable=False) == {}
    assert chain("Conv", "Relu", "Conv") == {}


def test_a_float_neighbour_keeps_it_in_float():
    units = [LayoutContext((op,), op != "Conv", INSIDE) for op in ("Conv", "MaxPool", "Conv")]
    assert dict(maxpool_coupling(units, nx.path_graph(3, nx.DiGraph))) == {1: ()}


COUNT = 7


@st.composite
def placed_units(draw) -> tuple[list[LayoutContext], nx.DiGraph]:
    dag = nx.DiGraph()
    dag.add_nodes_from(range(COUNT))
    pairs = [(a, b) for b in range(COUNT) for a in range(b)]
    dag.add_edges_from(draw(st.lists(st.sampled_from(pairs), max_size=12)))
    units = []
    for unit in range(COUNT):
        op_type = draw(st.sampled_from(["Conv", "Conv", "MaxPool", "MaxPool", "Relu", "Softmax"]))
        ends = (not dag.pred[unit], not dag.succ[unit])
        units.append(LayoutContext((op_type,), draw(st.integers(0, 6)) > 0, ends))
    return units, dag


def paths(unit: int, dag: nx.DiGraph, units: list[LayoutContext]) -> list[list[int]]:
    """Return every way from a unit on, up to the first convolution behind it, or as far as it goes."""
    ways = []
    for other in dag.succ[unit]:
        if units[other].op_types == ("Conv",) or not dag.succ[other]:
            ways.append([other])
        else:
            ways += [[other, *way] for way in paths(other, dag, units)]
    return ways


@given(placed_units())
def test_every_way_from_a_pool_leads_through_what_keeps_the_order_to_an_int8_convolution(placed):
    units, dag = placed
    for pool, coupled in maxpool_coupling(units, dag).items():
        sides = [paths(pool, dag.reverse(), units), paths(pool, dag, units)]
        ways = [way for side in sides for way in side]
        fine = all(sides) and all(
            units[way[-1]].op_types == ("Conv",)
            and all(units[unit].quantizable for unit in way)
            and all(units[unit].op_types[0] in ("Relu", "MaxPool") for unit in way[:-1])
            for way in ways
        )
        assert coupled == (tuple(sorted({unit for way in ways for unit in way})) if fine else ())
