"""Large weights stay outside the ModelProto: in files that are mapped, and read in pieces.

In memory a model refers to its large weights by ONNX's own external data, with two differences: the
location is a path from the root of the file system, so that weights of several folders serve one
model, and `checksum` holds the BLAKE2 hash of the weight's bytes, so that a model can be told by its
content. Only `open_session` and `save` know how that is handed on.
"""

import functools
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, checker, external_data_helper, helper, numpy_helper

from profiling.arrays import Array
from profiling.directories import ROOT, scratch_folder
from profiling.errors import ModelError
from profiling.onnx_io.element_types import NUMPY_TYPES

LARGE_BYTES = 2**20
_CHUNK_BYTES = 2**24
_MAX_INLINE_BYTES = 2**30  # protobuf ends at 2 GiB, and needs room for its own copy
_ALIGNMENT = 4096  # onnx.proto: offsets should be multiples of it, a page, so that a file can be mapped
_DIGEST_BYTES = 20
DATA_SUFFIX = ".data"


@dataclass(frozen=True, slots=True)
class LargeWeight:
    """A weight of at least two dimensions in a file, in C order and little-endian, as ONNX stores it.

    Parameters
    ----------
    file
        Absolute path.
    offset
        Of its first byte in the file, in bytes.
    dims
        Its shape.
    data_type
        ONNX element type.
    checksum
        BLAKE2 hash of its bytes, 40 hexadecimal digits.
    """

    file: Path
    offset: int
    dims: tuple[int, ...]
    data_type: int
    checksum: str

    @classmethod
    def of(cls, tensor: TensorProto) -> "LargeWeight":
        """Return what a tensor for which `is_large` holds refers to."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        return cls(
            ROOT / entries["location"],
            int(entries["offset"]),
            tuple(tensor.dims),
            tensor.data_type,
            entries["checksum"],
        )

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's element type."""
        return helper.tensor_dtype_to_np_dtype(self.data_type)

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return _element_count(self.dims) * self.dtype.itemsize

    def iter_chunks(self) -> Iterator[Array]:
        """Yield its values as arrays of [rows, *dims[1:]], 16 MiB at a time, or one row where that is more.

        Raises
        ------
        OSError
            If the file is gone.
        ValueError
            If the file has become shorter.
        """
        row = _element_count(self.dims[1:])
        step = max(1, _CHUNK_BYTES // max(1, row * self.dtype.itemsize))
        with self.file.open("rb") as file:
            file.seek(self.offset)
            for start in range(0, self.dims[0], step):
                rows = min(step, self.dims[0] - start)
                # Not np.memmap: a mapped file that someone shortens ends the process, a read one raises.
                chunk = np.fromfile(file, self.dtype, rows * row)
                yield chunk.reshape(rows, *self.dims[1:])

    def reference(self, name: str) -> TensorProto:
        """Return the tensor that stands for it in a model in memory."""
        tensor = TensorProto(
            name=name, data_type=self.data_type, dims=self.dims, data_location=TensorProto.EXTERNAL
        )
        _set_location(tensor, self.file.relative_to(ROOT), self.offset, self.size_bytes)
        tensor.external_data.add(key="checksum", value=self.checksum)
        return tensor


def is_large(tensor: TensorProto) -> bool:
    """Return whether a tensor of a model in memory lies outside."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def iter_chunks(tensor: TensorProto) -> Iterator[Array]:
    """Yield a weight's values: runs of rows of a large one, as `LargeWeight` does, else all at once."""
    if is_large(tensor):
        yield from LargeWeight.of(tensor).iter_chunks()
    else:
        yield numpy_helper.to_array(tensor)


def read_array(tensor: TensorProto) -> Array:
    """Return all of a weight's values in memory, in its shape."""
    chunks = list(iter_chunks(tensor))
    return np.concatenate(chunks) if len(chunks) > 1 else chunks[0]


def write_external(dims: tuple[int, ...], data_type: int, rows: Iterable[Array]) -> LargeWeight:
    """Write a new large weight into the scratch folder.

    Parameters
    ----------
    dims
        Its shape.
    data_type
        ONNX element type, to which the arrays' type must belong.
    rows
        Its values: arrays of [rows, *dims[1:]] that follow each other along the first axis.
    """
    path = scratch_folder() / secrets.token_hex(8)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("wb") as file:
        for chunk in rows:
            content = np.ascontiguousarray(chunk).data
            digest.update(content)
            file.write(content)
    return LargeWeight(path, 0, dims, data_type, digest.hexdigest())


def delete_files(tensors: Iterable[TensorProto]) -> None:
    """Delete the files of large weights that `write_external` wrote and that no model needs any more.

    Tensors with their values inside are passed over.
    """
    for tensor in tensors:
        if is_large(tensor):
            LargeWeight.of(tensor).file.unlink()


def read_model(path: Path) -> onnx.ModelProto:
    """Return the model of a file, its large weights outside, mapped where they are.

    Raises
    ------
    ModelError
        If weights lie outside the model's folder, or their file is missing or too short.
    google.protobuf.message.DecodeError
        If the file is no model.
    """
    model = onnx.load(path, load_external_data=False)
    beside = [
        t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL and _can_be_external(t)
    ]
    weights = [(tensor, _weight_beside(tensor, path)) for tensor in beside]
    for tensor, _ in weights:
        tensor.data_location = TensorProto.DEFAULT  # so that onnx leaves it out when it loads the small ones
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (checker.ValidationError, OSError, ValueError) as exc:
        raise ModelError(f"model: {path}: {str(exc).strip().splitlines()[0]}") from exc
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")  # it says nothing now, but would change the hash
    for tensor, weight in weights:
        tensor.CopyFrom(weight.reference(tensor.name))
    externalize(model)
    return model


def externalize(model: onnx.ModelProto) -> None:
    """Move large weights out of a model into files of the scratch folder, in place."""
    for tensor in model.graph.initializer:
        if not is_large(tensor) and _can_be_external(tensor):
            array = numpy_helper.to_array(tensor)
            weight = write_external(tuple(tensor.dims), tensor.data_type, [array])
            tensor.CopyFrom(weight.reference(tensor.name))


def inline(tensor: TensorProto) -> TensorProto:
    """Return a tensor with its values inside."""
    if not is_large(tensor):
        return tensor
    raw = b"".join(chunk.tobytes() for chunk in iter_chunks(tensor))
    return TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=raw)


