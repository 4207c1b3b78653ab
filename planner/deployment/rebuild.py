"""Plan + model -> mixed-precision model, as the plan says to the last tensor; `mixed_model` makes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import overload

import onnx
from onnx import checker, shape_inference

from planner.errors import RebuildError
from profiling.graph.any_model import AnyModel
from profiling.graph.mixed_model import mixed_model
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.external_weights import check_model
from profiling.precision import Precision
from profiling.quantization.int16_activations import WIDE_TYPES
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX, Scheme
from profiling.runtime_names import ONNX_RUNTIME
from profiling.several_runtimes.block_graph import BlockGraph
from profiling.several_runtimes.own_ranges import own_ranges


@overload
def rebuild(graph: ModelGraph, schemes: Mapping[int, Scheme], ranges: Path) -> onnx.ModelProto: ...
@overload
def rebuild(graph: OperatorGraph, schemes: Mapping[int, Scheme], ranges: Path) -> AnyModel: ...
def rebuild(graph: OperatorGraph, schemes: Mapping[int, Scheme], ranges: Path) -> AnyModel:
    """Return the model with the given units quantized, each in its scheme, and the others in fp32.

    Parameters
    ----------
    schemes
        Index of a unit -> its scheme.
    ranges
        What the model's runtime wrote as ranges of its tensors.

    Raises
    ------
    RebuildError
        If the tool made of it what the plan does not say.
    """
    if isinstance(graph, ModelGraph):
        return _rebuild_onnx(graph, schemes, ranges)
    if isinstance(graph, BlockGraph):
        return _rebuild_in_runtime(graph, schemes, ranges)
    from planner.deployment.litert_stages import litert_mixed  # needs the extra

    return litert_mixed(graph, {index: scheme.precision for index, scheme in schemes.items()}, ranges)


def _rebuild_in_runtime(graph: BlockGraph, schemes: Mapping[int, Scheme], ranges: Path) -> AnyModel:
    """Return the model in the runtime whose scheme blocks are in."""
    scheme = next(iter(schemes.values()))
    runtime = scheme.tool or ONNX_RUNTIME
    part = graph.parts[runtime]
    mix = part.mix({block: one.precision for block, one in schemes.items()})
    own = {unit: scheme.at(precision) for unit, precision in mix.items()}
    return rebuild(part.graph, own, own_ranges(ranges, runtime))


def _rebuild_onnx(graph: ModelGraph, schemes: Mapping[int, Scheme], ranges: Path) -> onnx.ModelProto:
    """Return the ONNX model with units quantized.

    After: the checker accepts it, shapes are inferred, inputs and outputs keep names and types, and
    exactly the tensors that those units read and write are quantized, to 16 bits where all of these are wide.
    """
    mixed = shape_inference.infer_shapes(mixed_model(graph, schemes, ranges))
    precisions = {index: scheme.precision for index, scheme in schemes.items()}
    expected = set(graph.tensor_precisions(precisions).items())
    boundary = set(graph.boundary_tensors())
    quantized = {
        (name, precision) for name, precision in quantized_tensors(mixed).items() if name in boundary
    }
    if quantized != expected:
        odd = ", ".join(sorted(name for name, _ in quantized ^ expected)[:3])
        raise RebuildError(f"the quantization tool left the plan at tensor {odd}")
    try:
        check_model(mixed)
    except checker.ValidationError as exc:
        raise RebuildError(f"the rebuilt model is not valid ONNX: {exc}") from exc
    return mixed


def quantized_tensors(model: onnx.ModelProto) -> dict[str, Precision]:
    """Return the precision of each tensor that is quantized, by its name in the float model.

    That is what a QuantizeLinear writes, or an operator on integers, which has 8 bits.
    """
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {
        name.removesuffix(QUANTIZED_SUFFIX): (
            Precision.INT16
            if node.op_type == "QuantizeLinear" and types[node.input[2]] in WIDE_TYPES
            else Precision.INT8
        )
        for node in model.graph.node
        for name in node.output
        if name.endswith(QUANTIZED_SUFFIX)
    }
