"""Wires: forms in which a float tensor can cross links, whatever its units compute in."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.onnx_io.subgraphs import all_inputs, rename_outer_inputs, subgraphs
from profiling.precision import Wire
from profiling.quantization.keep_float import keep_float

# Elements of the tensors on which encoding is timed: 4 KiB, 64 KiB and 1 MiB of float32, between which and
# beyond which seconds are fitted.
_SIZES = (2**10, 2**14, 2**18)
_OPSET, _IR_VERSION = 17, 8
_STEPS = 255  # of uint8
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
    recorded = {v.name: v for v in (*copy.graph.input, *copy.graph.value_info, *copy.graph.output)}
    behind: dict[str, list[onnx.NodeProto]] = {}
    shapes: dict[str, Sequence[int]] = {}
    for crossing in crossings:
        tensor, exact, encoded = crossing.tensor, crossing.exact, crossing.encoded
        shape = [d.dim_value for d in recorded[tensor].type.tensor_type.shape.dim]
        decoded = tensor if crossing.due else f"{tensor}_decoded"
        for node in copy.graph.node:
            if crossing.due:
                node.output[:] = [exact if name == tensor else name for name in node.output]
            _read_instead(node, tensor, decoded if node.name in crossing.far else exact)
        constants, pair = _pair(crossing.wire, exact, encoded, decoded, ranges.get(tensor, (0.0, 0.0)))
        for node, side in zip(pair, (ENCODE, DECODE), strict=True):
            node.name = f"{side} {tensor}"
        copy.graph.initializer.extend(constants)
        behind[exact] = pair
        float32 = TensorProto.FLOAT
        for name, elem_type in ((encoded, _TYPES[crossing.wire]), (decoded, float32), (exact, float32)):
            if name not in recorded:
                copy.graph.value_info.append(helper.make_tensor_value_info(name, elem_type, shape))
        if crossing.wire is Wire.UINT8:
            shapes[encoded] = shape
    _place(copy.graph, behind)
    keep_float(copy, quantized, shapes)
    return copy


def _read_instead(node: onnx.NodeProto, old: str, new: str) -> None:
    """Let a node, and the graphs inside it, read another tensor."""
    node.input[:] = [new if name == old else name for name in node.input]
    for subgraph in subgraphs(node):
        rename_outer_inputs(subgraph, {old: new})


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
    """Return scale and zero point of uint8 over a range, which is widened to hold 0.

    >>> affine((0.0, 510.0)), affine((-255.0, -1.0))
    ((2.0, 0), (1.0, 255))
    """
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = np.float32((high - low) / _STEPS)
    if scale < np.finfo(np.float32).tiny:  # next to no range: any scale will do
        return np.float32(1.0), np.uint8(0)
    return scale, np.uint8(round(-low / float(scale)))


def as_float16(exact: Array) -> Array | None:
    """Return a tensor as it comes out of wire float16; None if it does not fit into it (65,504 is the most).

    >>> as_float16(np.float32([1.0001, 3.0]))
    array([1., 3.], dtype=float32)
    >>> as_float16(np.float32([1e5])) is None
    True
    """
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
        nodes += [added for name in node.output if name in behind for added in behind[name]]
    del graph.node[:]
    graph.node.extend(nodes)


def wire_trials() -> Iterator[tuple[str, str, int, onnx.ModelProto]]:
    """Yield (wire, side, elements, model) of tiny models that encode or decode a tensor."""
    for wire in Wire:
        for size in _SIZES:
            constants, pair = _pair(wire, "x", "code", "y", (-1.0, 1.0))
            for side, node in zip((ENCODE, DECODE), pair, strict=True):
                elem_types = [TensorProto.FLOAT, _TYPES[wire]][:: 1 if side == ENCODE else -1]
                ends = [
                    helper.make_tensor_value_info(name, elem_type, [size])
                    for name, elem_type in zip((node.input[0], node.output[0]), elem_types, strict=True)
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
