"""Operators on integers in the file compute what the runtime makes of QuantizeLinear and DequantizeLinear."""

from collections import Counter
from pathlib import Path

import dense_models
import models
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from prepared_models import Prepared
from text_models import make, weight

from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.verification.stage_chain import Chain, same_bits
from profiling.errors import QuantizeError
from profiling.graph.integer_operators import is_integer_operator
from profiling.graph.unit_graph import build_graph
from profiling.noise.isolated_units import run_all
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import read_op_types
from profiling.precision import STATIC, Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX, Scheme, quantize
from profiling.quantization.qlinear_operators import operator_obstacle, unwritten_nodes, write_on_integers
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

INT8, QOPERATOR = Precision.INT8, Precision.INT8_QOPERATOR
SYMMETRIC = Scheme(symmetric=True, reduce_range=True)
PAIRS = {"QuantizeLinear", "DequantizeLinear"}
CONV = "(float[1, 3, 9, 9] x) => (float[a, b, c, d] y) {{ h = Conv <pads = [1, 1, 1, 1]> (x, w) {} }}"
BEHIND = {
    "Add of a constant": "p = MaxPool <kernel_shape = [1, 1]> (h) y = Add (h, k)",
    "Add of one twice": "y = Add (h, h)",
    "AveragePool over padding": "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (h)",
    "AveragePool up to the end": (
        "y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (h)"
    ),
    "Clip": "y = Clip (h, low, high)",
    "Concat": "y = Concat <axis = 1> (h, x)",
    "Gemm": "f = Flatten (h) g = Gemm <alpha = 0.5> (f, m, n) y = Reshape (g, four)",
    "Gemm transposed": "f = Flatten (h) g = Gemm <transB = 1> (f, t) y = Reshape (g, four)",
    "LeakyRelu": "y = LeakyRelu <alpha = 0.3> (h)",
    "MatMul of two": "y = MatMul (h, h)",
    "MatMul of a constant": "y = MatMul (h, q)",
    "MaxPool": "p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (h) y = Conv (p, v)",
    "Mul": "s = Sigmoid (h) y = Mul (h, s)",
    "Relu": "y = Relu (h)",
    "Slice": "y = Slice (h, begin, end)",
    "Softmax": "y = Softmax <axis = 1> (h)",
    "Split": "l, r = Split <axis = 1> (h) y = Add (l, r)",
    "Transpose": "y = Transpose <perm = [0, 2, 3, 1]> (h)",
}


def constants() -> dict[str, np.ndarray]:
    return {
        "w": weight(6, 3, 3, 3),
        "v": weight(4, 6, 1, 1),
        "k": weight(1, 6, 1, 1),
        "m": weight(486, 5),
        "n": weight(5),
        "t": weight(5, 486),
        "q": weight(9, 9),
        "low": np.float32(-0.5),
        "high": np.float32(0.75),
        "four": np.array([1, 5, 1, 1]),
        "begin": np.array([0, 0, 1, 1]),
        "end": np.array([1, 6, 8, 8]),
    }


def prepared(text: str, folder: Path) -> Prepared:
    known = constants()
    words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    model = make(CONV.format(text), {name: known[name] for name in known if name in {*words, "w"}})
    return Prepared(model, folder, "m")


def calibration_of(prepared: Prepared, scheme: Scheme) -> Calibration:
    return Calibration(scheme, prepared.calibration.ranges)


def built(prepared: Prepared, mix: dict[int, Precision], scheme: Scheme | None = None) -> onnx.ModelProto:
    calibration = calibration_of(prepared, scheme or prepared.calibration.scheme)
    return rebuild(prepared.graph, calibration.at(mix), calibration.ranges)


def in_int8(prepared: Prepared) -> dict[int, Precision]:
    return {unit.index: INT8 for unit in prepared.graph.units if unit.can_be(INT8)}


def on_integers(prepared: Prepared, scheme: Scheme) -> dict[int, Precision]:
    """Return int8 for all units that can be, as operators on integers where these can be written."""
    mix = in_int8(prepared)
    quantized = built(prepared, mix, scheme)
    able = [unit for unit in prepared.graph.units if unit.can_be(QOPERATOR)]
    unwritten = unwritten_nodes(quantized, [node for unit in able for node in unit.nodes])
    return mix | {u.index: QOPERATOR for u in able if unwritten.keys().isdisjoint(u.nodes)}


