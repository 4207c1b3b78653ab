import itertools
from dataclasses import replace
from pathlib import Path

import models
import networkx as nx
import numpy as np
import pytest
from onnx import numpy_helper
from prepared_models import Prepared

from profiling.graph.unit_graph import build_graph
from profiling.on_device.kernels import read_op_types
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.qdq_model import INT8, quantize
from profiling.runtime.open_session import Runtime, Trace, open_session


def test_units_are_what_the_runtime_fuses(residual):
    assert [unit.op_types for unit in residual.graph.units] == [
        ("Conv", "Relu"),
        ("Conv", "Add", "Relu"),
        ("Conv", "Relu"),
        ("GlobalAveragePool", "Flatten"),
        ("Gemm",),
    ]


def test_a_silu_belongs_to_its_convolution():
    graph = build_graph(prepare_model(models.silu()))
    assert [unit.op_types for unit in graph.units] == [("Conv", "Sigmoid", "Mul")]


def test_a_tensor_read_elsewhere_ends_a_unit(branches):
    assert [unit.op_types for unit in branches.graph.units] == [
        ("Conv",),
        ("Conv",),
        ("Conv",),
        ("MaxPool",),
        ("Mul",),
        ("Conv",),
    ]


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_units_share_no_node_and_only_their_last_is_read_outside(name, request):
    prepared: Prepared = request.getfixturevalue(name)
    graph = prepared.graph
    nodes = [node for unit in graph.units for node in unit.nodes]
    assert nodes == [node.name for node in graph.model.graph.node]
    assert len(nodes) == len(set(nodes))
    by_name = {node.name: node for node in graph.model.graph.node}
    for unit in graph.units:
        assert set(unit.outputs) <= set(by_name[unit.nodes[-1]].output)
    assert nx.is_directed_acyclic_graph(graph.dag)
    assert list(graph.dag) == [unit.index for unit in graph.units]
    assert all(a < b for a, b in graph.dag.edges)


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_producers_and_consumers_are_the_units_that_name_the_tensor(name, request):
    graph = request.getfixturevalue(name).graph
    for tensor in (*graph.tensors, "no such tensor"):
        writers = [unit.index for unit in graph.units if tensor in unit.outputs]
        assert graph.producer(tensor) == (writers[0] if writers else None)
        assert graph.consumers(tensor) == tuple(unit.index for unit in graph.units if tensor in unit.inputs)


def test_a_graph_with_other_units_finds_these(residual):
    first, *others = residual.graph.units
    renamed = replace(first, inputs=("other",))
    graph = replace(residual.graph, units=(renamed, *others))
    assert graph.consumers("other") == (0,)
    assert graph.consumers(first.inputs[0]) == ()


def test_the_dag_is_frozen_and_its_edges_carry_tensors(residual):
    with pytest.raises(nx.NetworkXError):
        residual.graph.dag.add_node("new")
    (tensor,) = residual.graph.dag.edges[0, 1]["tensors"]
    assert tensor.shape == (1, 4, 8, 8)
    assert tensor.size_bytes == 4 * 8 * 8 * 4
    assert tensor.dtype == "float32"


def test_bytes_follow_the_precision(residual):
    first = residual.graph.units[0]
    weights, bias = 4 * 2 * 3 * 3, 4
    assert first.weight_bytes == 4 * (weights + bias)
    scales = 4 * (4 + 1) + bias * (4 + 4)  # float scale and zero point per channel of each
    assert first.weight_bytes_int8 == weights + 4 * bias + scales  # int32 bias


def test_int8_bytes_cover_what_the_tool_writes(digits):
    graph = digits.graph
    nodes = tuple(n for u in graph.units for n in u.nodes)
    model = quantize(graph.model, dict.fromkeys(nodes, INT8), digits.calibration.ranges)
    activations = {t for u in graph.units for t in graph.tensors_quantized_with(u.index)}
    written = sum(
        numpy_helper.to_array(init).nbytes
        for init in model.graph.initializer
        if init.name.removesuffix("_scale").removesuffix("_zero_point") not in activations
    )
    counted = sum(u.weight_bytes_int8 for u in graph.units)
    assert written * 0.97 <= counted <= written * 1.05


