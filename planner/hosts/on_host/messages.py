"""Tensors and what is said about them, as bytes: nothing is pickled, and nothing is believed unchecked."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROOT = "splitquant"  # of all keys
_MOST_HEADER_BYTES = 2**18
_MOST_EVENTS = 4096
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
    """What comes with a tensor's bytes.

    Parameters
    ----------
    request
        Unique for all time: who asks chooses it at random.
    client
        Who asks.
    plan
        Which plan of the deployment the request runs by.
    left_s
        Seconds until it is too late, when the message was sent; clocks of hosts need not agree.
    events
        What has happened to the request on the way of this tensor.
    """

    request: str
    client: str
    plan: int
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    left_s: float
    events: tuple[Event, ...] = ()

    @property
    def spec(self) -> TensorSpec:
        """What the bytes should be."""
        return TensorSpec(self.tensor, self.dtype, self.shape)


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


def header_bytes(header: TensorHeader | Failure) -> bytes:
    """Return a header as JSON."""
    return json.dumps(asdict(header), separators=(",", ":")).encode()


def tensor_header(data: bytes) -> TensorHeader:
    """Return the header of a tensor.

    Raises
    ------
    BadMessageError
        If the bytes are no header, or values have wrong types.
    """
    fields = _fields(data)
    try:
        shape, events = tuple(fields["shape"]), fields["events"]
        header = TensorHeader(
            request=_text(fields["request"]),
            client=_text(fields["client"]),
            plan=_count(fields["plan"]),
            tensor=_text(fields["tensor"]),
            dtype=_text(fields["dtype"]),
            shape=tuple(_count(size) for size in shape),
            left_s=_seconds(fields["left_s"]),
            events=tuple(_event(event) for event in events[:_MOST_EVENTS]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessageError(f"a tensor's header is not valid: {exc!r}") from exc
    return header


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


def _event(fields: dict[str, Any]) -> Event:
    names = ("kind", "device", "subject", "other")
    kind, device, subject, other = (_text(fields[name]) for name in names)
    return Event(kind, device, subject, other, _count(fields["clock_ns"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{value!r} are no seconds")
    return float(value)