def assert_same_numbers(one: onnx.ModelProto, other: onnx.ModelProto, prepared: Prepared) -> None:
    for left, right in zip(run_all(one, prepared.samples), run_all(other, prepared.samples), strict=True):
        assert same_bits(left, right)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("scheme", [Scheme(), Scheme(reduce_range=True), SYMMETRIC], ids=lambda s: s.label)
def test_an_operator_computes_the_bits_of_int8(behind, scheme, tmp_path):
    one = prepared(BEHIND[behind], tmp_path)
    mix = on_integers(one, scheme)
    clips = behind in ("Clip", "Relu") and scheme.symmetric
    assert set(mix.values()) == ({INT8} if clips else {QOPERATOR})
    written = built(one, mix, scheme)
    onnx.checker.check_model(written)
    assert_same_numbers(written, built(one, in_int8(one), scheme), one)
    inner = [node for node in written.graph.node if node.op_type in PAIRS]
    if not clips:
        assert {node.op_type for node in inner} == PAIRS
        assert all("x" in node.input or "y" in node.output for node in inner)


@pytest.mark.parametrize("scheme", [Scheme(reduce_range=True), SYMMETRIC], ids=lambda s: s.label)
@pytest.mark.parametrize("name", ["digits", "residual", "branches"])
def test_a_network_computes_the_bits_of_int8(name, scheme, request):
    one = request.getfixturevalue(name)
    mix = on_integers(one, scheme)
    assert QOPERATOR in mix.values()
    assert_same_numbers(built(one, mix, scheme), built(one, in_int8(one), scheme), one)


def test_a_transformer_computes_the_bits_of_int8_and_leaves_its_normalizations_to_it(tmp_path):
    one = Prepared(dense_models.transformer(), tmp_path, "m")
    mix = on_integers(one, one.calibration.scheme)
    kinds = Counter(precision for precision in mix.values())
    left = [" ".join(one.graph.units[index].op_types) for index in mix if mix[index] is INT8]
    assert set(left) == {"LayerNormalization"}
    assert kinds[QOPERATOR] > 20
    assert_same_numbers(built(one, mix), built(one, in_int8(one)), one)


def test_weights_biases_and_steps_in_the_file_are_those_of_int8(digits):
    written, plain = (
        built(digits, on_integers(digits, digits.calibration.scheme)),
        built(digits, in_int8(digits)),
    )
    before = {init.name: numpy_helper.to_array(init) for init in plain.graph.initializer}
    after = {init.name: numpy_helper.to_array(init) for init in written.graph.initializer}
    assert {value.dtype for value in after.values()} >= {np.dtype("int8"), np.dtype("int32")}
    assert not [name for name, value in after.items() if value.dtype == np.float32 and value.ndim > 1]
    for name, value in after.items():
        assert value.dtype == before[name].dtype
        assert np.array_equal(value, before[name])
    assert quantized_tensors(written) == quantized_tensors(plain)


def test_they_run_on_integers_where_nothing_is_fused(residual, tmp_path):
    counts = []
    for mix in (in_int8(residual), on_integers(residual, residual.calibration.scheme)):
        trace = Trace(tmp_path / f"run{len(counts)}")
        session = open_session(built(residual, mix), Runtime(), Optimization.BASIC, trace=trace)
        run_session(session, residual.samples[0])
        counts.append(sum(map(is_integer_operator, read_op_types(Path(session.end_profiling())))))
    assert counts == [0, 6]


_RANDOM: dict[str, Prepared] = {}
_MODELS = {
    "residual": models.residual,
    "branches": models.branches,
    "join": models.join,
    "silu": models.silu,
} | {f"dense{seed}": lambda seed=seed: dense_models.random_dense(seed) for seed in range(4)}


def random_prepared(name: str, factory: pytest.TempPathFactory) -> Prepared:
    if name not in _RANDOM:
        _RANDOM[name] = Prepared(_MODELS[name](), factory.mktemp(name), name)
    return _RANDOM[name]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(sorted(_MODELS)))
