"""Tensors and what is said about them, as bytes: nothing is pickled, and nothing is believed unchecked."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROOT = "splitquant"  # of all keys
ATTEMPT = 24  # letters of a request's name that every attempt has; what follows is the attempt's own
CLIENT_PREFIX = "client-"  # of the names of those who ask
DEPLOYMENT = "deployment"  # under this key a host tells which one it serves
ACCEPTED = "ok"  # the key of acceptances
_MOST_HEADER_BYTES = 2**18
_MOST_EVENTS = 4096
_MOST_LETTERS = 256  # of a name
_MOST = 2**63
_FLOATS = {"float16", "float32", "float64"}

Array = Any
"""An array of NumPy, as the runtime gives it."""


class BadMessageError(Exception):
    """A message that no host of this deployment would send."""


class Refused(Exception):  # noqa: N818 (a message is refused; that is no error of the host)
    """A message that a host does not take, nor would if it came again; the text is what its sender gets."""


class Busy(Exception):  # noqa: N818
    """A message that a host cannot take now; its sender tries again."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's name, NumPy type and static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name!r} {self.dtype}{list(self.shape)}"

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
    """Why a request has no answer.

    Parameters
    ----------
    is_lasting
        Whether it would fail again: what it is sent for is wrong, not a host lost or late.
    """

    request: str
    client: str
    device: str
    reason: str
    is_lasting: bool = False


def tensor_bytes(array: Array) -> bytes:
    """Return an array's bytes, rows first, little-endian."""
    little = array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, dtype=little).tobytes()


def tensor_of(payload: bytes, spec: TensorSpec) -> Array:
    """Return the array that bytes are.

    Raises
    ------
    BadMessageError
        If they are too many or too few, or no values of its type, or the tensor holds NaN.
    """
    if len(payload) != spec.size_bytes:
        raise BadMessageError(f"{spec.name!r} has {len(payload)} bytes, not {spec.size_bytes}")
    if spec.dtype == "bool" and payload.strip(b"\0\1"):
        raise BadMessageError(f"{spec.name!r} holds bytes that are neither true nor false")
    array = np.frombuffer(payload, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape)
    _check_numbers(array, spec)
    return array


def checked_array(array: Array, spec: TensorSpec) -> Array:
    """Return an array that is what it should be.

    Raises
    ------
    BadMessageError
        If it is none, has another type or shape, or holds NaN.
    """
    if not isinstance(array, np.ndarray):
        raise BadMessageError(f"{spec.name!r} is no array")
    if (str(array.dtype), tuple(array.shape)) != (spec.dtype, spec.shape):
        raise BadMessageError(f"{array.dtype}{list(array.shape)} instead of {spec}")
    _check_numbers(array, spec)
    return array


def _check_numbers(array: Array, spec: TensorSpec) -> None:
    if spec.dtype in _FLOATS and bool(np.isnan(array).any()):
        raise BadMessageError(f"{spec.name!r} holds NaN")


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
            request=_name(fields["request"]),
            client=_name(fields["client"]),
            plan=count(fields["plan"]),
            tensor=_text(fields["tensor"]),
            dtype=_text(fields["dtype"]),
            shape=tuple(count(size) for size in shape),
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
        return Failure(
            request=_name(fields["request"]),
            client=_name(fields["client"]),
            device=_name(fields["device"]),
            reason=_text(fields["reason"]),
            is_lasting=fields["is_lasting"] is True,
        )
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
    return Event(kind, device, subject, other, count(fields["clock_ns"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadMessageError("a text is none")
    return value


def _name(value: object) -> str:
    """Return a short text: hosts remember names of requests for a while."""
    if len(text := _text(value)) > _MOST_LETTERS:
        raise BadMessageError(f"a name of {len(text)} letters")
    return text


def count(value: object) -> int:
    """Return a number that counts something.

    Raises
    ------
    BadMessageError
        If it is none, or larger than a clock's.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise BadMessageError("a number is no count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < _MOST:
        raise BadMessageError("seconds are no number")
    return float(value)
