"""Units that quantization spoils stay in float, with their reason; those that it does not are quantized."""

import numpy as np
import onnx
import pytest
from crash_notes import write_crashes
from onnx import TensorProto, helper, numpy_helper
from planned_models import plan_model
from text_models import assert_same, loaded, make, samples_of, weight

from profiling.graph.unit_graph import ModelGraph, build_graph, with_refusals
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.qdq_model import INT8_REDUCED, Scheme, quantize
from profiling.runtime.crash_journal import SUFFIX, CrashJournal
from profiling.runtime.open_session import Runtime, open_session, run_session

LEVEL = Optimization.DEFAULT


def check_of(graph: ModelGraph, samples, folder, scheme: Scheme = INT8_REDUCED) -> UnitCheck:
    calibration = Calibration(scheme, folder / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, samples, calibration.ranges)
    return UnitCheck(graph, calibration, samples[:2], LEVEL, CrashJournal(folder / f"j{SUFFIX}"))


def checked(model: onnx.ModelProto, folder, **scheme) -> tuple[ModelGraph, dict[str, str], list]:
    source = loaded(model, folder)
    samples = samples_of(source, 6)
    graph = build_graph(prepare_model(source, samples))
    return graph, refused_units(check_of(graph, samples, folder, **scheme)), samples


CONVS = "(float[1, 3, 9, 9] x) => (float[1, 4, a, b] y) {{ h = Conv <pads = [1, 1, 1, 1]> (x, w) {} }}"


def test_sound_units_are_not_refused(tmp_path):
    text = CONVS.format("r = Relu (h) p = AveragePool <kernel_shape = [3, 3]> (r) y = Conv (p, v)")
    model = make(text, {"w": weight(8, 3, 3, 3), "v": weight(4, 8, 1, 1)})
    graph, reasons, _ = checked(model, tmp_path)
    assert any(unit.quantizable for unit in graph.units)
    assert reasons == {}


