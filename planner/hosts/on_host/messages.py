"""Tensors and what is said about them, as bytes: nothing is pickled, and nothing is believed unchecked.

A tensor travels as its bytes, with a header of `HEADER_BYTES` in network order:

| bytes | what |
|---|---|
| 1 | version of this form |
| 16 | request, chosen at random; the last four are the attempt's own |
| 2 | plan's index in the deployment |
| 2 | tensor's number in the plan; manifests tell name, type and shape |
| 4 | seconds that are left, a float |

Failures are rare, and travel as JSON.
"""

from __future__ import annotations

import json
import math
import string
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROOT = "splitquant"  # of all keys
ATTEMPT = 24  # letters of a request's name that every attempt has; what follows is the attempt's own
CLIENT_PREFIX = "client-"  # of the names of those who ask
DEPLOYMENT = "deployment"  # under this key a host tells which one it serves
EVENTS = "events"  # the kind of what is told, and not answered
ACCEPTED = "ok"  # the key of acceptances
REPEATED = b"again"  # what the acceptance of a message says that has come before
MOST_NUMBERED = 2**16  # tensors of a plan
_VERSION = 1
_HEADER = struct.Struct("!B16sHHf")
HEADER_BYTES = _HEADER.size
REQUEST_LETTERS = 32  # of a request's name: 16 bytes as hexadecimal digits
_DIGITS = frozenset(string.digits + "abcdef")
_MOST_FAILURE_BYTES = 2**18
_MOST_LETTERS = 256  # of a name
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
class TensorHeader:
    """What comes with a tensor's bytes.

    Parameters
    ----------
    request
        Unique for all time: who asks chooses it at random, `REQUEST_LETTERS` digits.
    plan
        Which plan of the deployment the request runs by.
    number
        The tensor's, in that plan.
    left_s
        Seconds until it is too late, when the message was sent; clocks of hosts need not agree.
    """

    request: str
    plan: int
    number: int
    left_s: float


@dataclass(frozen=True)
class Failure:
    """Why a request has no answer.

    Parameters
    ----------
    is_lasting
        Whether it would fail again: what it is sent for is wrong, not a host lost or late.
    """

    request: str
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


def header_bytes(header: TensorHeader) -> bytes:
    """Return a header as `HEADER_BYTES` bytes."""
    request = bytes.fromhex(header.request)
    return _HEADER.pack(_VERSION, request, header.plan, header.number, header.left_s)


def tensor_header(data: bytes) -> TensorHeader:
    """Return the header of a tensor.

    Raises
    ------
    BadMessageError
        If the bytes are no header.
    """
    if len(data) != HEADER_BYTES:
        raise BadMessageError(f"a header of {len(data)} bytes, not {HEADER_BYTES}")
    version, request, plan, number, left_s = _HEADER.unpack(data)
    if version != _VERSION:
        raise BadMessageError(f"a header of version {version}, not {_VERSION}: deploy again")
    if not math.isfinite(left_s):
        raise BadMessageError("seconds are no number")
    return TensorHeader(request.hex(), plan, number, left_s)


def failure_bytes(told: Failure) -> bytes:
    """Return a failure as JSON."""
    return json.dumps(asdict(told), separators=(",", ":")).encode()


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
            request=_request(fields["request"]),
            device=_name(fields["device"]),
            reason=_text(fields["reason"]),
            is_lasting=fields["is_lasting"] is True,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessageError(f"a failure is not valid: {exc!r}") from exc


def _fields(data: bytes) -> dict[str, Any]:
    if len(data) > _MOST_FAILURE_BYTES:
        raise BadMessageError(f"a failure of {len(data)} bytes")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise BadMessageError("a failure is not JSON") from exc
    if not isinstance(fields, dict):
        raise BadMessageError("a failure is not an object")
    return fields


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadMessageError("a text is none")
    return value


def _request(value: object) -> str:
    text = _text(value)
    if len(text) != REQUEST_LETTERS or not _DIGITS.issuperset(text):
        raise BadMessageError("a request's name is none")
    return text


def _name(value: object) -> str:
    if len(text := _text(value)) > _MOST_LETTERS:
        raise BadMessageError(f"a name of {len(text)} letters")
    return text
