import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_graphs import made_graph

from profiling.errors import ModelError
from profiling.several_runtimes.joint_blocks import OwnTensor, join_blocks

AXES = (0, 1)


@st.composite
def two_runtimes(draw):
    """Return two graphs that share all units or lack some, and which tensors both have."""
    count = draw(st.integers(2, 7))
    names = [f"u{n}" for n in range(count)]
    edges = {(n - 1, n) for n in range(1, count)}
    edges |= {(a, b) for a in range(count) for b in range(a + 1, count) if draw(st.booleans())}
    graphs = {runtime: made_graph(names, sorted(edges)) for runtime in ("one", "other")}
    inner = draw(st.lists(st.sampled_from([f"t{n}" for n in range(count)]), unique=True))
    matches = {name: OwnTensor(name, AXES) for name in ("x", "y", *inner)}
    return graphs, {"one": matches, "other": matches}


def reads_and_writes(graph, units):
    written = {name for unit in units for name in graph.units[unit].outputs}
    read = {name for unit in units for name in graph.units[unit].inputs}
    return read - written, written


@given(two_runtimes())
@settings(max_examples=60)
def test_blocks_run_in_order_and_read_the_same_in_every_runtime(case):
    graphs, matches = case
    blocks = join_blocks(graphs, matches)
    for runtime, graph in graphs.items():
        units = [unit for block in blocks for unit in block.units[runtime]]
        assert sorted(units) == list(range(len(graph.units)))  # each in one block
        ready = set(graph.inputs)
        for block in blocks:
            read, written = reads_and_writes(graph, block.units[runtime])
            assert read <= ready
            assert read == {block.tensors[runtime][name].name for name in block.inputs}
            ready |= written


@given(two_runtimes())
@settings(max_examples=60)
def test_what_is_cut_is_in_all_runtimes_and_nothing_else_leaves_a_block(case):
    graphs, matches = case
    for block in join_blocks(graphs, matches):
        inside = set(block.units["one"])
        for name in reads_and_writes(graphs["one"], inside)[1]:
            if name in block.outputs:
                assert name in matches["one"]
            else:
                assert inside.issuperset(graphs["one"].consumers(name))


def test_blocks_are_units_where_all_tensors_are_common():
    graph = made_graph(["a", "b", "c"], [(0, 1), (1, 2), (0, 2)])
    matches = {name: OwnTensor(name, AXES) for name in graph.tensors}
    blocks = join_blocks({"one": graph, "other": graph}, {"one": matches, "other": matches})
    assert [block.units["other"] for block in blocks] == [(0,), (1,), (2,)]


def test_an_output_that_one_runtime_lacks_is_refused():
    graph = made_graph(["a", "b"], [(0, 1)])
    matches = {"x": OwnTensor("x", AXES)}
    with pytest.raises(ModelError, match="different values of 'y'"):
        join_blocks({"one": graph, "other": graph}, {"one": matches, "other": matches})
