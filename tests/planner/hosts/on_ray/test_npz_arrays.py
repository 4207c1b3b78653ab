"""Arrays in .npz: as they were, or refused, whatever the bytes are."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.messages import BadMessageError, TensorSpec
from planner.hosts.on_ray.npz_arrays import arrays_of, most_bytes, npz_of

TYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")
NAMES = ("x", "file", "a/b:0", "/scope/y", "arr_0", "é")
SPECS = (TensorSpec("x", "float32", (2, 3)), TensorSpec("n", "int8", ()))
ARRAYS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7, np.int8)}
GOOD = npz_of(ARRAYS)


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0, 4), (1,), (2, 3, 1)])
def test_arrays_come_back_as_they_were_whatever_their_names(dtype, shape):
    arrays = {name: np.full(shape, number % 2, dtype) for number, name in enumerate(NAMES)}
    specs = [TensorSpec(name, dtype, shape) for name in NAMES]
    data = npz_of(arrays)
    assert len(data) <= most_bytes(specs)
    found = arrays_of(data, specs)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_what_numpy_writes_is_read_and_what_is_written_numpy_reads():
    with np.load(io.BytesIO(GOOD)) as found:
        assert {name: found[name].tolist() for name in found} == {n: a.tolist() for n, a in ARRAYS.items()}
    columns = {"x": np.asfortranarray(ARRAYS["x"]), "n": ARRAYS["n"]}
    assert arrays_of(npz(**columns), SPECS)["x"].tolist() == ARRAYS["x"].tolist()


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": ARRAYS["x"]},
        {**ARRAYS, "more": ARRAYS["n"]},
        {"x": ARRAYS["x"].astype(">f4"), "n": ARRAYS["n"]},
        {"x": ARRAYS["x"].astype("f8"), "n": ARRAYS["n"]},
        {"x": ARRAYS["x"].T, "n": ARRAYS["n"]},
        {"x": ARRAYS["x"], "n": np.array([7], np.int8)},
        {"x": np.array([[None] * 3] * 2), "n": ARRAYS["n"]},
        {"x": np.zeros((2000, 3000), np.float32), "n": ARRAYS["n"]},
        {"x": np.zeros((2, 3), [("a", "f4")]), "n": ARRAYS["n"]},
    ],
)
def test_other_arrays_are_refused(arrays):
    with pytest.raises(BadMessageError, match="expected|instead of"):
        arrays_of(npz(**arrays), SPECS)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken():
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (2**50, 3)}
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("x.npy", stream.getvalue())
        file.writestr("n.npy", b"")
    with pytest.raises(BadMessageError, match="instead of 'x'"):
        arrays_of(data.getvalue(), SPECS)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_odd_compression_is_refused(compression):
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(data, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(BadMessageError, match="compression"):
        arrays_of(data.getvalue(), SPECS)


@given(st.binary(max_size=400))
def test_bytes_that_are_no_npz_are_refused(data):
    with pytest.raises(BadMessageError):
        arrays_of(data, SPECS)


@given(st.data())
def test_damaged_bytes_are_refused_or_give_arrays_of_the_right_form(data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged)[: data.draw(st.integers(1, len(GOOD)))]
    for attempt in (bytes(damaged), cut):
        try:
            found = arrays_of(attempt, SPECS)
        except BadMessageError:
            continue
        assert [(str(found[spec.name].dtype), found[spec.name].shape) for spec in SPECS] == [
            (spec.dtype, spec.shape) for spec in SPECS
        ]
