"""Operators of TensorFlow that tf2onnx lacks or converts wrongly -> ONNX that computes the same.

Importing this module adds them to tf2onnx's own table. An expression that does not hold for what a node is
given raises, so that the node stays and is refused by name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import TensorProto
from tf2onnx.custom_opsets.onnx_ml import LookupTableFind
from tf2onnx.handler import tf_op
from tf2onnx.onnx_opset.nn import ConvOp, Resize
from tf2onnx.utils import make_name, make_sure, map_onnx_to_numpy_type

_OPSET = 13  # of Unsqueeze and ReduceSum with their axes as inputs
_SIGN_BIT = np.iinfo(np.int32).min
_HEIGHT, _WIDTH = 1, 2  # of a picture with its channels last
_SETTINGS = ("align_corners", "half_pixel_centers", "antialias")  # of operators that resize
_LARGEST_TABLE = 4096


def _constant(ctx: Any, value: Any) -> str:
    return str(ctx.make_const(make_name("expression"), np.asarray(value)).output[0])


def _like(ctx: Any, tensor: str, value: float) -> str:
    return _constant(ctx, np.asarray(value, map_onnx_to_numpy_type(ctx.get_dtype(tensor))))


def _made(ctx: Any, operator: str, *inputs: str, **attributes: Any) -> str:
    return str(ctx.make_node(operator, list(inputs), attributes or None).output[0])


def _become(ctx: Any, node: Any, operator: str, *inputs: str, **attributes: Any) -> None:
    """Let an operator write what a node wrote, under its name."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    name, outputs = node.name, list(node.output)
    ctx.remove_node(name)
    ctx.make_node(
        operator, list(inputs), attributes or None, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes
    )


@tf_op("Erfc")
class _Erfc:
    @classmethod
    def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
        x = node.input[0]
        _become(ctx, node, "Sub", _like(ctx, x, 1), _made(ctx, "Erf", x))


@tf_op("Expm1")
class _Expm1:
    @classmethod
    def version_7(cls, ctx: Any, node: Any, **_: Any) -> None:
        x = node.input[0]
        _become(ctx, node, "Sub", _made(ctx, "Exp", x), _like(ctx, x, 1))


@tf_op("Log1p")
class _Log1p:
    @classmethod
    def version_7(cls, ctx: Any, node: Any, **_: Any) -> None:
        x = node.input[0]
        _become(ctx, node, "Log", _made(ctx, "Add", x, _like(ctx, x, 1)))


@tf_op("Cross")
class _Cross:
    @classmethod
    def version_7(cls, ctx: Any, node: Any, **_: Any) -> None:
        one, other = node.input
        # a x b = a[1, 2, 0] * b[2, 0, 1] - a[2, 0, 1] * b[1, 2, 0]
        turns = [_constant(ctx, np.array(order, np.int64)) for order in ([1, 2, 0], [2, 0, 1])]
        first, second = (
            _made(
                ctx,
                "Mul",
                _made(ctx, "Gather", one, left, axis=-1),
                _made(ctx, "Gather", other, right, axis=-1),
            )
            for left, right in (turns, turns[::-1])
        )
        _become(ctx, node, "Sub", first, second)


