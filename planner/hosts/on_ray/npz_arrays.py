"""Named arrays in .npz, as requests and answers carry them: nothing pickled, nothing larger than expected."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planner.hosts.on_host.messages import BadMessageError, TensorSpec

_SUFFIX = ".npy"
_ENTRY_BYTES = 2**16  # an array's header, and what a zip file says of it
_NPY: Any = np.lib.format  # its functions have no types
_HEADERS = {(1, 0): _NPY.read_array_header_1_0, (2, 0): _NPY.read_array_header_2_0}


def most_bytes(specs: Sequence[TensorSpec]) -> int:
    """Return how large a file of such arrays can be."""
    return sum(spec.size_bytes + _ENTRY_BYTES for spec in specs)


def arrays_of(data: bytes, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Return name -> array, each of its type and shape; their values are for `checked_array`.

    Raises
    ------
    BadMessageError
        If the bytes are no .npz, or it holds other arrays than these.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            if sorted(file.namelist()) != sorted(spec.name + _SUFFIX for spec in specs):
                raise BadMessageError(f"expected is an .npz with {', '.join(map(str, specs))}")
            return {spec.name: _array(file, spec) for spec in specs}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError) as exc:
        raise BadMessageError(f"expected is an .npz, this cannot be read: {exc}") from exc


def npz_of(arrays: Mapping[str, Any]) -> bytes:
    """Return the bytes of an .npz with these arrays, whatever their names are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, array in arrays.items():
            with file.open(name + _SUFFIX, "w", force_zip64=True) as entry:
                _NPY.write_array(entry, array, allow_pickle=False)
    return stream.getvalue()


def _array(file: zipfile.ZipFile, spec: TensorSpec) -> Any:
    """Return an array of a file, read when its header says what is expected."""
    entry = file.getinfo(spec.name + _SUFFIX)
    packed = entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if packed or entry.file_size > spec.size_bytes + _ENTRY_BYTES:
        raise BadMessageError(f"expected is {spec}; this has {entry.file_size} bytes, or an odd compression")
    stream = io.BytesIO(file.read(entry))
    read_header = _HEADERS.get(_NPY.read_magic(stream))
    if read_header is None:
        raise BadMessageError(f"expected is {spec}, in version 1 or 2 of the format")
    shape, _, dtype = read_header(stream)
    if (str(dtype), shape) != (spec.dtype, spec.shape):
        raise BadMessageError(f"{dtype}{list(shape)} instead of {spec}")
    stream.seek(0)
    return _NPY.read_array(stream, allow_pickle=False)