def test_boundary_tensors_are_those_between_units(residual):
    graph = residual.graph
    assert graph.boundary_tensors()[0] == "x"
    assert graph.boundary_tensors()[-1] == "y"
    assert len(graph.boundary_tensors()) == 6
    assert graph.producer("x") is None
    assert graph.consumers(graph.units[0].outputs[0]) == (1,)


def test_a_lone_relu_is_not_offered_in_int8():
    from onnx import parser

    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 4] x) => (float[1, 4] y, float[1, 4] z) '
        "{ y = Relu (x) z = Softmax (x) }"
    )
    graph = build_graph(prepare_model(model))
    assert {unit.op_types[0]: unit.quantizable for unit in graph.units} == {"Relu": False, "Softmax": True}


def test_tensor_sizes_count_elements(digits):
    for tensor in digits.graph.tensors.values():
        assert tensor.elements == int(np.prod(tensor.shape))


def test_absorbed_units_change_nothing_that_the_runtime_does(tmp_path):
    """A model is the same whether or not the units are quantized that the runtime computes in int8 anyway."""
    join = Prepared(models.join(), tmp_path, "join")
    graph, ranges = join.graph, join.calibration.ranges
    able = [unit.index for unit in graph.units if unit.quantizable]
    seen = 0
    for count in range(1, len(able)):
        for int8 in itertools.combinations(able, count):
            more = graph.resolve_precisions(dict.fromkeys(int8, Precision.INT8))
            assert graph.resolve_precisions(more) == more
            if set(more) == set(int8):
                continue
            seen += 1
            pair = []
            for units in (int8, more):
                nodes = [node for index in sorted(units) for node in graph.units[index].nodes]
                model = quantize(graph.model, join.calibration.of(nodes), ranges)
                trace = Trace(tmp_path / "run", None)
                session = open_session(model, Runtime(), trace=trace)
                outputs = session.run(None, dict(join.samples[0]))
                pair.append((outputs, sorted(read_op_types(Path(session.end_profiling())))))
            (first, first_ops), (second, second_ops) = pair
            assert first_ops == second_ops
            assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert seen


_POOLS = """
<ir_version: 8, opset_import: ["" : 17]>
pools (float[1, 4, 8, 8] x) => (float[1, 4] y)
<float[4, 4, 1, 1] w1, float[4] b1, float[4, 8, 1, 1] w2, float[4] b2, int64[2] shape, float[4, 4] w3>
{
    first = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)
    one = Conv <kernel_shape = [1, 1]> (first, w1, b1)
    middle = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (one)
    both = Concat <axis = 1> (one, middle)
    two = Conv <kernel_shape = [1, 1]> (both, w2, b2)
    last = MaxPool <kernel_shape = [8, 8]> (two)
    flat = Flatten (last)
    y = MatMul (flat, w3)
}
"""


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    return Prepared(models.with_weights(_POOLS), tmp_path_factory.mktemp("pools"), "pools")


def test_a_pool_is_int8_only_between_convolutions(pools):
    graph = pools.graph
    of = {unit.outputs[0]: unit for unit in graph.units}
    assert [of[name].quantizable for name in ("first", "middle")] == [False, True]
    assert "MaxPool" not in {op for u in graph.units if u.quantizable for op in u.op_types if u.index > 4}
    assert of["middle"].coupled_with == tuple(of[name].index for name in ("one", "both", "two"))


def test_a_pool_leaves_int8_with_its_surroundings(pools):
    graph = pools.graph
    of = {unit.outputs[0]: unit.index for unit in graph.units}
    everything = {of[name]: Precision.INT8 for name in ("one", "middle", "both", "two")}
    assert graph.resolve_precisions(everything) == everything
    for missing in ("one", "both", "two"):
        others = {index: own for index, own in everything.items() if index != of[missing]}
        assert of["middle"] not in graph.resolve_precisions(others)
        # In 16 bits it needs none of them, but between int8 tensors it would be in int8.
        wide = graph.resolve_precisions(others | {of["middle"]: Precision.INT16})
        assert wide.get(of["middle"]) is (Precision.INT16 if missing == "both" else None), missing
