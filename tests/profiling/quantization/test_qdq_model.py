import numpy as np
import onnx
import pytest

from profiling.errors import QuantizeError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import read_array
from profiling.precision import Precision
from profiling.quantization.fake_quantization import tensor_roundings
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, Scheme, quantize
from profiling.quantization.ranges_file import read_ranges, save_ranges
from profiling.range_method import RangeMethod, TensorRanges
from profiling.runtime.open_session import Runtime, open_session, run_session


def nodes_of(prepared, units) -> tuple[str, ...]:
    return tuple(n for i in units for n in prepared.graph.units[i].nodes)


def outputs(model, prepared) -> list[dict[str, np.ndarray]]:
    session = open_session(model, Runtime())
    return [run_session(session, feeds) for feeds in prepared.samples]


def constants(model) -> dict[str, bytes]:
    """Return quantized weights with their scales, by name."""
    kinds = ("_quantized", "_scale", "_zero_point")
    return {
        i.name: i.SerializeToString(deterministic=True)
        for i in model.graph.initializer
        if i.name.endswith(kinds)
    }


def weights_of(graph, units) -> set[str]:
    inside = {n for i in units for n in graph.units[i].nodes}
    matrices = {t.name for t in graph.model.graph.initializer if len(t.dims) > 1}
    return {n for node in graph.model.graph.node if node.name in inside for n in node.input} & matrices


@pytest.mark.parametrize("seed", range(6))
def test_each_node_has_the_bits_of_its_scheme(digits, seed):
    graph, ranges = digits.graph, digits.calibration.ranges
    able = [unit.index for unit in graph.units if unit.quantizable]
    reduced = [index for index in able if np.random.default_rng(seed).random(len(graph.units))[index] < 0.5]
    uniform = {
        scheme: constants(quantize(graph.model, dict.fromkeys(graph.quantizable_nodes, scheme), ranges))
        for scheme in (INT8, INT8_REDUCED)
    }
    schemes = {
        node: INT8_REDUCED if index in reduced else INT8
        for index in able
        for node in graph.units[index].nodes
    }
    mixed = constants(quantize(graph.model, schemes, ranges))
    assert set(mixed) == set(uniform[INT8])
    for units, scheme in ((reduced, INT8_REDUCED), (set(able) - set(reduced), INT8)):
        for weight in weights_of(graph, units):
            for part in ("_quantized", "_scale", "_zero_point"):
                assert mixed[weight + part] == uniform[scheme][weight + part]


def test_symmetric_activations_are_int8_around_zero(residual):
    everything = dict.fromkeys(residual.graph.quantizable_nodes, Scheme(symmetric=True))
    model = quantize(residual.graph.model, everything, residual.calibration.ranges)
    known = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert quantizers
    for node in quantizers:
        assert known[node.input[2]].dtype == np.int8
        assert not known[node.input[2]].any()
    assert "Relu" in [node.op_type for node in model.graph.node]  # zero is not the least value now
    difference = np.abs(outputs(model, residual)[0]["y"] - outputs(residual.graph.model, residual)[0]["y"])
    assert 0 < difference.max() < 0.1


def test_symmetric_and_other_units_live_in_one_model_if_a_float_one_lies_between(residual):
    units, ranges = residual.graph.units, residual.calibration.ranges
    first = dict.fromkeys(units[0].nodes, INT8)
    last = dict.fromkeys(units[4].nodes, Scheme(symmetric=True))
    model = quantize(residual.graph.model, first | last, ranges)
    types = {
        node.output[0].removesuffix("_QuantizeLinear_Output"): next(
            i.data_type for i in model.graph.initializer if i.name == node.input[2]
        )
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert {types[t] for t in ("x", "r1")} == {onnx.TensorProto.UINT8}
    assert {types[t] for t in ("f3", "y")} == {onnx.TensorProto.INT8}
    onnx.checker.check_model(model)
    outputs(model, residual)
    touching = dict.fromkeys(units[1].nodes, Scheme(symmetric=True))
    with pytest.raises(QuantizeError, match="'r1' would be quantized in two ways"):
        quantize(residual.graph.model, first | touching, ranges)


def test_an_unknown_node_is_named(residual):
    with pytest.raises(QuantizeError, match="no such node to quantize: nothing"):
        quantize(residual.graph.model, {"nothing": INT8}, residual.calibration.ranges)


def test_no_nodes_means_nothing_is_quantized(residual):
    model = quantize(residual.graph.model, {}, residual.calibration.ranges)
    assert model == residual.graph.model


def test_int8_is_uint8_activations_and_int8_weights_per_channel(residual):
    whole = dict.fromkeys(nodes_of(residual, range(len(residual.graph.units))), INT8)
    model = quantize(residual.graph.model, whole, residual.calibration.ranges)
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[2]].data_type == onnx.TensorProto.UINT8
        if node.op_type == "DequantizeLinear" and node.input[0].startswith("w"):
            assert constants[node.input[0]].data_type == onnx.TensorProto.INT8
            assert list(constants[node.input[1]].dims) == [constants[node.input[0]].dims[0]]