def without_large_weights(
    model: onnx.ModelProto, substitutes: Mapping[str, TensorProto] | None = None
) -> onnx.ModelProto:
    """Return a copy for tools that cannot handle large weights: they are graph inputs there.

    Parameters
    ----------
    substitutes
        By name: large weights that stay initializers, with other values.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    replaced = substitutes or {}
    listed = {value.name for value in copy.graph.input}
    large = [tensor for tensor in model.graph.initializer if is_large(tensor) and tensor.name not in replaced]
    tensors = [replaced.get(tensor.name, tensor) for tensor in model.graph.initializer]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(tensor for tensor in tensors if not is_large(tensor))
    copy.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in large
        if tensor.name not in listed
    )
    return copy


def reattach_weights(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `without_large_weights`, in place, for those weights of the original that the model still has."""
    large = {tensor.name: tensor for tensor in original.graph.initializer if is_large(tensor)}
    listed = {value.name for value in original.graph.input}
    # Weights come back as inputs, substitutes as initializers; a tool may have dropped unread ones.
    present = [value.name for value in model.graph.input] + [t.name for t in model.graph.initializer]
    inputs = [value for value in model.graph.input if value.name in listed or value.name not in large]
    small = [tensor for tensor in model.graph.initializer if tensor.name not in large]
    del model.graph.input[:], model.graph.initializer[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(small)
    model.graph.initializer.extend(large[name] for name in dict.fromkeys(present) if name in large)
    return model


def check_model(model: onnx.ModelProto) -> None:
    """Let ONNX's checker judge a model in memory; it would look for weights in the working folder.

    Raises
    ------
    onnx.checker.ValidationError
        If it is not valid.
    """
    checker.check_model(without_large_weights(model))


@functools.cache
def per_channel_min_max(weight: LargeWeight, axis: int) -> Array:
    """Return the least and the greatest value of each channel, in the weight's rank.

    Kept for the life of the process: each model that is quantized with the same weight asks again.

    Parameters
    ----------
    axis
        Of the channels: 0 or 1.

    Returns
    -------
    Array
        Of shape [channels, 2, 1, ...] for axis 0, [2, channels, 1, ...] for axis 1.
    """
    others = tuple(i for i in range(len(weight.dims)) if i != axis)
    low = [chunk.min(axis=others) for chunk in weight.iter_chunks()]
    high = [chunk.max(axis=others) for chunk in weight.iter_chunks()]
    if axis == 0:
        pair = np.stack([np.concatenate(low), np.concatenate(high)], axis=1)
    else:
        pair = np.stack([np.min(low, axis=0), np.max(high, axis=0)], axis=0)
    min_max: Array = pair.reshape(*pair.shape, *(1 for _ in weight.dims[2:]))
    return min_max


def save(model: onnx.ModelProto, path: Path) -> Path | None:
    """Write a model for others to read; return the second file, if its weights need one.

    Up to a gibibyte is one file; above it the large weights go to PATH.data beside it, whose location the
    model names relative to itself, so that the two files can be moved together.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    large = [tensor for tensor in copy.graph.initializer if is_large(tensor)]
    total = copy.ByteSize() + sum(LargeWeight.of(tensor).size_bytes for tensor in large)
    if total <= _MAX_INLINE_BYTES:
        for tensor in large:
            tensor.CopyFrom(inline(tensor))
        onnx.save(copy, path)
        return None
    beside = path.with_name(path.name + DATA_SUFFIX)
    with beside.open("wb") as file:
        for tensor in large:
            weight = LargeWeight.of(tensor)
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            _set_location(tensor, Path(beside.name), file.tell(), weight.size_bytes)
            _copy_into(file, weight)
    onnx.save(copy, path)
    return beside


def save_sharing(model: onnx.ModelProto, path: Path) -> None:
    """Write a model beside others that hold the same large weights: each weight is a file of its own.

    The file's name is the hash of the content, so that models written into one folder share it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if is_large(tensor):
            weight = LargeWeight.of(tensor)
            file = path.with_name(f"{weight.checksum}{DATA_SUFFIX}")
            if not file.exists():
                with file.open("wb") as target:
                    _copy_into(target, weight)
            _set_location(tensor, Path(file.name), 0, weight.size_bytes)
    onnx.save(copy, path)


def _copy_into(target: BinaryIO, weight: LargeWeight) -> None:
    for chunk in weight.iter_chunks():
        target.write(chunk.data)


def _weight_beside(tensor: TensorProto, model: Path) -> LargeWeight:
    """Return a large weight that lies in a file beside the model, after checking that it really does.

    Models come from strangers: what one names must not let us read any file of the machine.

    Raises
    ------
    ModelError
        If it does not.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, folder = entries.get("location", ""), model.parent.resolve()
    prefix = f"model: {model}: weight {tensor.name!r}"
    file = (folder / location).resolve()  # follows links, so that one out of the folder is seen
    if Path(location).is_absolute() or not file.is_relative_to(folder):
        raise ModelError(f"{prefix}: {location!r} points outside the model's folder")
    if not file.is_file():
        raise ModelError(f"{prefix}: its file {location!r} does not exist")
    size = _size_bytes(tensor)
    offset, length = _byte_count(entries, "offset", 0, prefix), _byte_count(entries, "length", size, prefix)
    if length != size:
        raise ModelError(f"{prefix}: its shape takes {size} bytes, but it has {length}")
    if offset + length > file.stat().st_size:
        raise ModelError(f"{prefix}: {location!r} ends before it does")
    weight = LargeWeight(file, offset, tuple(tensor.dims), tensor.data_type, "")
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for chunk in weight.iter_chunks():
        digest.update(chunk.data)
    return LargeWeight(file, offset, weight.dims, weight.data_type, digest.hexdigest())


def _byte_count(entries: Mapping[str, str], key: str, default: int, prefix: str) -> int:
    text = entries.get(key, str(default))
    if not text.isdecimal():
        raise ModelError(f"{prefix}: {key} is {text!r}, not a number of bytes")
    return int(text)


def _can_be_external(tensor: TensorProto) -> bool:
    """Return whether a tensor counts as a large weight."""
    if tensor.data_type not in NUMPY_TYPES or len(tensor.dims) < 2:  # noqa: PLR2004  a bias stays inside
        return False
    return _size_bytes(tensor) >= LARGE_BYTES


def _size_bytes(tensor: TensorProto) -> int:
    return _element_count(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def _element_count(dims: Iterable[int]) -> int:
    # NumPy's default integer has 32 bits on some systems, where 2 GiB of weights would overflow.
    return int(np.prod(list(dims), dtype=np.int64))


def _set_location(tensor: TensorProto, location: Path, offset: int, length: int) -> None:
    del tensor.external_data[:]  # our checksum, too: in a file ONNX means the SHA-1 of all data by it
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location.as_posix()), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
