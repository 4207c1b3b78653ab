"""Graphs of every shape go through the whole flow: planned, rebuilt, split, bit-equal in a chain."""

import re
from pathlib import Path

import models
import numpy as np
import odd_models
import onnx
import pytest
from onnx import parser
from planned_models import plan_model

from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.errors import ScenarioError
from planner.refinement.outcome import Outcome
from planner.verification.stage_chain import Chain, same_bits
from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.graph.unit_graph import ModelGraph, build_graph
from profiling.latency.kernel_tags import tag_model
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import read_kernels, read_op_types
from profiling.onnx_io.load_model import load_model
from profiling.onnx_io.subgraphs import all_nodes
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.qdq_model import INT8_REDUCED
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

TWO_DEVICES = {
    "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 2}],
    "links": [
        {"from": "a", "to": "b", "bandwidth_mbit_per_s": 1e4},
        {"from": "b", "to": "a", "bandwidth_mbit_per_s": 1e4},
    ],
}
NAMES = [*odd_models.TEXTS, *odd_models.BUILT]


def plan(model: onnx.ModelProto, folder, **changes) -> Outcome:
    return plan_model(folder, model, odd_models.samples(model), **(TWO_DEVICES | changes))


def calibrated(model: onnx.ModelProto, folder) -> tuple[ModelGraph, Calibration, list[Feeds]]:
    onnx.save(model, folder / "m.onnx")
    graph = build_graph(prepare_model(load_model(folder / "m.onnx", {})))
    columns = odd_models.samples(model)
    feeds = [{key: np.asarray(column[i]) for key, column in columns.items()} for i in range(8)]
    calibration = Calibration(INT8_REDUCED, folder / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, feeds, calibration.ranges)
    return graph, calibration, feeds


@pytest.mark.parametrize("name", NAMES)
def test_it_is_planned_and_its_stages_give_the_same_bits(name, tmp_path):
    outcome = plan(odd_models.odd_model(name), tmp_path)
    chain = outcome.plan.measured.chain  # raises unless the chain equals the whole at BASIC
    assert chain.basic_bit_equal
    for stage in outcome.built.stages:
        onnx.checker.check_model(stage.model)