@tf_op("Bitcast")
class _Bitcast:
    """The sign bit of a float alone, which Keras' argmax and signbit ask for; 1/-0 is negative."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
        x = node.input[0]
        readers = ctx.find_output_consumers(node.output[0])
        make_sure(ctx.get_dtype(x) == TensorProto.FLOAT, "a bit cast of %s", ctx.get_dtype(x))
        make_sure(bool(readers) and all(map(_masks_sign, readers)), "bits of a float are read")
        zero = _like(ctx, x, 0)
        below = _made(ctx, "Less", x, zero)
        negative = _made(ctx, "Or", below, _made(ctx, "Less", _made(ctx, "Reciprocal", x), zero))
        for reader in readers:
            _bypass(ctx, reader, node.output[0])
        bits = [_constant(ctx, np.int32(value)) for value in (_SIGN_BIT, 0)]
        _become(ctx, node, "Where", negative, *bits)


def _bypass(ctx: Any, node: Any, instead: str) -> None:
    """Let what reads a node read another tensor; tf2onnx drops the node, which it has yet to pass."""
    ctx.replace_all_inputs(node.output[0], instead)
    node.skip_conversion = True


def _masks_sign(node: Any) -> bool:
    constants = [tensor.get_tensor_value(as_list=False) for tensor in node.inputs if tensor.is_const()]
    return node.type == "BitwiseAnd" and [np.asarray(c).tolist() for c in constants] == [_SIGN_BIT]


def _count(ctx: Any, node: Any, operator: str, values: str, bounds: str) -> None:
    """Let a node write how many bounds, which lie along a last axis, a comparison holds for."""
    last = _constant(ctx, np.array([-1], np.int64))
    holds = _made(ctx, operator, _made(ctx, "Unsqueeze", values, last), bounds)
    counted = _made(ctx, "ReduceSum", _made(ctx, "Cast", holds, to=TensorProto.INT64), last, keepdims=0)
    _become(ctx, node, "Cast", counted, to=node.output_dtypes[0])


@tf_op("Bucketize")
class _Bucketize:
    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        bounds = np.array(node.get_attr("boundaries").floats, np.float32)
        values = _made(ctx, "Cast", node.input[0], to=TensorProto.FLOAT)
        _count(ctx, node, "GreaterOrEqual", values, _constant(ctx, bounds))


@tf_op(["LowerBound", "UpperBound"])
class _Bound:
    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        operator = "Greater" if node.type == "LowerBound" else "GreaterOrEqual"
        between = _constant(ctx, np.array([1], np.int64))
        _count(ctx, node, operator, node.input[1], _made(ctx, "Unsqueeze", node.input[0], between))


@tf_op("XlaDynamicUpdateSlice")
class _UpdateSlice:
    """A part put into a whole at a place that is known."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        whole, part, _starts = node.input
        sizes, inner = ctx.get_shape(whole), ctx.get_shape(part)
        make_sure(node.inputs[2].is_const() and None not in (sizes, inner), "where it is put is not known")
        limits = np.subtract(sizes, inner)
        before = np.clip(node.inputs[2].get_tensor_value(as_list=False), 0, limits).astype(np.int64)
        mask = np.zeros(sizes, bool)
        mask[tuple(slice(start, start + size) for start, size in zip(before, inner, strict=True))] = True
        pads = _constant(ctx, np.concatenate([before, limits - before]).astype(np.int64))
        _become(ctx, node, "Where", _constant(ctx, mask), _made(ctx, "Pad", part, pads), whole)