def test_in_random_mixes_it_is_int8_in_other_words(tmp_path_factory, data, name):
    one = random_prepared(name, tmp_path_factory)
    graph = one.graph
    kinds = [None, *STATIC]
    wanted = {u.index: data.draw(st.sampled_from(kinds)) for u in graph.units if u.can_be(QOPERATOR)}
    mix = graph.resolve_precisions({index: p for index, p in wanted.items() if p is not None})
    plain = {index: precision.numbers for index, precision in mix.items()}
    assert plain == graph.resolve_precisions(plain)
    assert graph.tensor_precisions(mix) == graph.tensor_precisions(plain)
    written = built(one, mix)
    assert_same_numbers(written, built(one, plain), one)
    cut = data.draw(st.integers(0, len(graph.units)))
    devices = tuple("a" if unit.index < cut else "b" for unit in graph.units)
    stages = split(written, graph, Placement(devices, "a", "b"))
    chain = Chain([stage.model for stage in stages], Runtime(), Optimization.BASIC)
    whole = open_session(written, Runtime(), Optimization.BASIC)
    for feeds in one.samples[:2]:
        assert same_bits(run_session(whole, feeds), chain.run(feeds, graph.outputs))


def test_a_tensor_crosses_between_both_without_a_conversion(residual):
    mixes = [{0: first, 1: second} for first in (INT8, QOPERATOR) for second in (INT8, QOPERATOR)]
    devices = ("a", "b", "b", "b", "b")
    for mix in mixes:
        stages = split(built(residual, mix), residual.graph, Placement(devices, "a", "b"))
        first, second = stages[0].model.graph, stages[1].model.graph
        crossing = [end.name for end in first.output]
        assert crossing == [f"r1{QUANTIZED_SUFFIX}"]
        (end,) = (end for end in second.input if end.name in crossing)
        assert end.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        written = [node.op_type for node in first.node if crossing[0] in node.output]
        read = {node.op_type for node in second.node if crossing[0] in node.input}
        assert written == ["QuantizeLinear" if mix[0] is INT8 else "QLinearConv"]
        assert read == ({"DequantizeLinear"} if mix[1] is INT8 else {"QLinearConv", "QLinearAdd"})


@pytest.mark.parametrize("op_type", ["ConvTranspose", "Exp", "LayerNormalization", "Pad", "Resize"])
def test_operators_without_a_counterpart_are_named(op_type):
    assert operator_obstacle(op_type) == f"{op_type} has no operator on integers in ONNX Runtime"


def test_a_unit_of_which_one_node_has_no_operator_cannot_be_it(tmp_path):
    how = 'mode = "nearest", coordinate_transformation_mode = "asymmetric"'
    text = f"r = Resize <{how}> (h, , z) y = Conv (r, v)"
    known = constants()
    model = make(CONV.format(text), {"w": known["w"], "v": known["v"], "z": np.float32([1, 1, 2, 2])})
    onnx.save(model, tmp_path / "m.onnx")
    units = build_graph(prepare_model(model)).units
    assert [unit.can_be(INT8) for unit in units] == [True, True, True]
    assert [unit.why_not(QOPERATOR) for unit in units] == ["", operator_obstacle("Resize"), ""]


def quantized_residual(residual) -> tuple[onnx.ModelProto, dict[str, onnx.ValueInfoProto]]:
    graph = residual.graph.model.graph
    everything = residual.calibration.of(residual.graph.quantizable_nodes)
    model = quantize(residual.graph.model, everything, residual.calibration.ranges)
    return model, {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}


def test_what_has_steps_of_its_own_is_not_written(residual):
    model, types = quantized_residual(residual)
    convs = [node.name for node in model.graph.node if node.op_type == "Conv"]
    (biased, *_) = (node for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2)
    bias = next(node for node in model.graph.node if node.output and node.output[0] == biased.input[2])
    scale = next(init for init in model.graph.initializer if init.name == bias.input[1])
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(1.01), scale.name))
    assert unwritten_nodes(model, convs) == {
        biased.name: "Conv has a bias in other steps than those of its sums"
    }
    before = model.SerializeToString(deterministic=True)
    with pytest.raises(QuantizeError, match="cannot be int8-qoperator: Conv has a bias in other steps"):
        write_on_integers(model, convs, types, QUANTIZED_SUFFIX)
    assert model.SerializeToString(deterministic=True) == before


def test_what_is_read_in_float_is_not_written(residual):
    model, _ = quantized_residual(residual)
    node = next(node for node in model.graph.node if node.op_type == "Add")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.output[0]))
    assert unwritten_nodes(model, [node.name]) == {node.name: f"{node.output[0]!r} is read in float"}