def test_reduced_range_uses_seven_bits(residual):
    def largest(scheme: Scheme) -> int:
        whole = dict.fromkeys(nodes_of(residual, range(len(residual.graph.units))), scheme)
        model = quantize(residual.graph.model, whole, residual.calibration.ranges)
        weights = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.data_type == 3]
        return max(int(np.abs(w.astype(int)).max()) for w in weights)

    assert largest(INT8) == 127
    assert largest(INT8_REDUCED) <= 64


def test_the_input_model_is_left_alone(residual):
    before = residual.graph.model.SerializeToString(deterministic=True)
    quantize(residual.graph.model, dict.fromkeys(nodes_of(residual, [0]), INT8), residual.calibration.ranges)
    assert residual.graph.model.SerializeToString(deterministic=True) == before


def test_basic_and_default_optimization_agree_closely(residual):
    feeds = residual.samples[0]
    basic = run_session(open_session(residual.graph.model, Runtime(), Optimization.BASIC), feeds)
    default = run_session(open_session(residual.graph.model, Runtime()), feeds)
    np.testing.assert_allclose(basic["y"], default["y"], atol=1e-5)


@pytest.fixture
def clipped(residual, tmp_path):
    """Return a file with ranges by two methods, half and a quarter of the extremes."""
    extremes = read_ranges(residual.calibration.ranges)
    parts = {
        TensorRanges(method): {name: (low * part, high * part) for name, (low, high) in extremes.items()}
        for method, part in ((RangeMethod.MSE, 0.5), (RangeMethod.PERCENTILE, 0.25))
    }
    save_ranges(extremes, tmp_path / "r.json", parts)
    return tmp_path / "r.json"


def scales(model: onnx.ModelProto) -> dict[str, float]:
    return {name: float(read_array(one.scale)) for name, one in tensor_roundings(model).items()}


def test_a_tensor_has_the_range_of_its_8_bit_nodes(residual, clipped):
    units, model = residual.graph.units, residual.graph.model
    mse = Scheme(ranges=RangeMethod.MSE)
    int8 = scales(quantize(model, dict.fromkeys(units[0].nodes, INT8), clipped))
    halved = scales(quantize(model, dict.fromkeys(units[0].nodes, mse), clipped))
    assert halved == pytest.approx({name: scale / 2 for name, scale in int8.items()})
    wide = dict.fromkeys(units[1].nodes, mse.at(Precision.INT16))
    both = scales(quantize(model, dict.fromkeys(units[0].nodes, mse) | wide, clipped))
    between = set(units[0].outputs)
    alone = scales(quantize(model, wide, clipped))
    expected = {name: halved.get(name, scale) for name, scale in alone.items()} | halved
    assert between <= both.keys()
    assert both == pytest.approx(expected)


def test_neighbours_agree_on_the_range_between_them(residual, clipped):
    units = residual.graph.units
    first = dict.fromkeys(units[0].nodes, Scheme(ranges=RangeMethod.MSE))
    for other in (INT8, Scheme(ranges=RangeMethod.PERCENTILE)):
        with pytest.raises(QuantizeError, match="over two ranges, mse and"):
            quantize(residual.graph.model, first | dict.fromkeys(units[1].nodes, other), clipped)


def test_ranges_that_nobody_calibrated_are_refused(residual):
    chosen = dict.fromkeys(residual.graph.quantizable_nodes, Scheme(ranges=RangeMethod.ENTROPY))
    with pytest.raises(QuantizeError, match="has no ranges entropy; calibrate again"):
        quantize(residual.graph.model, chosen, residual.calibration.ranges)
