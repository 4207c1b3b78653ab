"""Why a unit cannot be quantized, and whether it is already."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from profiling.graph.integer_operators import is_integer_operator
from profiling.onnx_io.external_weights import iter_chunks, read_array
from profiling.onnx_io.subgraphs import subgraphs
from profiling.quantization.qdq_model import PASSING, QUANTIZABLE, REMOVABLE, SWITCHES

_CONSTANT_WEIGHTS = frozenset(
    {"BatchNormalization", "Conv", "ConvTranspose", "Gemm", "InstanceNormalization", "LayerNormalization"}
)
# Operators on one tensor; the tool leaves in float what else they read.
_ONE_TENSOR = frozenset({"Clip", "Pad", "Resize"})
_STEEP = {"Div": 1, "Log": 0, "Reciprocal": 0, "Sqrt": 0}  # operator -> its input that must not become zero
_AVERAGES = PASSING | {"AveragePool", "Clip", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Relu"}
_SCALES = frozenset({"Add", "Mul"})  # by a constant
_MATRIX = 2  # dimensions
_CHANGES_FORMAT = SWITCHES | {"DynamicQuantizeLinear"}


def ill_conditioned_tensors(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> frozenset[str]:
    """Return the tensors that something is divided by, or whose root or logarithm is taken.

    Eight bits over a tensor's range make its small values zero. Elsewhere that is a small error; here the
    result is infinite or far off. What such a tensor is the sum or mean of is one too: all of the variance
    in a layer normalization.

    Parameters
    ----------
    nodes
        In topological order.
    """
    steep = set[str]()
    for node in reversed(nodes):  # what is read is known before what computed it is reached
        if steep.intersection(node.output):
            computed = [name for name in node.input if name and name not in constants]
            if node.op_type in _AVERAGES or (node.op_type in _SCALES and len(computed) == 1):
                steep.update(computed[:1])
        if node.op_type in _STEEP or (node.op_type == "Pow" and _is_root(constants.get(node.input[1]))):
            steep.add(node.input[_STEEP.get(node.op_type, 0)])
    return frozenset(steep - constants.keys())


def _is_root(exponent: onnx.TensorProto | None) -> bool:
    return exponent is not None and bool((read_array(exponent) < 1).any())


def why_not_quantizable(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
    types: Mapping[str, int],
    steep: Collection[str] = (),
) -> str:
    """Return why the nodes of a unit cannot be quantized together; empty if they can.

    Parameters
    ----------
    constants
        Initializers by name.
    types
        Tensor name -> ONNX element type.
    steep
        What `ill_conditioned_tensors` found in the whole model.
    """
    if any(_is_quantized(node) for node in nodes):
        return "is quantized already"
    nested = next((node for node in nodes if subgraphs(node)), None)
    if nested is not None:
        return f"{nested.op_type} runs a nested graph"
    reason = next(filter(None, (_node_obstacle(node, constants, types) for node in nodes)), "")
    infinite = [name for node in nodes for name in node.input if not _is_finite(constants.get(name))]
    if not reason and infinite:
        return f"the weight {infinite[0]!r} holds infinity or NaN"
    near_zero = [name for node in nodes for name in (*node.input, *node.output) if name in steep]
    if not reason and near_zero:
        return f"{near_zero[0]!r} is divided by, or its root is taken: 8 bits would make small values zero"
    if not reason and nodes[0].op_type in REMOVABLE:
        return f"a lone {nodes[0].op_type} is quantized only behind a quantized producer"
    return reason


def computes_on_integers(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Return whether a unit computes on integers already.

    A unit that dequantizes its input and goes on with float weights does not, nor one of which only
    the weights are int8.
    """
    computing = [node for node in nodes if node.op_type not in SWITCHES]
    weights = [constants[name] for node in computing for name in node.input if name in constants]
    if any(weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1 for weight in weights):
        return False
    return any(
        _is_quantized(node)
        for node in nodes
        if not (node.op_type == "DequantizeLinear" and node.input[0] in constants)
    )


def _node_obstacle(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], types: Mapping[str, int]
) -> str:
    if node.op_type not in QUANTIZABLE or node.domain not in ("", "ai.onnx"):
        return f"{node.op_type} has no int8 form in the quantization tool"
    computed = [name for name in (*node.input, *node.output) if name and name not in constants]
    if node.op_type in _CONSTANT_WEIGHTS and set(node.input[1:]) & set(computed):
        return f"{node.op_type} has weights that are computed or fed"
    if node.op_type in _ONE_TENSOR and any(
        types.get(name) == TensorProto.FLOAT for name in node.input[1:] if name in computed
    ):
        return f"{node.op_type} is told at run time how to change its tensor"
    ranks = [len(constants[name].dims) for name in node.input if name in constants]
    if node.op_type == "MatMul" and max(ranks, default=0) > _MATRIX:
        return "MatMul has a stack of matrices as weight, which the runtime's int8 kernel refuses"
    for name in computed:
        if name not in types:
            return f"{name!r} is no tensor, or its shape changes from sample to sample"
        if types[name] != TensorProto.FLOAT:
            return f"{name!r} is {TensorProto.DataType.Name(types[name]).lower()}, not float32"
    return ""


def _is_finite(weight: onnx.TensorProto | None) -> bool:
    if weight is None or weight.data_type != TensorProto.FLOAT:
        return True
    return all(bool(np.isfinite(block).all()) for block in iter_chunks(weight))


def _is_quantized(node: onnx.NodeProto) -> bool:
    return node.op_type in _CHANGES_FORMAT or is_integer_operator(node.op_type)