@tf_op("RFFT")
class _RFFT:
    """Real and imaginary parts as two products with the matrices of the transform."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, **_: Any) -> None:
        x, shape = node.input[0], ctx.get_shape(node.input[0])
        readers = ctx.find_output_consumers(node.output[0])
        make_sure(node.inputs[1].is_const() and shape and shape[-1] > 0, "its length is not known")
        make_sure({each.type for each in readers} <= set(_PARTS), "a complex number is read")
        length = int(np.ravel(node.inputs[1].get_tensor_value(as_list=False))[0])
        waves = np.fft.rfft(np.eye(shape[-1]), length)
        dtype = map_onnx_to_numpy_type(ctx.get_dtype(x))
        parts = [
            _made(ctx, "MatMul", x, _constant(ctx, each.astype(dtype))) for each in (waves.real, waves.imag)
        ]
        for reader in readers:
            _bypass(ctx, reader, _PARTS[reader.type](ctx, *parts))


def _absolute(ctx: Any, real: str, imaginary: str) -> str:
    squares = [_made(ctx, "Mul", part, part) for part in (real, imaginary)]
    return _made(ctx, "Sqrt", _made(ctx, "Add", *squares))


_PARTS: dict[str, Callable[[Any, str, str], str]] = {
    "Real": lambda _, real, __: real,
    "Imag": lambda _, __, imaginary: imaginary,
    "ComplexAbs": _absolute,
}


@tf_op("Conv3D")
class _ConvolutionInGroups:
    @classmethod
    def version_13(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
        channels, kernel = ctx.get_shape(node.input[0]), ctx.get_shape(node.input[1])
        ConvOp.version_13(ctx, node, **kwargs)
        axis = 1 if node.get_attr_value("data_format") == b"NCDHW" else -1
        ctx.get_node_by_name(node.name).set_attr("group", channels[axis] // kernel[-2])


@tf_op(["ResizeArea", "ScaleAndTranslate", "ResizeBicubic"])
class _ResizeByMatrices:
    """A picture resized by a product for its rows and one for its columns.

    tf2onnx takes the nearest pixel for an area, and the runtime does not shrink by cubics as TensorFlow does.
    """

    @classmethod
    def version_11(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
        x, shape = node.input[0], ctx.get_shape(node.input[0])
        known = all(each.is_const() for each in node.inputs[1:]) and shape and min(shape[1:3]) > 0
        if node.type == "ResizeBicubic" and not (known and _shrinks(node, shape)):
            Resize.version_11(ctx, node, **kwargs)
            return
        make_sure(bool(known), "its size is not known")
        rows, columns = (_matrix(node, axis, shape[axis]) for axis in (_HEIGHT, _WIDTH))
        first = _made(ctx, "Transpose", _made(ctx, "Cast", x, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        tall = _made(ctx, "MatMul", _constant(ctx, rows), first)
        wide = _made(ctx, "MatMul", tall, _constant(ctx, np.ascontiguousarray(columns.T)))
        _become(ctx, node, "Transpose", wide, perm=[0, 2, 3, 1])


def _shrinks(node: Any, shape: list[int]) -> bool:
    return bool((node.inputs[1].get_tensor_value(as_list=False) < shape[_HEIGHT : _WIDTH + 1]).any())


def _matrix(node: Any, axis: int, size: int) -> Any:
    """Return what a node does along one axis of a picture: what it makes of each unit vector."""
    own_side = axis - _HEIGHT
    sides = (1, size, 1, size) if axis == _HEIGHT else (1, 1, size, size)
    unit_images = np.eye(size, dtype=np.float32).reshape(sides)
    attributes = [np.array(tensor.get_tensor_value(as_list=False)) for tensor in node.inputs[1:]]
    for value, idle in zip(
        attributes, (1, 1, 0), strict=False
    ):  # size, scale and translation of the other axis
        value[1 - own_side] = idle
    settings: dict[str, Any] = {
        name: bool(node.get_attr_value(name)) for name in _SETTINGS if name in node.attr
    }
    if "kernel_type" in node.attr:
        settings["kernel_type"] = node.get_attr_str("kernel_type")
    resize = getattr(tf.raw_ops, node.type)
    names = ("size", "scale", "translation")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = resize(images=unit_images, **dict(zip(names, attributes, strict=False)), **settings)
        return np.ascontiguousarray(session.run(made).reshape(-1, size))


@tf_op("LookupTableFindV2")
class _LookUpWholeNumbers:
    """A table of whole numbers as a comparison with each key."""

    @classmethod
    def version_13(cls, ctx: Any, node: Any, initialized_tables: Any, **kwargs: Any) -> None:
        keys = node.input[1]
        types = {ctx.get_dtype(keys), ctx.get_dtype(node.output[0])}
        if TensorProto.STRING in types:
            LookupTableFind.version_8(ctx, node, initialized_tables=initialized_tables, **kwargs)
            return
        table = node.inputs[0]
        while table.type == "Identity":
            table = table.inputs[0]
        known, values = initialized_tables[table.get_attr_value("shared_name")]
        default = node.inputs[2].get_tensor_value(as_list=False)
        make_sure(len(known) <= _LARGEST_TABLE, "a table of %s keys", len(known))
        last = _constant(ctx, np.array([-1], np.int64))
        same = _made(ctx, "Equal", _made(ctx, "Unsqueeze", keys, last), _constant(ctx, known))
        steps = [_constant(ctx, each) for each in (values - default, np.zeros_like(default))]
        step = _made(ctx, "ReduceSum", _made(ctx, "Where", same, *steps), last, keepdims=0)
        _become(ctx, node, "Add", step, _constant(ctx, default))
        if not ctx.find_output_consumers(table.output[0]):
            ctx.remove_node(table.name)
