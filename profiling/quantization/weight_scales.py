"""Scales of weights and biases per channel, and the integers that they give, as the tool has them.

Every function gives the tool's own numbers bit for bit, for all channels at once.
"""

import functools
from collections.abc import Iterator

import numpy as np
from onnx import TensorProto, helper

from profiling.arrays import Array
from profiling.errors import QuantizeError
from profiling.onnx_io.external_weights import LargeWeight, iter_chunks, write_external

# Steps between -127 and 127, the tool's symmetric range of int8.
_STEPS = 254.0
# With 7 of 8 bits it uses -64 to 64.
_REDUCED_STEPS = 128.0
# The tool widens a weight's scale so that the bias fits into int32 (2**32 - 2 steps between its symmetric
# ends), with this much to spare against rounding: `multiplicative_epsilon` of its `qdq_quantizer.py`.
_BIAS_ROOM = 2.0 * 1.0001 / (2.0**32 - 2.0)


def channel_scales(weight: TensorProto, axis: int, *, reduced: bool) -> Array:
    """Return a float32 scale per channel: the widest value takes the last step; 1 where all are zero.

    Parameters
    ----------
    axis
        Of the channels, not negative.
    reduced
        Whether the weight uses 7 bits.

    Raises
    ------
    QuantizeError
        If a value is not finite.
    """
    others = tuple(i for i in range(len(weight.dims)) if i != axis)
    largest = [np.abs(block).max(axis=others) for block in iter_chunks(weight)]
    widest = np.concatenate(largest) if axis == 0 else np.max(largest, axis=0)
    if not np.isfinite(widest).all():
        raise QuantizeError(f"weight {weight.name!r} has values that are not finite")
    scale = 2.0 * widest.astype(np.float64) / (_REDUCED_STEPS if reduced else _STEPS)
    return np.where(scale < np.finfo(np.float32).tiny, 1.0, scale).astype(np.float32)


def widened_for_bias(scale: Array, input_scale: np.float32, bias: Array) -> Array:
    """Return scales so large that the bias, in steps of input scale times weight scale, fits into int32.

    Parameters
    ----------
    scale, bias
        One value per channel; the bias in float64.
    """
    bias_scale = np.float64(input_scale) * scale.astype(np.float64)
    least = np.abs(bias) * _BIAS_ROOM
    with np.errstate(divide="ignore"):
        wider = (scale.astype(np.float64) * (least / bias_scale)).astype(np.float32)
    return np.where((bias_scale < least) & (bias_scale > 0), wider, scale)


def bias_integers(bias: Array, scale: Array) -> Array:
    """Return a bias as int32 in steps of the given scales, one per channel.

    >>> bias_integers(np.array([1.0, -1e12]), np.array([0.25, 0.25]))
    array([          4, -2147483648], dtype=int32)
    """
    limits = np.iinfo(np.int32)
    return np.clip((bias / scale.astype(np.float64)).round(), limits.min, limits.max).astype(np.int32)


def to_integers(exact: Array, scale: Array, zero_point: Array) -> Array:
    """Return values as integers of the zero points' type (ONNX's QuantizeLinear: halves to even, clipped).

    Parameters
    ----------
    scale, zero_point
        Of shapes that broadcast to that of the values.

    >>> to_integers(np.float32([0.5, 1.5, 300.0]), np.float32(1.0), np.int8(0))
    array([  0,   2, 127], dtype=int8)
    """
    limits = np.iinfo(zero_point.dtype)
    return np.clip((exact / scale).round() + zero_point, limits.min, limits.max).astype(zero_point.dtype)


@functools.cache
def large_integers(
    weight: LargeWeight, axis: int, scale: bytes, zero_point: bytes, data_type: int
) -> LargeWeight:
    """Return a large weight in integers; each is written once, however many models hold it.

    Parameters
    ----------
    axis
        Of the channels.
    scale, zero_point
        Bytes of float32 and of `data_type`, one value per channel or one for all.
    data_type
        ONNX element type of the integers.
    """
    scales = np.frombuffer(scale, np.float32)
    zero_points = np.frombuffer(zero_point, helper.tensor_dtype_to_np_dtype(data_type))

    def rows() -> Iterator[Array]:
        start = 0
        for block in weight.iter_chunks():
            # Blocks run along axis 0: where channels do as well, each block has its own part of the scales.
            part = slice(start, start + len(block)) if axis == 0 and len(scales) > 1 else slice(None)
            shape = [1] * block.ndim
            shape[axis] = -1
            yield to_integers(block, scales[part].reshape(shape), zero_points[part].reshape(shape))
            start += len(block)

    return write_external(weight.dims, data_type, rows())
