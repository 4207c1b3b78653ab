"""Plan + model -> mixed-precision model, through the quantization tool."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import checker, shape_inference

from planner.errors import RebuildError
from profiling.graph import ModelGraph
from profiling.quantize import QUANTIZED_SUFFIX, Scheme, quantize
from profiling.weights import check_model


def rebuild(graph: ModelGraph, int8: Mapping[int, Scheme], ranges: Path) -> onnx.ModelProto:
    """Return the model with the given units in int8, each in its scheme, and the others in fp32.

    After: the checker accepts it, shapes are inferred, inputs and outputs keep names and types, and
    exactly the tensors that those units read and write are quantized.

    Parameters
    ----------
    int8
        Index of a unit -> its scheme.
    ranges
        What `calibrate` wrote for the graph's model.

    Raises
    ------
    RebuildError
        If the tool quantized other tensors than the plan says.
    """
    schemes = {node: int8[index] for index in sorted(int8) for node in graph.units[index].nodes}
    mixed = quantize(graph.model, schemes, ranges)
    mixed = shape_inference.infer_shapes(mixed)
    expected = {tensor for index in int8 for tensor in graph.quantized_by(index)}
    found = quantized_tensors(mixed) & set(graph.boundary())
    if found != expected:
        odd = ", ".join(sorted(found ^ expected)[:3])
        raise RebuildError(f"the quantization tool left the plan at tensor {odd}")
    try:
        check_model(mixed)
    except checker.ValidationError as exc:
        raise RebuildError(f"the rebuilt model is not valid ONNX: {exc}") from exc
    return mixed


def quantized_tensors(model: onnx.ModelProto) -> set[str]:
    """Return the tensors that have a QuantizeLinear, by their name in the float model."""
    return {
        node.output[0].removesuffix(QUANTIZED_SUFFIX)
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.output[0].endswith(QUANTIZED_SUFFIX)
    }
