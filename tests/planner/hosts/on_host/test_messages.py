"""Bytes become tensors and headers again, or BadMessageError; nothing else for any bytes."""

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from planner.hosts.on_host.clock_offsets import clock_answer
from planner.hosts.on_host.messages import (
    HEADER_BYTES,
    BadMessageError,
    Failure,
    TensorHeader,
    TensorSpec,
    checked_array,
    failure,
    failure_bytes,
    header_bytes,
    tensor_bytes,
    tensor_header,
    tensor_of,
)

FLOATS = ["float16", "float32", "float64"]
DTYPES = [*FLOATS, "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
names = st.text(max_size=20)
requests = st.binary(min_size=16, max_size=16).map(bytes.hex)
numbers = st.integers(0, 2**16 - 1)
headers = st.builds(
    TensorHeader, request=requests, plan=numbers, number=numbers, left_s=st.floats(-1e9, 1e9, width=32)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    elements = {"allow_nan": False} if dtype in FLOATS else None
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    return draw(arrays.arrays(dtype, shape, elements=elements))


@given(tensors())
def test_a_tensor_of_every_type_and_shape_comes_back_bit_for_bit(array):
    spec = TensorSpec("t", str(array.dtype), array.shape)
    payload = tensor_bytes(array)
    assert len(payload) == spec.size_bytes
    back = tensor_of(payload, spec)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert checked_array(array, spec) is array


def test_neither_byte_order_nor_memory_layout_changes_the_bytes():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for same in (array.astype(">f4"), np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2]):
        assert tensor_bytes(same) == array.tobytes()


@given(tensors(), st.binary(min_size=1, max_size=20))
def test_a_byte_more_or_less_is_refused(array, more):
    spec = TensorSpec("t", str(array.dtype), array.shape)
    payload = tensor_bytes(array)
    for wrong in (payload + more, payload[:-1] if payload else more):
        with pytest.raises(BadMessageError, match="bytes"):
            tensor_of(wrong, spec)


@given(st.sampled_from(DTYPES), st.binary(min_size=16, max_size=16))
def test_any_bytes_are_a_tensor_without_nan_or_refused(dtype, payload):
    spec = TensorSpec("t", dtype, (16 // np.dtype(dtype).itemsize,))
    try:
        array = tensor_of(payload, spec)
    except BadMessageError:
        return
    assert tensor_bytes(array) == payload
    assert not np.isnan(array).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_is_refused_and_infinity_is_not(dtype):
    spec = TensorSpec("t", dtype, (2,))
    for value in (np.nan, -np.nan):
        array = np.array([0, value], dtype)
        with pytest.raises(BadMessageError, match="NaN"):
            tensor_of(array.tobytes(), spec)
        with pytest.raises(BadMessageError, match="NaN"):
            checked_array(array, spec)
    tensor_of(np.array([np.inf, -np.inf], dtype).tobytes(), spec)


def test_what_is_neither_true_nor_false_is_refused():
    with pytest.raises(BadMessageError, match="neither"):
        tensor_of(b"\0\1\2", TensorSpec("t", "bool", (3,)))


@pytest.mark.parametrize(
    "array",
    [None, [1.0, 2.0], np.zeros(3, np.float32), np.zeros(2, np.float64), np.zeros((1, 2), np.float32)],
)
def test_a_result_of_another_kind_is_refused(array):
    with pytest.raises(BadMessageError):
        checked_array(array, TensorSpec("t", "float32", (2,)))


@given(headers)
def test_a_header_comes_back_and_is_short(header):
    data = header_bytes(header)
    assert tensor_header(data) == header
    assert len(data) == HEADER_BYTES <= 50


@given(st.builds(Failure, requests, names, names, st.booleans()))
def test_a_failure_comes_back(told):
    assert failure(failure_bytes(told)) == told


def only_bad(read, data: bytes) -> None:
    with contextlib.suppress(BadMessageError):
        read(data)


@given(st.binary(max_size=200) | st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_any_bytes_are_a_header_or_a_bad_message(data):
    for read in (tensor_header, failure, clock_answer):
        only_bad(read, data)


@given(json_values)
def test_any_json_is_a_failure_or_a_bad_message(value):
    only_bad(failure, json.dumps(value).encode())


HEADER = header_bytes(TensorHeader("ab" * 16, 0, 1, 1.0))
FAILURE = json.loads(failure_bytes(Failure("ab" * 16, "d", "why")))


@given(st.sampled_from(sorted(FAILURE)), json_values)
def test_a_failure_with_any_value_in_a_field_is_one_or_a_bad_message(name, value):
    only_bad(failure, json.dumps(FAILURE | {name: value}).encode())


@pytest.mark.parametrize("name", sorted(FAILURE))
def test_a_failure_without_a_field_is_a_bad_message(name):
    with pytest.raises(BadMessageError):
        failure(json.dumps({k: v for k, v in FAILURE.items() if k != name}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:-1],
        HEADER + b"\0",
        b"\0" + HEADER[1:],
        *(HEADER[:-4] + struct.pack("!f", left_s) for left_s in (np.nan, np.inf, -np.inf)),
        b" " * 2**19,
    ],
)
def test_what_is_no_header_is_a_bad_message(data):
    with pytest.raises(BadMessageError):
        tensor_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"request":' + b"[" * 100_000,
        b" " * 2**19,
        json.dumps(FAILURE | {"request": "r" * 1000}).encode(),
        json.dumps(FAILURE | {"request": "A" * 32}).encode(),
        json.dumps(FAILURE | {"device": "d" * 1000}).encode(),
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_would_fill_memory_or_names_no_request_is_a_bad_message(data):
    with pytest.raises(BadMessageError):
        failure(data)
