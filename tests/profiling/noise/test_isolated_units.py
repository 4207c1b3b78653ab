"""A unit whose quantized form computes what it should is sound; one that was tampered with is not."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import numpy_helper, shape_inference
from text_models import make, weight

from profiling.errors import ModelError
from profiling.noise.isolated_units import IsolatedUnits, rms, rms_difference, run_all
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.fake_quantization import tensor_roundings, weight_roundings
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session, run_session

_VALUES = arrays.arrays(np.float32, 6, elements=st.floats(-1000, 1000, width=32))


def isolated(prepared, tamper=lambda model: None) -> IsolatedUnits:
    graph, calibration = prepared.graph, prepared.calibration
    model = quantize(graph.model, calibration.of(graph.quantizable_nodes), calibration.ranges)
    tensors, weights = tensor_roundings(model), weight_roundings(model)
    tamper(model)
    quantized = SubmodelExtractor(shape_inference.infer_shapes(model))
    return IsolatedUnits(
        graph, SubmodelExtractor(graph.model), quantized, tensors, weights, Optimization.DEFAULT
    )


def fault(prepared, units: IsolatedUnits, index: int) -> str:
    graph, samples = prepared.graph, prepared.samples[:2]
    unit = graph.units[index]
    read = [name for name in unit.inputs if name not in graph.inputs]
    if not read:
        return units.fault_of(unit, samples)
    session = open_session(SubmodelExtractor(graph.model).extract(graph.inputs, read), Runtime())
    return units.fault_of(unit, [feeds | run_session(session, feeds) for feeds in samples])


def convolution(prepared) -> tuple[int, str]:
    """Return a unit behind others, and the name of its weight."""
    graph = prepared.graph
    index = next(u.index for u in graph.units if "Conv" in u.op_types and u.index)
    nodes = [node for node in graph.model.graph.node if node.name in graph.units[index].nodes]
    return index, next(node.input[1] for node in nodes if node.op_type == "Conv")


def scaled(name: str, factor: float):
    def tamper(model: onnx.ModelProto) -> None:
        tensor = next(init for init in model.graph.initializer if init.name == name)
        array = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return tamper


def test_sound_units_have_no_fault(residual):
    units = isolated(residual)
    assert all(unit.quantizable for unit in residual.graph.units)
    assert not any(fault(residual, units, unit.index) for unit in residual.graph.units)


def test_a_weight_of_another_scale_is_a_fault(residual):
    index, name = convolution(residual)
    assert "is off by" in fault(residual, isolated(residual, scaled(f"{name}_scale", 1.5)), index)
    assert fault(residual, isolated(residual, scaled(f"{name}_scale", 1.0)), index) == ""


def test_a_tensor_that_the_tool_left_in_float_is_named(residual):
    units = isolated(residual)
    unit = residual.graph.units[1]
    units.tensors.pop(unit.outputs[0])
    assert (
        fault(residual, units, 1) == f"the quantization tool leaves its tensor {unit.outputs[0]!r} in float"
    )


def test_a_unit_that_does_not_run_is_a_fault(residual):
    def tamper(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.op_type == "Conv":
                node.op_type = "NoSuchOperator"

    index, _ = convolution(residual)
    assert fault(residual, isolated(residual, tamper), index).startswith("quantized, it does not run: ")


@given(_VALUES, _VALUES)
def test_the_difference_is_the_root_mean_square_of_numpy(a, b):
    expected = np.sqrt(np.mean((a.astype(np.float64) - b) ** 2))
    assert rms_difference(a, b) == pytest.approx(expected)
    assert rms(a) == pytest.approx(np.sqrt(np.mean(a.astype(np.float64) ** 2)))


def test_what_is_not_finite_on_one_side_only_is_infinitely_far():
    a = np.float32([1.0, np.inf, np.nan])
    assert rms_difference(a, a) == 0
    assert rms_difference(a, np.float32([1.0, np.inf, 0.0])) == np.inf
    assert rms(a) == 1.0


def test_a_sample_that_cannot_be_run_is_an_error_in_one_line():
    model = make("(float[2, 6] x, int64[2] s) => (float[a, b] y) { y = Reshape (x, s) }", {})
    with pytest.raises(ModelError) as caught:
        run_all(model, [{"x": weight(2, 6), "s": np.array([5, 5])}])
    assert "\n" not in str(caught.value)
