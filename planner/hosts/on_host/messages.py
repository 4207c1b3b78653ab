"""Tensors and what is said about them, as bytes: nothing is pickled, and nothing is believed unchecked."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROOT = "splitquant"  # of all keys
_MOST_HEADER_BYTES = 2**18
CLIENT_PREFIX = "client-"
# Request, client, plan, type, tensor, milliseconds left, number of axes; then the axes.
_FIXED = struct.Struct("<16s6sBBHIB")
_DTYPES = (
    *("float32", "uint8", "int8", "float16", "int32", "int64", "bool"),
    *("uint16", "int16", "uint32", "uint64", "float64"),
)
_MILLI, _MOST_MS = 1e3, 2**32 - 1
_FLOATS = {"float16", "float32", "float64"}

Array = Any
"""An array of NumPy, as the runtime gives it."""


class BadMessageError(Exception):
    """A message that no host of this deployment would send."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's name, NumPy type and static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """What it weighs on a link, without header."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Event:
    """Something that happened to a request, by the clock of the host where it happened.

    Parameters
    ----------
    kind
        `received` and `sent` of a tensor, `started` and `finished` of a stage.
    subject
        The tensor's name, or the stage's number.
    other
        The host that a tensor came from or goes to; empty for a stage.
    clock_ns
        `time.time_ns()` of that host.
    """

    kind: str
    device: str
    subject: str
    other: str
    clock_ns: int


@dataclass(frozen=True)
class TensorHeader:
    """What comes with a tensor's bytes: short, since on a slow link each byte counts.

    Parameters
    ----------
    request
        32 hexadecimal digits, unique for all time: who asks chooses them at random.
    client
        Who asks: `client-` and 12 hexadecimal digits.
    plan
        Which plan of the deployment the request runs by.
    number
        Of the tensor in that plan.
    left_s
        Seconds until it is too late, when the message was sent; clocks of hosts need not agree.
    """

    request: str
    client: str
    plan: int
    number: int
    dtype: str
    shape: tuple[int, ...]
    left_s: float


@dataclass(frozen=True)
class Failure:
    """Why a request has no answer."""

    request: str
    client: str
    device: str
    reason: str


def tensor_bytes(array: Array) -> bytes:
    """Return an array's bytes, rows first, little-endian."""
    little = array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, dtype=little).tobytes()


def tensor_of(payload: bytes, spec: TensorSpec) -> Array:
    """Return the array that bytes are.

    Raises
    ------
    BadMessageError
        If they are too many or too few, or the tensor holds NaN.
    """
    if len(payload) != spec.size_bytes:
        raise BadMessageError(f"{spec.name!r} has {len(payload)} bytes, not {spec.size_bytes}")
    array = np.frombuffer(payload, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)
    if spec.dtype in _FLOATS and bool(np.isnan(array).any()):
        raise BadMessageError(f"{spec.name!r} holds NaN")
    return array


def header_bytes(header: TensorHeader) -> bytes:
    """Return a tensor's header as bytes."""
    fixed = _FIXED.pack(
        bytes.fromhex(header.request),
        bytes.fromhex(header.client[len(CLIENT_PREFIX) :]),
        header.plan,
        _DTYPES.index(header.dtype),
        header.number,
        min(_MOST_MS, max(0, round(header.left_s * _MILLI))),
        len(header.shape),
    )
    return fixed + struct.pack(f"<{len(header.shape)}I", *header.shape)


def tensor_header(data: bytes) -> TensorHeader:
    """Return the header of a tensor.

    Raises
    ------
    BadMessageError
        If the bytes are no header.
    """
    try:
        request, client, plan, dtype, number, left_ms, axes = _FIXED.unpack_from(data)
        shape = struct.unpack(f"<{axes}I", data[_FIXED.size :])
        return TensorHeader(
            request.hex(),
            CLIENT_PREFIX + client.hex(),
            plan,
            number,
            _DTYPES[dtype],
            shape,
            left_ms / _MILLI,
        )
    except (struct.error, IndexError) as exc:
        raise BadMessageError(f"a tensor's header is not valid: {exc}") from exc


def failure_bytes(told: Failure) -> bytes:
    """Return a failure as bytes."""
    return json.dumps(asdict(told)).encode()


def events_bytes(events: Iterable[tuple[str, Event]]) -> bytes:
    """Return what happened to requests, (request, event) each, as compressed JSON."""
    rows = [(request, *asdict(event).values()) for request, event in events]
    return zlib.compress(json.dumps(rows).encode())


def events_of(data: bytes) -> list[tuple[str, Event]]:
    """Return what happened to requests.

    Raises
    ------
    BadMessageError
        If the bytes do not say it.
    """
    try:
        rows = json.loads(zlib.decompress(data))
        return [
            (
                _text(request),
                Event(_text(kind), _text(device), _text(subject), _text(other), _count(clock_ns)),
            )
            for request, kind, device, subject, other, clock_ns in rows
        ]
    except (zlib.error, TypeError, ValueError, RecursionError) as exc:
        raise BadMessageError(f"events are not valid: {exc!r}") from exc


def failure(data: bytes) -> Failure:
    """Return a failure that another host tells of.

    Raises
    ------
    BadMessageError
        If the bytes are none.
    """
    fields = _fields(data)
    try:
        names = ("request", "client", "device", "reason")
        return Failure(*(_text(fields[name]) for name in names))
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessageError(f"a failure is not valid: {exc!r}") from exc


def _fields(data: bytes) -> dict[str, Any]:
    if len(data) > _MOST_HEADER_BYTES:
        raise BadMessageError(f"a header of {len(data)} bytes")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise BadMessageError("a header is not JSON") from exc
    if not isinstance(fields, dict):
        raise BadMessageError("a header is not an object")
    return fields


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value
