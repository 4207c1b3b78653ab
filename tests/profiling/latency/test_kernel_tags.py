from pathlib import Path

import numpy as np
import onnx
import pytest
from odd_models import odd_model
from text_models import make, weight

from profiling.graph.unit_graph import build_graph
from profiling.latency.kernel_tags import switch_tensors, tag_model
from profiling.on_device.kernels import NESTED, KernelTimes, read_kernels
from profiling.onnx_io.subgraphs import all_nodes, subgraphs
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, Trace, open_session


def test_tags_leave_the_models_inputs_and_results_alone(digits):
    able = frozenset(u.index for u in digits.graph.units)
    nodes = tuple(n for u in digits.graph.units for n in u.nodes)
    int8 = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, dict.fromkeys(able, Precision.INT8))
    feeds = digits.samples[0]
    want = open_session(int8, Runtime()).run(None, feeds)[0]
    assert (open_session(tagged, Runtime()).run(None, feeds)[0] == want).all()
    assert all(node.name.startswith("@") for node in tagged.graph.node)


SAME = "<pads = [1, 1, 1, 1]>"
HALVED = "<kernel_shape = [2, 2], strides = [2, 2]>"


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (f"a = Conv {SAME} (x, w) b = Relu (a) y = Conv {SAME} (b, w)", [0, 1]),
        (f"a = Conv {SAME} (x, w) b = Conv {SAME} (a, w) y = Relu (b)", [0, 1]),
        (f"y = Conv {SAME} (x, w) z = MaxPool {HALVED} (y)", [0, 1]),
        (f"a = Conv {SAME} (x, w) y = Conv {SAME} (a, w) z = Conv {SAME} (a, v)", [0, 1, 2]),
        ("a = MatMul (x, u) d = Div (a, k) e = Erf (d) s = Add (e, l) m = Mul (a, s) y = Mul (m, h)", [0, 1]),
        ("a = MatMul (x, u) y = Softmax (a)", [0, 1]),
    ],
    ids=["conv", "relu", "pool", "two heads", "gelu", "softmax"],
)
def test_a_kernel_belongs_to_the_unit_whose_tensor_it_writes_at_the_models_ends_too(body, units, tmp_path):
    weights = {"w": weight(8, 8, 3, 3), "v": weight(8, 8, 3, 3), "u": weight(16, 16)}
    weights |= {"k": np.float32(np.sqrt(2)), "l": np.float32(1), "h": np.float32(0.5)}
    other = ", float[1, 8, a, b] z" if "z =" in body else ""
    text = f"(float[1, 8, 16, 16] x) => (float[1, 8, 16, 16] y{other}) {{ {body} }}"
    graph = build_graph(prepare_model(make(text, weights)))
    kernels = kernels_of(graph, tmp_path).kernels
    assert sorted(kernel.owner.index for kernel in kernels if "Reorder" not in kernel.op_type) == units


def test_the_parts_of_a_picture_are_moved_for_the_unit_that_moves_them(tmp_path):
    text = (
        "(float[1, 3, 32, 32] x) => (float[1, 8, 16, 16] y) { "
        "a = Slice (x, b00, end, axes, two) b = Slice (x, b10, end, axes, two) "
        "c = Slice (x, b01, end, axes, two) d = Slice (x, b11, end, axes, two) "
        f"f = Concat <axis = 1> (a, b, c, d) y = Conv {SAME} (f, w) }}"
    )
    ends = {"axes": [2, 3], "end": [32, 32], "two": [2, 2]}
    begins = {f"b{row}{column}": [row, column] for row in (0, 1) for column in (0, 1)}
    weights = {name: np.array(value, np.int64) for name, value in (ends | begins).items()}
    graph = build_graph(prepare_model(make(text, weights | {"w": weight(8, 12, 3, 3)})))
    assert [unit.op_types[-1] for unit in graph.units] == ["Concat", "Conv"]
    for kernel in kernels_of(graph, tmp_path).kernels:
        assert kernel.owner.index == ("Conv" in kernel.op_type or "Reorder" in kernel.op_type)


def kernels_of(graph, folder) -> KernelTimes:
    trace = Trace(folder / "run", folder / "optimized.onnx")
    session = open_session(tag_model(graph.model, graph), Runtime(), trace=trace)
    (end,) = session.get_inputs()
    session.run(None, {end.name: np.zeros(end.shape, np.float32)})
    return read_kernels(Path(session.end_profiling()), trace.optimized_model)


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
