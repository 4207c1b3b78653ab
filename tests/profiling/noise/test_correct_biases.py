"""Bias correction: means that rounding adds, taken from biases where that lessens the noise."""

import json

import models
import numpy as np
import pytest
from onnx import numpy_helper
from planned_models import scenario_around, scenario_content

from planner.cli.commands import main
from planner.inputs.prepared_scenario import prepare
from profiling.graph.unit_graph import ModelGraph, build_graph
from profiling.noise.correct_biases import correct_biases
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.fake_quantization import weight_roundings
from profiling.quantization.qdq_model import INT8, SCHEMES, Scheme, quantize
from profiling.quantization.ranges_file import has_bias_errors, read_bias_errors
from profiling.runtime.open_session import Runtime, open_session, run_samples

CORRECTED = Scheme(bias_correction=True)
_POINTWISE = """
<ir_version: 8, opset_import: ["" : %d]>
g (float[1, 16, 6, 6] x) => (float[1, 8, 6, 6] y)
<float[8, 16, 1, 1] w, float[8] b>
{
    y = Conv <kernel_shape = [1, 1]> (x, w, b)
}
"""
_DENSE = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[4, 16] x) => (float[4, 8] y)
<float[8, 16] w, float[8] b>
{
    y = Gemm <transB = 1> (x, w, b)
}
"""
_TWO_READERS = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y, float[1, 8, 4, 4] z)
<float[8, 8, 1, 1] v, float[8, 8, 1, 1] w, float[8] b>
{
    y = Conv <kernel_shape = [1, 1]> (x, v, b)
    z = Conv <kernel_shape = [1, 1]> (x, w, b)
}
"""


def graph_of(text: str) -> ModelGraph:
    return build_graph(prepare_model(models.with_weights(text)))


def positive(graph: ModelGraph, count: int = 24, seed: int = 1) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    shape = graph.tensors["x"].shape
    return [{"x": rng.uniform(0.5, 1.5, shape).astype(np.float32)} for _ in range(count)]


def ranges_of(graph: ModelGraph, samples, folder, *, reduced: bool = False):
    path = folder / f"ranges{reduced}.json"
    calibrate(graph.model, graph.quantizable_nodes, samples, path)
    correct_biases(graph, samples, path, reduced=reduced)
    return path


def noise(graph: ModelGraph, scheme: Scheme, ranges, samples) -> float:
    chosen = dict.fromkeys(graph.quantizable_nodes, scheme)
    model = quantize(graph.model, chosen, ranges, graph.guarded_nodes)
    exact = run_samples(open_session(graph.model, Runtime()), samples)
    return noise_power(run_samples(open_session(model, Runtime(), Optimization.BASIC), samples), exact)


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize(
    "text", [_POINTWISE % 13, _POINTWISE % 18, _DENSE], ids=["opset13", "opset18", "gemm"]
)
def test_errors_are_the_means_that_rounded_weights_add(text, reduced, tmp_path):
    graph = graph_of(text)
    samples = positive(graph)
    path = ranges_of(graph, samples, tmp_path, reduced=reduced)
    (found,) = read_bias_errors(path, reduced=reduced).values()
    plain = quantize(graph.model, dict.fromkeys(graph.quantizable_nodes, Scheme(reduce_range=reduced)), path)
    (weight,) = (t for t in graph.model.graph.initializer if len(t.dims) > 1)
    exact = numpy_helper.to_array(weight).reshape(8, 16)
    rounded = numpy_helper.to_array(weight_roundings(plain)[weight.name].rounded("w")).reshape(8, 16)
    counted = [feeds["x"] for number, feeds in enumerate(samples[::-1]) if number % 4]
    channels = [np.moveaxis(x, 1, -1).reshape(-1, 16) for x in counted]
    mean_input = np.mean([rows.mean(axis=0) for rows in channels], axis=0)
    assert found == pytest.approx(list((rounded - exact) @ mean_input), abs=1e-5)
    assert np.abs(found).max() > 1e-4


@pytest.mark.parametrize("reduced", [False, True])
def test_noise_on_other_samples_falls(reduced, tmp_path):
    graph = graph_of(_POINTWISE % 17)
    path = ranges_of(graph, positive(graph), tmp_path, reduced=reduced)
    others = positive(graph, seed=2)
    plain, corrected = (
        noise(graph, Scheme(reduce_range=reduced, bias_correction=side), path, others)
        for side in (False, True)
    )
    assert corrected < 0.9 * plain


def test_where_it_does_not_pay_biases_stay(tmp_path):
    graph = graph_of(_POINTWISE % 17)
    rng = np.random.default_rng(3)
    pairs = [rng.normal(size=graph.tensors["x"].shape).astype(np.float32) for _ in range(12)]
    samples = [{"x": sign * one} for one in pairs for sign in (1, -1)]  # of no mean
    path = ranges_of(graph, samples, tmp_path)
    assert read_bias_errors(path, reduced=False) == {}
    assert has_bias_errors(path, [False])
    chosen = [dict.fromkeys(graph.quantizable_nodes, scheme) for scheme in (INT8, CORRECTED)]
    plain, corrected = (quantize(graph.model, one, path).SerializeToString() for one in chosen)
    assert plain == corrected


