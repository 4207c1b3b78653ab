"""Which of a model's inputs may be pictures, and what a first scenario says of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from profiling.inspection import End
from profiling.onnx_io.input_shapes import dimensions

_AXES, _LEAST_SIDE = 4, 8
_CHANNELS = (1, 3)
_PASSING = frozenset({"Transpose", "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_LEAST_DIVISOR = 50.0  # 255 or 127.5 in practice
_DETECTOR_AXES, _LEAST_BOXES, _LEAST_COLUMNS, _MOST_COLUMNS = 3, 80, 6, 512
_SIDES = 4
_YOLOX_STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class PictureInput:
    """An input that may be a picture.

    Parameters
    ----------
    is_scaled
        Whether the model itself divides what it gets, so that it takes pixels from 0 to 255.
    """

    layout: str
    height: int
    width: int
    is_scaled: bool

    @property
    def most(self) -> int:
        """The largest value that the input is likely to take."""
        return 255 if self.is_scaled else 1

    def image(self, **keys: object) -> str:
        """Return `image` of a scenario, in YAML: pictures of any size as this input, and other keys."""
        if not keys and self.height == self.width:
            keys = {"resize_shorter": self.height, "crop": self.height}
        if self.layout != "nchw":
            keys["layout"] = self.layout
        if not self.is_scaled:
            keys["divide_by"] = 255
        return f"{{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}"


def picture_inputs(model: onnx.ModelProto) -> dict[str, PictureInput]:
    """Return input name -> what it is as a picture, of inputs whose shape is that of one."""
    found = {}
    for value in model.graph.input:
        shape = tuple(size or 0 for size in dimensions(value))
        layout = _layout(shape)
        if layout is None:
            continue
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        height, width = shape[2:] if layout == "nchw" else shape[1:3]
        is_float = bool(np.issubdtype(dtype, np.floating))
        is_scaled = not is_float or _is_scaled(model, value.name)
        found[value.name] = PictureInput(layout, height, width, is_scaled)
    return found


def _layout(shape: Sequence[int]) -> str | None:
    if len(shape) != _AXES or shape[0] != 1:
        return None
    if shape[1] in _CHANNELS and min(shape[2:]) >= _LEAST_SIDE:
        return "nchw"
    return "nhwc" if shape[3] in _CHANNELS and min(shape[1:3]) >= _LEAST_SIDE else None


def _is_scaled(model: onnx.ModelProto, tensor: str) -> bool:
    """Return whether a model first makes the values of an input much smaller."""
    constants = {value.name: value for value in model.graph.initializer}
    for node in model.graph.node:
        if (
            node.op_type == "Constant"
            and node.attribute
            and node.attribute[0].type == onnx.AttributeProto.TENSOR
        ):
            constants[node.output[0]] = node.attribute[0].t
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    while len(readers.get(tensor, ())) == 1:
        node = readers[tensor][0]
        if node.op_type in _PASSING:
            tensor = node.output[0]
            continue
        return any(divisor >= _LEAST_DIVISOR for divisor in _divisors(node, constants))
    return False


def _divisors(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Iterator[float]:
    """Yield by what a node divides, where that is a constant."""
    for name in node.input:
        if name not in constants or node.op_type not in {"Mul", "Div"}:
            continue
        value = float(np.abs(numpy_helper.to_array(constants[name]).astype(np.float64)).max(initial=0.0))
        if value:
            yield value if node.op_type == "Div" else 1 / value


def may_be_yolox(outputs: Sequence[End], picture: PictureInput) -> bool:
    """Return whether the one output has a row for each cell of YOLOX's grids, which YOLOv5 has thrice."""
    cells = sum((picture.height // stride) * (picture.width // stride) for stride in _YOLOX_STRIDES)
    return (
        len(outputs) == 1
        and len(outputs[0].shape) == _DETECTOR_AXES
        and outputs[0].shape[1] == cells
        and outputs[0].shape[2] > _SIDES + 1
    )


def may_be_boxes(outputs: Sequence[End]) -> bool:
    """Return whether outputs have shapes as a detector gives boxes in, raw or chosen."""
    shapes = [end.shape for end in outputs]
    if len(shapes) > 1:
        return any(len(shape) > 1 and shape[-1] == _SIDES for shape in shapes)
    return any(
        len(shape) == _DETECTOR_AXES
        and shape[0] == 1
        and _LEAST_COLUMNS <= min(shape[1:]) <= _MOST_COLUMNS
        and max(shape[1:]) >= max(_LEAST_BOXES, min(shape[1:]))
        and shape[1] != shape[2]
        for shape in shapes
    )
