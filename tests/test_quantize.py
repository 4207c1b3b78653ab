import itertools

import numpy as np
import onnx
import pytest

from profiling.errors import QuantizeError
from profiling.quantize import INT8, INT8_REDUCED, Calibration, Pass, Scheme, calibrate, passes_of, quantize
from profiling.session import Optimization, Runtime, open_session, run_session


def nodes_of(prepared, units) -> tuple[str, ...]:
    return tuple(n for i in units for n in prepared.graph.units[i].nodes)


def segments(prepared, count: int) -> list[Pass]:
    """Cut all units into runs of consecutive ones that begin where the tool can begin."""
    units = prepared.graph.units
    starts = [i for i, u in enumerate(units) if u.op_types[0] in ("Conv", "Gemm")]
    cuts = [starts[len(starts) * k // count] for k in range(1, count)]
    edges = [0, *cuts, len(units)]
    return [Pass(INT8, nodes_of(prepared, range(a, b))) for a, b in itertools.pairwise(edges)]


def outputs(model, prepared) -> list[dict[str, np.ndarray]]:
    session = open_session(model, Runtime())
    return [run_session(session, feeds) for feeds in prepared.samples]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_several_passes_equal_one_bit_for_bit(digits, count):
    ranges = digits.calibration.ranges
    whole = Pass(INT8, nodes_of(digits, range(len(digits.graph.units))))
    one = outputs(quantize(digits.graph.model, [whole], ranges), digits)
    passes = segments(digits, count)
    assert len({p.nodes for p in passes}) == count
    several = outputs(quantize(digits.graph.model, passes, ranges), digits)
    for a, b in zip(one, several, strict=True):
        assert a["logits"].tobytes() == b["logits"].tobytes()


def test_passes_in_any_other_order_are_refused_before_the_call(digits):
    first, second = segments(digits, 2)
    with pytest.raises(QuantizeError, match="upstream first"):
        quantize(digits.graph.model, [second, first], digits.calibration.ranges)
    interleaved = [Pass(INT8, nodes_of(digits, [0, 2])), Pass(INT8, nodes_of(digits, [1]))]
    with pytest.raises(QuantizeError, match="upstream first"):
        quantize(digits.graph.model, interleaved, digits.calibration.ranges)


def test_a_pass_that_would_hang_the_tool_is_refused(residual):
    units = residual.graph.units
    pool = next(i for i, u in enumerate(units) if u.op_types[0] == "GlobalAveragePool")
    flatten = units[pool].nodes[1]
    before = Pass(INT8, nodes_of(residual, range(pool)) + units[pool].nodes[:1])
    with pytest.raises(QuantizeError, match=f"cannot begin at '{flatten}'"):
        quantize(residual.graph.model, [before, Pass(INT8, (flatten,))], residual.calibration.ranges)


def test_an_unknown_node_is_named(residual):
    with pytest.raises(QuantizeError, match="no such node to quantize: nothing"):
        quantize(residual.graph.model, [Pass(INT8, ("nothing",))], residual.calibration.ranges)


def test_no_nodes_means_nothing_is_quantized(residual):
    model = quantize(residual.graph.model, [Pass(INT8, ())], residual.calibration.ranges)
    assert model == residual.graph.model


def test_one_scheme_is_one_pass_and_several_are_runs(residual):
    order = [n for u in residual.graph.units for n in u.nodes]
    other = Scheme("int16")
    assert passes_of(order, {order[0]: INT8, order[3]: INT8}) == (Pass(INT8, (order[0], order[3])),)
    mixed = {order[0]: INT8, order[1]: INT8, order[2]: other, order[4]: INT8}
    assert passes_of(order, mixed) == (
        Pass(INT8, (order[0], order[1])),
        Pass(other, (order[2],)),
        Pass(INT8, (order[4],)),
    )
    assert passes_of(order, {}) == ()


def test_int8_is_uint8_activations_and_int8_weights_per_channel(residual):
    whole = Pass(INT8, nodes_of(residual, range(len(residual.graph.units))))
    model = quantize(residual.graph.model, [whole], residual.calibration.ranges)
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[2]].data_type == onnx.TensorProto.UINT8
        if node.op_type == "DequantizeLinear" and node.input[0].startswith("w"):
            assert constants[node.input[0]].data_type == onnx.TensorProto.INT8
            assert list(constants[node.input[1]].dims) == [constants[node.input[0]].dims[0]]


def test_reduced_range_uses_seven_bits(residual):
    def largest(scheme: Scheme) -> int:
        whole = Pass(scheme, nodes_of(residual, range(len(residual.graph.units))))
        model = quantize(residual.graph.model, [whole], residual.calibration.ranges)
        weights = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.data_type == 3]
        return max(int(np.abs(w.astype(int)).max()) for w in weights)

    assert largest(INT8) == 127
    assert largest(INT8_REDUCED) <= 64


def test_the_input_model_is_left_alone(residual):
    before = residual.graph.model.SerializeToString(deterministic=True)
    quantize(residual.graph.model, [Pass(INT8, nodes_of(residual, [0]))], residual.calibration.ranges)
    assert residual.graph.model.SerializeToString(deterministic=True) == before


def test_calibration_needs_samples(residual, tmp_path):
    with pytest.raises(QuantizeError, match="at least one sample"):
        calibrate(residual.graph.model, [], [], Calibration(INT8, tmp_path / "r.json"))


def test_basic_and_default_optimization_agree_closely(residual):
    feeds = residual.samples[0]
    basic = run_session(open_session(residual.graph.model, Runtime(), Optimization.BASIC), feeds)
    default = run_session(open_session(residual.graph.model, Runtime()), feeds)
    np.testing.assert_allclose(basic["y"], default["y"], atol=1e-5)