def test_two_nodes_that_share_a_bias_are_corrected_by_their_own_errors(tmp_path):
    graph = graph_of(_TWO_READERS)
    path = ranges_of(graph, positive(graph), tmp_path)
    one, other = read_bias_errors(path, reduced=False).values()
    assert one != other
    model = quantize(graph.model, dict.fromkeys(graph.quantizable_nodes, CORRECTED), path)
    biases = [node.input[2] for node in graph.model.graph.node if node.op_type == "Conv"]
    rounded = [numpy_helper.to_array(weight_roundings(model)[name].rounded("b")) for name in biases]
    assert rounded[0] - rounded[1] == pytest.approx(np.subtract(other, one), abs=1e-4)


def test_only_nodes_that_are_in_integers_have_other_biases(residual, tmp_path):
    graph = residual.graph
    samples = [{"x": np.abs(feeds["x"])} for feeds in residual.samples]
    path = ranges_of(graph, samples, tmp_path)
    errors = {node.name: 0.5 for node in graph.model.graph.node if node.op_type == "Conv"}
    content = json.loads(path.read_text())
    channels = {node.name: node.input[2] for node in graph.model.graph.node if node.name in errors}
    sizes = {init.name: init.dims[0] for init in graph.model.graph.initializer}
    content["bias_errors"] = {"8": {name: [0.5] * sizes[bias] for name, bias in channels.items()}}
    path.write_text(json.dumps(content))
    first = next(iter(errors))
    calibration = Calibration(CORRECTED, path)
    model = quantize(graph.model, calibration.at({first: Precision.INT8}), path)
    before = {t.name: numpy_helper.to_array(t) for t in graph.model.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    others = [bias for name, bias in channels.items() if name != first]
    assert others
    assert all((before[bias] == after[bias]).all() for bias in others)
    rounded = numpy_helper.to_array(weight_roundings(model)[channels[first]].rounded("b"))
    assert rounded == pytest.approx(before[channels[first]] - 0.5, abs=1e-3)


def test_errors_of_weights_of_both_bits_stand_in_one_file(tmp_path):
    graph = graph_of(_POINTWISE % 17)
    samples = positive(graph)
    path = ranges_of(graph, samples, tmp_path)
    assert not has_bias_errors(path, [True, False])
    before = read_bias_errors(path, reduced=False)
    correct_biases(graph, samples, path, reduced=True)
    assert has_bias_errors(path, [True, False])
    assert read_bias_errors(path, reduced=False) == before != read_bias_errors(path, reduced=True)
    assert not has_bias_errors(tmp_path / "none.json", [True])


def test_labels_tell_what_is_corrected_and_what_costs_seconds():
    assert CORRECTED.label == "int8-bias-corrected"
    assert CORRECTED.at(Precision.INT16).bias_correction
    assert not CORRECTED.at(Precision.INT8_DYNAMIC).bias_correction
    assert CORRECTED.as_timed == INT8


def test_a_plan_with_corrected_biases_is_quieter_and_exported_again_byte_for_byte(tmp_path, capsys):
    values = np.random.default_rng(5).uniform(0.5, 1.5, (32, 1, 16, 6, 6)).astype(np.float32)
    forced = {"placement": {"precision": {"*": "int8"}}, "profiling": {"rounds": 3, "noise_samples": 8}}
    content = scenario_content(tmp_path, models.with_weights(_POINTWISE % 17), {"x": values}, **forced)
    (tmp_path / "s.yaml").write_text(json.dumps(content))
    found = {}
    for corrected in ("false", "true"):
        folder = tmp_path / corrected
        setting = f"quantization.bias_correction={corrected}"
        with pytest.raises(SystemExit, match="0"):
            main([str(tmp_path / "s.yaml"), "--out", str(folder), "--set", setting])
        found[corrected] = json.loads((folder / "plan.json").read_text())
    told = capsys.readouterr().out
    assert SCHEMES[found["true"]["quantization"]["a"]].bias_correction
    noises = {key: plan["measured"]["noise_relative_rms"] for key, plan in found.items()}
    assert noises["true"] < 0.95 * noises["false"]
    predicted = {key: plan["predicted"]["noise_relative_rms"] for key, plan in found.items()}
    assert predicted["true"] == pytest.approx(noises["true"], rel=0.3)
    assert "biases of int8 and int16 units make up" in " ".join(told.split())
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(tmp_path / "true" / "plan.json"), "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (tmp_path / "true" / "model.onnx").read_bytes()
    with pytest.raises(SystemExit, match="0"):
        main(["verify", str(tmp_path / "again")])


def test_what_a_unit_alone_cannot_be_stops_no_other_biases(tmp_path):
    text = """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 16, 6, 6] x) => (float[1, 6, 8, 8] y)
        <float[4, 16, 1, 1] w, float[4] b, float[4, 3, 3, 3] t, float[6] c>
        {
            m = Conv <kernel_shape = [1, 1]> (x, w, b)
            y = ConvTranspose <kernel_shape = [3, 3], group = 2> (m, t, c)
        }
    """
    values = np.random.default_rng(5).uniform(0.5, 1.5, (32, 1, 16, 6, 6)).astype(np.float32)
    wanted = {"quantization": {"bias_correction": True}, "precisions": ["fp32", "int8", "int16"]}
    prepared = prepare(scenario_around(tmp_path, models.with_weights(text), {"x": values}, **wanted))
    transposed = prepared.models.graph.units[-1]
    assert not transposed.can_be(Precision.INT8)
    scheme = prepared.schemes["a"]
    for reduced in {scheme.reduce_range, scheme.at(Precision.INT16).reduce_range}:
        assert len(read_bias_errors(prepared.ranges, reduced=reduced)) == 1
