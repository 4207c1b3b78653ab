import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from planner.inputs.npz_archive import Archive, ArchiveError

DTYPES = st.sampled_from(["float32", "float16", "int64", "uint8", "bool", ">f8"])


def archive(**arrays) -> Archive:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return Archive(file)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)), st.booleans())
def test_an_array_is_what_its_header_says_and_comes_back_as_it_was(value, columns_first):
    value = np.asfortranarray(value) if columns_first else value
    with archive(x=value, other=np.zeros(2)) as opened:
        assert set(opened.names) == {"x", "other"}
        declared = opened.declared("x")
        assert (declared.shape, declared.dtype) == (value.shape, value.dtype)
        assert declared.size_bytes == value.nbytes
        opened.check_size(opened.names)
        assert opened.read("x").tobytes() == value.tobytes()


def saying(shape: tuple[int, ...]) -> Archive:
    """Return an archive of a header without any values."""
    header, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("x.npy", header.getvalue())
    return Archive(file)


def test_an_array_is_refused_by_what_its_header_says_before_any_value_is_read():
    opened = saying((2**40,))
    assert opened.declared("x").size_bytes == 2**42
    with pytest.raises(ArchiveError, match="as a zip bomb does"):
        opened.check_size(["x"])
    with pytest.raises(ArchiveError, match=r"is not a readable \.npz archive"):
        saying((4,)).read("x")


def test_a_quarter_of_a_gibibyte_may_expand_as_it_likes_and_no_byte_more():
    saying((2**26,)).check_size(["x"])
    with pytest.raises(ArchiveError, match="-fold to 0.25 GiB"):
        saying((2**26 + 1,)).check_size(["x"])


def test_objects_are_never_loaded():
    with archive(x=np.array([{}], object)) as opened:
        with pytest.raises(ArchiveError, match="array 'x' holds Python objects, which may run code"):
            opened.declared("x")
        with pytest.raises(ArchiveError):
            opened.read("x")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"no archive" * 100])
def test_what_is_no_archive_is_told(content):
    with pytest.raises(ArchiveError, match=r"is not a readable \.npz archive"):
        Archive(io.BytesIO(content))


@pytest.mark.parametrize("shape", ["(-1,)", "(2, -3)"])
def test_a_negative_side_is_refused(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(ArchiveError, match=r"is not a readable \.npz archive"):
        Archive(file).declared("x")


def test_files_that_are_no_arrays_are_no_names():
    file = io.BytesIO()
    np.savez(file, x=np.ones(1))
    with zipfile.ZipFile(file, "a") as zipped:
        zipped.writestr("readme.txt", "hello")
    assert Archive(file).names == ("x",)