def test_where_nothing_is_refused_the_tool_is_called_once(tmp_path, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return quantize(*arguments)

    monkeypatch.setattr("profiling.noise.unit_check.quantize", counted)
    text = CONVS.format("r = Relu (h) p = AveragePool <kernel_shape = [3, 3]> (r) y = Conv (p, v)")
    _, reasons, _ = checked(make(text, {"w": weight(8, 3, 3, 3), "v": weight(4, 8, 1, 1)}), tmp_path)
    assert reasons == {}
    assert len(calls) == 1


def test_a_relu_whose_readers_stay_in_float_is_judged_by_what_they_read(tmp_path):
    # The tool takes the Relu out, as integers have no sign; what reads it in float dequantizes on its own.
    text = (
        "(float[8, 32] x) => (float[8, 6] y) "
        "{ a = MatMul (x, w) r = Relu (a) d = MatMul (r, v) s = Add (d, x) y = MatMul (s, u) }"
    )
    model = make(text, {"w": weight(32, 64), "v": weight(64, 32), "u": weight(32, 6)})
    graph, reasons, _ = checked(model, tmp_path)
    assert any(unit.quantizable for unit in graph.units)
    assert reasons == {}


def test_what_the_tool_refuses_is_named_with_its_weights(tmp_path):
    text = (
        "(float[1, 8, 6, 6] x) => (float[1, 8, a, b] y) "
        "{ y = ConvTranspose <group = 2, strides = [2, 2]> (x, w, b) }"
    )
    graph, reasons, _ = checked(make(text, {"w": weight(8, 4, 2, 2), "b": weight(8)}), tmp_path)
    (reason,) = reasons.values()
    assert "ConvTranspose" in reason
    assert "'w' [8, 4, 2, 2]" in reason
    assert "\n" not in reason
    assert not with_refusals(graph, {Precision.INT8: reasons}).units[0].takes_integers


def test_one_refused_unit_leaves_the_others_quantized(tmp_path):
    text = (
        "(float[1, 8, 6, 6] x) => (float[1, 8, a, b] y) { h = Conv (x, k) "
        "t = ConvTranspose <group = 2, strides = [2, 2]> (h, w, b) y = Conv (t, k) }"
    )
    model = make(text, {"k": weight(8, 8, 1, 1), "w": weight(8, 4, 2, 2), "b": weight(8)})
    graph, reasons, samples = checked(model, tmp_path)
    assert len(reasons) == 1
    kept = with_refusals(graph, {Precision.INT8: reasons})
    assert [unit.takes_integers for unit in kept.units] == [True, False, True]
    check = check_of(kept, samples, tmp_path)
    mixed = check.quantized([unit for unit in kept.units if unit.takes_integers])
    for feeds in samples[:2]:
        want, got = (run_session(open_session(m, Runtime()), feeds)["y"] for m in (graph.model, mixed))
        assert np.linalg.norm(got - want) <= 0.05 * np.linalg.norm(want)


def test_a_pool_whose_integer_kernel_computes_something_else_stays_in_float_between_int8_ones(tmp_path):
    pool = (
        "r = Relu (h) p = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], "
        "ceil_mode = 1, count_include_pad = 1> (r) y = Conv (p, v)"
    )
    text = (
        "(float[1, 3, 10, 10] x) => (float[1, 4, a, b] y) { h = Conv <pads = [1, 1, 1, 1]> (x, w) "
        + pool
        + " }"
    )
    model = make(text, {"w": np.abs(weight(8, 3, 3, 3)), "v": weight(4, 8, 1, 1)})
    source = loaded(model, tmp_path)
    samples = samples_of(source, 6)
    graph = build_graph(prepare_model(source, samples))
    graph = with_refusals(graph, {Precision.INT8: refused_units(check_of(graph, samples, tmp_path))})
    mixed = check_of(graph, samples, tmp_path).quantized([u for u in graph.units if u.takes_integers])
    for feeds in samples:
        want, got = (run_session(open_session(m, Runtime()), feeds)["y"] for m in (source, mixed))
        assert got.shape == want.shape
        assert np.linalg.norm(got - want) <= 0.05 * np.linalg.norm(want)


@pytest.mark.parametrize("operator", ["AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu", "Softmax"])
def test_a_float_unit_between_int8_ones_runs_no_integer_kernel(operator, tmp_path):
    pool = " <kernel_shape = [2, 2]>" if operator == "AveragePool" else ""
    text = CONVS.format(f"p = {operator}{pool} (h) y = Conv (p, v)")
    model = make(text, {"w": weight(8, 3, 3, 3), "v": weight(4, 8, 1, 1)})
    source = loaded(model, tmp_path)
    samples = samples_of(source)
    graph = build_graph(prepare_model(source, samples))
    convs = [node for unit in graph.units if "Conv" in unit.op_types for node in unit.nodes]
    convs = [n.name for n in graph.model.graph.node if n.op_type == "Conv" and n.name in convs]
    calibration = Calibration(INT8_REDUCED, tmp_path / "ranges.json")
    calibrate(graph.model, convs, samples, calibration.ranges)
    mixed = quantize(graph.model, calibration.of(convs), calibration.ranges)
    default, plain = (open_session(mixed, Runtime(), level) for level in (LEVEL, Optimization.NONE))
    for feeds in samples:  # the same but for what the integer convolutions round
        got, want = run_session(default, feeds)["y"], run_session(plain, feeds)["y"]
        np.testing.assert_allclose(got, want, atol=0.03 * np.abs(want).max())


def test_sixteen_bits_keep_channels_of_next_to_no_weight_under_a_real_bias(tmp_path):
    k = weight(8, 3, 3, 3)
    k[:4] *= 1e-7
    text = CONVS.format("r = Relu (g) y = Conv (r, v)").replace("(x, w)", "(x, w, b)").replace("h = ", "g = ")
    model = make(text, {"w": k, "b": np.linspace(1, 3, 8, dtype=np.float32), "v": weight(4, 8, 1, 1)})
    graph, reasons, samples = checked(model, tmp_path, scheme=Scheme(precision=Precision.INT16))
    assert reasons == {}
    check = check_of(graph, samples, tmp_path, Scheme(precision=Precision.INT16))
    mixed = check.quantized(graph.units)
    for feeds in samples:
        want, got = (run_session(open_session(m, Runtime()), feeds)["y"] for m in (graph.model, mixed))
        assert np.linalg.norm(got - want) <= 0.01 * np.linalg.norm(want)


def test_a_unit_over_which_a_process_died_is_left_out(tmp_path):
    model = make(CONVS.format("y = Conv (h, v)"), {"w": weight(8, 3, 3, 3), "v": weight(4, 8, 1, 1)})
    source = loaded(model, tmp_path)
    samples = samples_of(source)
    graph = build_graph(prepare_model(source, samples))
    journal = tmp_path / f"j{SUFFIX}"
    write_crashes(journal, f"{graph.units[0].name} {INT8_REDUCED.label}", times=1)
    assert refused_units(check_of(graph, samples, tmp_path)) == {}
    write_crashes(journal, f"{graph.units[0].name} {INT8_REDUCED.label}")
    reasons = refused_units(check_of(graph, samples, tmp_path))
    assert list(reasons) == [graph.units[0].name]
    assert "crashed" in reasons[graph.units[0].name]


def test_a_journal_forgets_what_was_survived(tmp_path):
    path = tmp_path / f"a{SUFFIX}"
    journal = CrashJournal(path)
    with journal.entry("one"):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(ValueError, match="x"), journal.entry("two"):
        raise ValueError("x")
    assert CrashJournal(path).cause_of("two") == ""


def test_an_obstacle_of_a_unit_is_told_with_the_plan(tmp_path):
    text = "(float[1, 8, 6, 6] x) => (float[1, 8, a, b] y) { y = ConvTranspose <group = 2> (x, w, b) }"
    model = make(text, {"w": weight(8, 4, 2, 2), "b": weight(8)})
    feeds = {"x": np.random.default_rng(0).normal(size=(12, 8, 6, 6)).astype(np.float32)}
    outcome = plan_model(tmp_path, model, feeds, objective="memory")
    assert {a.precision.value for a in outcome.plan.assignments} == {"fp32"}
    assert outcome.plan.measured.noise_relative_rms == 0


def test_two_inputs_with_constants_of_the_same_name_pattern_keep_numbers(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "x_scale"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight(4, 3, 1, 1), "x_scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph_, reasons, samples = checked(model, tmp_path)
    assert reasons == {}
    assert_same(model, graph_.model, samples)


def test_what_touches_a_mask_of_infinity_stays_in_float(tmp_path):
    text = (
        "(float[1, 4, 8] x) => (float[1, 4, 4] y) { q = MatMul (x, w) t = Transpose <perm = [0, 2, 1]> (q) "
        "a = MatMul (q, t) m = Where (c, a, f) s = Softmax (m) y = MatMul (s, v) }"
    )
    low = np.tril(np.ones((1, 4, 4), bool))
    constants = {"w": weight(8, 8), "v": weight(4, 4), "c": low, "f": np.float32(-np.inf)}
    graph, reasons, samples = checked(make(text, constants), tmp_path)
    assert any("holds infinity" in reason for reason in reasons.values())
    kept = with_refusals(graph, {Precision.INT8: reasons})
    check = check_of(kept, samples, tmp_path)
    mixed = check.quantized([unit for unit in kept.units if unit.takes_integers])
    for feeds in samples[:2]:
        want, got = (run_session(open_session(m, Runtime()), feeds)["y"] for m in (graph.model, mixed))
        assert np.linalg.norm(got - want) <= 0.1 * np.linalg.norm(want)