@pytest.mark.parametrize("name", NAMES)
def test_preparing_changes_no_output(name, tmp_path):
    model = odd_models.odd_model(name)
    onnx.save(model, tmp_path / "m.onnx")
    source = load_model(tmp_path / "m.onnx", {})
    prepared = prepare_model(source)
    columns = odd_models.samples(model)
    sessions = [open_session(m, Runtime()) for m in (source, prepared)]
    for index in range(4):
        feeds = {key: np.asarray(column[index]) for key, column in columns.items()}
        want, got = (run_session(session, feeds) for session in sessions)
        assert list(got) == list(want)
        for key in want:
            assert got[key].dtype == want[key].dtype
            np.testing.assert_allclose(got[key], want[key], atol=1e-3 if got[key].itemsize == 2 else 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_split_over_two_devices_gives_the_same_bits(name, tmp_path):
    graph, calibration, feeds = calibrated(odd_models.odd_model(name), tmp_path)
    able = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
    for int8 in ([], able, able[::2]):
        mixed = rebuild(graph, calibration.of(int8), calibration.ranges)
        whole = open_session(mixed, Runtime(), Optimization.BASIC)
        for cut in range(len(graph.units) + 1):
            devices = ("a",) * cut + ("b",) * (len(graph.units) - cut)
            stages = [stage.model for stage in split(mixed, graph, Placement(devices, "a", "a"))]
            chain = Chain(stages, Runtime(), Optimization.BASIC)
            for one in feeds[:3]:
                assert same_bits(run_session(whole, one), chain.run(one, graph.outputs))


def test_a_nested_graph_is_one_unit_that_stays_in_float(tmp_path):
    graph, calibration, _ = calibrated(odd_models.odd_model("nested_if"), tmp_path)
    nested = next(unit for unit in graph.units if "If" in unit.op_types)
    assert nested.obstacle == "If runs a nested graph"
    assert set(nested.inputs) == {"flag", "other", "h", "x"}
    assert nested.weight_bytes == 4 * 4 * 4
    mixed = rebuild(
        graph,
        calibration.of([unit.index for unit in graph.units if unit.can_be(Precision.INT8)]),
        calibration.ranges,
    )
    inner = [node.op_type for node in all_nodes(mixed.graph)]
    assert inner.count("MatMul") == 1


def test_kernels_of_a_nested_graph_count_once(tmp_path):
    graph, _, feeds = calibrated(odd_models.odd_model("loop"), tmp_path)
    trace = Trace(tmp_path / "run", tmp_path / "optimized.onnx")
    session = open_session(tag_model(graph.model, graph), Runtime(), trace=trace)
    run_session(session, feeds[0])
    ran = Path(session.end_profiling())
    assert "Tanh" in read_op_types(ran)
    kernels = read_kernels(ran, trace.optimized_model).kernels
    assert sorted(kernel.op_type for kernel in kernels) == ["Gemm", "Gemm", "Loop"]


def test_weights_that_are_fed_are_not_quantized(tmp_path):
    graph, _, _ = calibrated(odd_models.odd_model("fed_weights"), tmp_path)
    assert [unit.quantizable for unit in graph.units] == [False, True]


def test_only_float32_units_are_quantized(tmp_path):
    graph, _, _ = calibrated(odd_models.odd_model("integers"), tmp_path)
    obstacles = [(unit.op_types[0], unit.why_not(Precision.INT8)) for unit in graph.units]
    # The runtime makes x the Gemm's bias, which is added on its own.
    assert {("Gemm", ""), ("Add", ""), ("Add", "'words' is int64, not float32")} <= set(obstacles)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g (float[1, 4] x) => (float[1, 4] y) { y = RandomNormalLike (x) }", "RandomNormalLike is random"),
        ("g (float[1, 4] x) => (float[1, 4] y) { y = my.ops.Strange (x) }", "operator my.ops:Strange is not"),
        ("g (float[1, 4] x) => (float[n, 4] y) { c = Cast <to = 9> (x) i = NonZero (c) t = Transpose (i) "
         "f = Cast <to = 1> (t) y = MatMul (f, w) }", "has a dynamic shape"),
        ("g (float[1, 4] x) => (seq(float[1, 4]) y) { y = SequenceConstruct (x, x) }",
         "output 'y' is a sequence, which is not supported"),
        ("g (string[1, 4] x) => (string[1, 4] y) { y = Identity (x) }", "is of type string"),
        ("g (float[1, 4] x) => (bfloat16[1, 4] y) { y = Cast <to = 16> (x) }",
         "of type bfloat16, which is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_by_name(text, message, tmp_path):
    model = parser.parse_model('<ir_version: 8, opset_import: ["" : 17, "my.ops" : 1]> ' + text)
    weight = np.ones((2, 4), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=re.escape(message)):
        build_graph(prepare_model(load_model(tmp_path / "m.onnx", {})))


@pytest.fixture(scope="module")
def quantized_halfway(tmp_path_factory):
    """A model whose first two units came quantized."""
    folder = tmp_path_factory.mktemp("halfway")
    graph, calibration, _ = calibrated(models.residual(), folder)
    return rebuild(graph, calibration.of([0, 1]), calibration.ranges)


def test_quantized_units_stay_as_they_are(quantized_halfway, tmp_path):
    graph, calibration, _ = calibrated(quantized_halfway, tmp_path)
    given = [unit for unit in graph.units if unit.quantized]
    assert sum("Conv" in unit.op_types for unit in given) == 2
    behind = next(unit for unit in graph.units if "Conv" in unit.op_types and unit not in given)
    assert behind.obstacle == "is quantized already"  # its input is
    assert not any(unit.quantizable for unit in given)
    able = [unit.index for unit in graph.units if unit.can_be(Precision.INT8)]
    assert able
    mixed = rebuild(graph, calibration.of(able), calibration.ranges)
    before = sum(node.op_type == "QuantizeLinear" for node in quantized_halfway.graph.node)
    added = quantized_tensors(mixed).keys()
    after = sum(node.op_type == "QuantizeLinear" for node in mixed.graph.node)
    assert after == before + len(added)
    assert added.isdisjoint(name for unit in given for name in unit.inputs if "/given" in name)


def test_a_quantized_model_is_planned_without_new_noise(tmp_path):
    (tmp_path / "first").mkdir()
    graph, calibration, _ = calibrated(models.residual(), tmp_path / "first")
    everything = rebuild(
        graph,
        calibration.of([unit.index for unit in graph.units if unit.can_be(Precision.INT8)]),
        calibration.ranges,
    )
    outcome = plan(everything, tmp_path, budget={"noise_relative_rms": 0})
    computing = [a for a in outcome.plan.assignments if "Quantize" not in a.unit]
    assert {a.precision.value for a in computing} == {"int8"}
    assert outcome.plan.measured.noise_relative_rms == 0
    quantizers = [
        sum(node.op_type == "QuantizeLinear" for node in m.graph.node)
        for m in (everything, outcome.built.mixed)
    ]
    assert quantizers[0] == quantizers[1]


def test_a_quantized_unit_needs_a_device_that_computes_in_int8(quantized_halfway, tmp_path):
    with pytest.raises(
        ScenarioError, match="is quantized already, but no device that it may run on may compute in int8"
    ):
        plan(quantized_halfway, tmp_path, precisions=["fp32"])


NORMALIZED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 6, 8] x) => (float[1, 6, 8] y)
<float[8, 8] w, float epsilon = {0.00001}, float half = {0.5}, float three = {3.0}>
{ m = MatMul (x, w)
  mean = ReduceMean <axes = [-1]> (m)
  centred = Sub (m, mean)
  squared = Mul (centred, centred)
  variance = ReduceMean <axes = [-1]> (squared)
  safe = Add (variance, epsilon)
  DIVIDE
}
"""


@pytest.mark.parametrize(
    "divide",
    [
        "root = Sqrt (safe) y = Div (centred, root)",
        "root = Sqrt (safe) inverse = Reciprocal (root) y = Mul (centred, inverse)",
        "root = Pow (safe, half) y = Div (centred, root)",
        "same = Transpose <perm = [0, 1, 2]> (safe) log = Log (same) y = Mul (centred, log)",
    ],
)
def test_what_is_divided_by_stays_in_float(divide):
    graph = build_graph(prepare_model(models.with_weights(NORMALIZED.replace("DIVIDE", divide))))
    able = {unit.outputs[0]: unit.quantizable for unit in graph.units}
    assert able["m"]
    assert not able["squared"]
    assert not able["safe"]
    obstacle = next(unit.obstacle for unit in graph.units if unit.outputs == ("safe",))
    assert "8 bits would make small values zero" in obstacle


def test_a_cube_and_a_constant_divisor_are_no_obstacle():
    text = NORMALIZED.replace(
        "DIVIDE", "cube = Pow (safe, three) third = Div (cube, three) y = Mul (third, m)"
    )
    graph = build_graph(prepare_model(models.with_weights(text)))
    able = {unit.outputs[0]: unit.quantizable for unit in graph.units}
    assert able["safe"]
    assert able["squared"]


@pytest.mark.parametrize(
    "text",
    [
        "s = SequenceConstruct (a, b) i = Constant <value_int = 0> () q = SequenceAt (s, i) d = Relu (q)",
        "q = Cast <to = 16> (a) r = Cast <to = 1> (q) d = Add (r, b)",
        "n = NonZero (a) c = Cast <to = 1> (n) m = ReduceMax <keepdims = 0> (c) d = Mul (b, m)",
    ],
)
def test_what_cannot_be_handed_over_stays_inside_one_unit(text, tmp_path):
    body = f"{{ a = MatMul (x, w) b = Relu (a) {text} y = MatMul (d, w) }}"
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 4] x) => (float[1, 4] y) '
    model = models.with_weights(head + "<float[4, 4] w> " + body)
    outcome = plan(model, tmp_path)
    assert outcome.plan.measured.chain.basic_bit_equal
    assert any("MatMul" in unit.op_types for unit in outcome.built.graph.units if unit.quantizable)
