"""Wires: forms in which a float tensor can cross links, whatever its units compute in."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.on_device.measurement_plan import DECODE, ENCODE
from profiling.onnx_io.subgraphs import all_inputs
from profiling.precision import Wire
from profiling.quantization.keep_float import keep_float

_SIZES = (2**10, 2**14, 2**18)  # elements of the tensors on which encoding is timed
_OPSET, _IR_VERSION = 17, 8
_STEPS = 255
BYTES = {Wire.FLOAT16: 2, Wire.UINT8: 1}
_TYPES = {Wire.FLOAT16: TensorProto.FLOAT16, Wire.UINT8: TensorProto.UINT8}


@dataclass(frozen=True, slots=True)
class WiredTensor:
    """A float tensor that crosses links in a wire.

    Parameters
    ----------
    far
        Names of the nodes that read it decoded.
    due
        Whether it is an output of the model that is due decoded.
    """

    tensor: str
    wire: Wire
    far: frozenset[str] = frozenset()
    due: bool = False

    @property
    def encoded(self) -> str:
        """Name of the tensor that crosses."""
        return f"{self.tensor}_{self.wire}"

    @property
    def exact(self) -> str:
        """Name of the tensor as it was computed."""
        return f"{self.tensor}_exact" if self.due else self.tensor


def add_wires(
    model: onnx.ModelProto,
    crossings: Iterable[WiredTensor],
    ranges: Mapping[str, tuple[float, float]],
    quantized: Collection[str],
) -> onnx.ModelProto:
    """Return a copy in which far readers read tensors as they come over a link.

    Parameters
    ----------
    ranges
        Least and greatest value of the tensors with wire uint8.
    quantized
        Names of the nodes that compute in integers.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {v.name: v for v in (*copy.graph.input, *copy.graph.value_info, *copy.graph.output)}
    behind: dict[str, list[onnx.NodeProto]] = {}
    shapes: dict[str, Sequence[int]] = {}
    for one in crossings:
        shape = [d.dim_value for d in known[one.tensor].type.tensor_type.shape.dim]
        decoded = one.tensor if one.due else f"{one.tensor}_decoded"
        for node in copy.graph.node:
            if one.due:
                node.output[:] = [one.exact if name == one.tensor else name for name in node.output]
            new = decoded if node.name in one.far else one.exact
            node.input[:] = [new if name == one.tensor else name for name in node.input]
        constants, pair = _pair(one.wire, one.exact, one.encoded, decoded, ranges.get(one.tensor, (0.0, 0.0)))
        for node, side in zip(pair, (ENCODE, DECODE), strict=True):
            node.name = f"{side} {one.tensor}"
        copy.graph.initializer.extend(constants)
        behind[one.exact] = pair
        for name, kind in ((one.encoded, _TYPES[one.wire]), (decoded, 1), (one.exact, 1)):
            if name not in known:
                copy.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
        if one.wire is Wire.UINT8:
            shapes[one.encoded] = shape
    _place(copy.graph, behind)
    keep_float(copy, quantized, shapes)
    return copy


def _pair(
    wire: Wire, exact: str, encoded: str, decoded: str, limits: tuple[float, float]
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Return the nodes that bring a tensor into a wire and back, and their constants."""
    if wire is Wire.FLOAT16:
        return [], [
            helper.make_node("Cast", [exact], [encoded], to=TensorProto.FLOAT16),
            helper.make_node("Cast", [encoded], [decoded], to=TensorProto.FLOAT),
        ]
    scale, zero = affine(limits)
    constants = [
        numpy_helper.from_array(np.asarray(value), f"{encoded}_{what}")
        for value, what in ((scale, "scale"), (zero, "zero_point"))
    ]
    steps = [tensor.name for tensor in constants]
    return constants, [
        helper.make_node("QuantizeLinear", [exact, *steps], [encoded]),
        helper.make_node("DequantizeLinear", [encoded, *steps], [decoded]),
    ]


def affine(limits: tuple[float, float]) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of uint8 over a range, which is widened to hold 0."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = np.float32((high - low) / _STEPS)
    if scale < np.finfo(np.float32).tiny:
        return np.float32(1.0), np.uint8(0)
    return scale, np.uint8(round(-low / float(scale)))


def as_float16(exact: Array) -> Array | None:
    """Return a tensor as it comes out of wire float16; None if it does not fit into it."""
    with np.errstate(over="ignore"):
        half = exact.astype(np.float16)
    if not np.isfinite(half[np.isfinite(exact)]).all():
        return None
    return np.asarray(half.astype(exact.dtype))


def _place(graph: onnx.GraphProto, behind: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Put nodes behind the writers of tensors, or at the start if these are inputs."""
    written = {name for node in graph.node for name in node.output}
    nodes = [node for name, pair in behind.items() if name not in written for node in pair]
    for node in graph.node:
        nodes.append(node)
        nodes += [one for name in node.output if name in behind for one in behind[name]]
    del graph.node[:]
    graph.node.extend(nodes)


def wire_trials() -> Iterator[tuple[str, str, int, onnx.ModelProto]]:
    """Yield (wire, side, elements, model) of tiny models that encode or decode a tensor."""
    for wire in Wire:
        for size in _SIZES:
            constants, pair = _pair(wire, "x", "code", "y", (-1.0, 1.0))
            for side, node in zip((ENCODE, DECODE), pair, strict=True):
                kinds = (1, _TYPES[wire]) if side == ENCODE else (_TYPES[wire], 1)
                ends = [
                    helper.make_tensor_value_info(name, kind, [size])
                    for name, kind in zip((node.input[0], node.output[0]), kinds, strict=True)
                ]
                used = [tensor for tensor in constants if tensor.name in all_inputs(node)]
                graph = helper.make_graph([node], "wire", ends[:1], ends[1:], used)
                yield (
                    wire.value,
                    side,
                    size,
                    helper.make_model(
                        graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
                    ),
                )
