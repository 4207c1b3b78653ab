import onnx
import pytest
from odd_models import odd_model

from profiling.graph.unit_graph import build_graph
from profiling.latency.kernel_tags import switch_tensors, tag_model
from profiling.on_device.kernels import NESTED
from profiling.onnx_io.subgraphs import all_nodes, subgraphs
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session


def test_tags_leave_the_models_ends_and_results_alone(digits):
    able = frozenset(u.index for u in digits.graph.units)
    nodes = tuple(n for u in digits.graph.units for n in u.nodes)
    int8 = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, dict.fromkeys(able, Precision.INT8))
    feeds = digits.samples[0]
    want = open_session(int8, Runtime()).run(None, feeds)[0]
    assert (open_session(tagged, Runtime()).run(None, feeds)[0] == want).all()
    assert all(node.name.startswith("@") for node in tagged.graph.node)


def test_a_switch_belongs_to_its_tensor_and_a_weight_to_its_unit(digits):
    unit = digits.graph.units[3]
    int8 = quantize(digits.graph.model, digits.calibration.of(unit.nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, {3: Precision.INT8})
    kinds = {}
    for before, after in zip(int8.graph.node, tagged.graph.node, strict=True):
        kinds[before.name] = after.name.split("@")[1]
    floats = [name for name in digits.graph.boundary_tensors() if digits.graph.tensors[name].is_float]
    for name in unit.inputs:
        index = floats.index(name)
        assert kinds[f"{name}_QuantizeLinear"] == f"q{index}"
    out = unit.outputs[0]
    assert kinds[f"{out}_QuantizeLinear"] == "u3"
    (back,) = (tag for name, tag in kinds.items() if name.startswith(f"{out}_DequantizeLinear"))
    assert back == f"d{floats.index(out)}"
    assert all(tag == "u3" for name, tag in kinds.items() if name in unit.nodes)


def test_tagging_changes_names_only_and_of_a_copy(residual):
    before = residual.graph.model.SerializeToString()
    tagged = tag_model(residual.graph.model, residual.graph)
    assert residual.graph.model.SerializeToString() == before
    pairs = list(zip(residual.graph.model.graph.node, tagged.graph.node, strict=True))
    assert all((a.op_type, list(a.attribute)) == (b.op_type, list(b.attribute)) for a, b in pairs)
    assert list(tagged.graph.initializer) == list(residual.graph.model.graph.initializer)
    onnx.checker.check_model(tagged)


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_nodes_of_a_float_model_belong_to_their_units(name, request):
    graph = request.getfixturevalue(name).graph
    tagged = tag_model(graph.model, graph)
    kinds = [node.name.split("@")[1] for node in tagged.graph.node]
    assert kinds == [f"u{unit.index}" for unit in graph.units for _ in unit.nodes]


def test_switch_tensors_are_the_float_ones_between_units(residual):
    assert switch_tensors(residual.graph) == residual.graph.boundary_tensors()
    assert all(residual.graph.tensors[name].is_float for name in switch_tensors(residual.graph))


def test_nested_nodes_are_told_from_those_around_them():
    graph = build_graph(prepare_model(odd_model("nested_if")))
    tagged = tag_model(graph.model, graph)
    nested = [n.name for node in tagged.graph.node for body in subgraphs(node) for n in all_nodes(body)]
    assert nested
    assert all(name.startswith(NESTED) for name in nested)
    assert len(set(nested)) == len(nested)
