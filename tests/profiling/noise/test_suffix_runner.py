"""Running only what lies behind a change shows the noise that running the whole model shows."""

import numpy as np
import onnx
import pytest

from profiling.noise.noise_power import noise_power
from profiling.noise.suffix_runner import SuffixRunner
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.fake_quantization import tensor_roundings, weight_roundings, with_rounded
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session, run_samples


def quantized(prepared) -> onnx.ModelProto:
    nodes = prepared.calibration.of(prepared.graph.quantizable_nodes)
    return quantize(prepared.graph.model, nodes, prepared.calibration.ranges)


def whole_model_noise(prepared, changed: onnx.ModelProto) -> float:
    exact, noisy = (
        list(run_samples(open_session(model, Runtime()), prepared.samples))
        for model in (prepared.graph.model, changed)
    )
    return noise_power(noisy, exact)


@pytest.fixture(params=["residual", "branches"])
def prepared(request):
    return request.getfixturevalue(request.param)


def test_noise_of_each_tensor_is_that_of_the_whole_model_with_it_rounded(prepared):
    graph, roundings = prepared.graph, tensor_roundings(quantized(prepared))
    runner = SuffixRunner(graph, prepared.samples)
    compared = 0
    for position in range(len(graph.units) + 1):
        names = graph.inputs if not position else graph.units[position - 1].outputs
        for name in set(names) & roundings.keys():
            expected = whole_model_noise(prepared, with_rounded(graph.model, [roundings[name]], {}))
            changes = runner.rounded_tensor(roundings[name])
            assert changes is not None
            assert runner.noise_of(changes).output == pytest.approx(expected, rel=1e-2)
            compared += 1
        if position < len(graph.units):
            runner.advance()
    assert compared == len(set(graph.boundary_tensors()) & roundings.keys())


def test_noise_of_a_unit_s_weights_is_that_of_the_whole_model_with_them_rounded(prepared):
    graph, roundings = prepared.graph, weight_roundings(quantized(prepared))
    runner = SuffixRunner(graph, prepared.samples)
    nodes = {node.name: node for node in graph.model.graph.node}
    for unit in graph.units:
        read = [name for node in unit.nodes for name in nodes[node].input if name in roundings]
        weights = {name: roundings[name].rounded(name) for name in read}
        outputs = runner.outputs_of_rounded_unit([], weights)
        runner.advance()
        expected = whole_model_noise(prepared, with_rounded(graph.model, [], weights))
        assert runner.noise_of(outputs).output == pytest.approx(expected, rel=1e-2, abs=1e-12)
        assert (expected > 0) == bool(weights)


def test_a_tensor_that_rounding_does_not_change_is_not_followed(prepared):
    roundings = tensor_roundings(quantized(prepared))
    name = prepared.graph.inputs[0]
    steps = [{name: roundings[name].rounded(feeds[name])} for feeds in prepared.samples]
    assert SuffixRunner(prepared.graph, steps).rounded_tensor(roundings[name]) is None


def test_the_error_as_float16_is_the_ratio_of_both_squared_errors(prepared):
    rounding = tensor_roundings(quantized(prepared))[prepared.graph.inputs[0]]
    runner = SuffixRunner(prepared.graph, prepared.samples)
    exact = np.stack([feeds[rounding.tensor] for feeds in prepared.samples]).astype(np.float64)
    half = exact.astype(np.float32).astype(np.float16).astype(np.float64)
    steps = rounding.rounded(exact.astype(np.float32)).astype(np.float64)
    expected = np.square(half - exact).sum() / np.square(steps - exact).sum()
    assert runner.float16_error(rounding) == pytest.approx(expected, rel=1e-6)
    large = [{rounding.tensor: feeds[rounding.tensor] * np.float32(1e6)} for feeds in prepared.samples]
    assert SuffixRunner(prepared.graph, large).float16_error(rounding) is None


def test_no_more_tensors_are_kept_than_later_units_read(prepared):
    graph = prepared.graph
    runner = SuffixRunner(graph, prepared.samples[:1])
    for position in range(1, len(graph.units)):
        runner.advance()
        read = {name for unit in graph.units[position:] for name in unit.inputs}
        assert set(runner._live[0]) <= read
        session = open_session(
            SubmodelExtractor(graph.model).extract(graph.inputs, sorted(runner._live[0])), Runtime()
        )
        (expected,) = run_samples(session, prepared.samples[:1])
        for name, values in runner._live[0].items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5)
