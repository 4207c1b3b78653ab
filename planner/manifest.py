"""What lies in a folder of models: files with their hashes, ports and cuts, for whoever runs them."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx

from planner.plan import Cut, Record
from planner.split import StageModel
from profiling.precision import Precision
from profiling.weights import save

_LEVEL, _PIECE_BYTES = 6, 2**24
STAGES, REPORT = "stages", "report.html"


class Port(Record, frozen=True, kw_only=True):
    """An input or output of a stage; `channels_last`: arrays may have their channels last, as the source."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    channels_last: bool = False


class DataFile(Record, frozen=True, kw_only=True):
    """The weights of a model that is too large for one file; they lie beside it."""

    file: str
    sha256: str


class StageEntry(Record, frozen=True, kw_only=True):
    """One stage of the manifest, in running order."""

    number: int
    device: str
    file: str
    sha256: str
    data: DataFile | None = None
    size_bytes: int | None = msgspec.field(name="bytes", default=None)
    compressed_bytes: int | None = None
    units: int
    precisions: dict[str, int] = msgspec.field(default_factory=dict)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Manifest(Record, frozen=True, kw_only=True):
    """What a runtime needs to run the stages: files, ports and cuts."""

    format: int
    source: str
    sink: str
    model_sha256: str
    model_data: DataFile | None = None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stages: tuple[StageEntry, ...]
    cuts: tuple[Cut, ...]


def save_stage(
    folder: Path,
    number: int,
    stage: StageModel,
    precisions: Sequence[Precision],
    order: int,
    channels_last: Collection[str] = (),
) -> StageEntry:
    """Write a stage into a folder and return its entry.

    Parameters
    ----------
    number
        Of its file.
    precisions
        Of all units.
    order
        Its place in the chain.
    channels_last
        Inputs of the model whose arrays may have their channels last.
    """
    path = folder / STAGES / f"{number:02d}-{stage.device}.onnx"
    data = save(stage.model, path)
    files = [path] if data is None else [path, data]
    return StageEntry(
        number=order,
        device=stage.device,
        file=str(path.relative_to(folder)),
        sha256=sha256_of(path),
        data=data_file(data, folder),
        size_bytes=sum(file.stat().st_size for file in files),
        units=len(stage.units),
        precisions=dict(Counter(precisions[unit].value for unit in stage.units)),
        inputs=ports_of(stage.model.graph.input, channels_last),
        outputs=ports_of(stage.model.graph.output),
    )


def data_file(path: Path | None, folder: Path) -> DataFile | None:
    """Return the entry of a file with weights beside a model, if there is one."""
    return None if path is None else DataFile(file=str(path.relative_to(folder)), sha256=sha256_of(path))


def with_compressed_size(stage: StageEntry, folder: Path) -> StageEntry:
    """Return a stage's entry with what its files weigh compressed, as they may be shipped (zlib)."""
    files = [stage.file] if stage.data is None else [stage.file, stage.data.file]
    size = sum(_compressed_bytes(folder / file) for file in files)
    return msgspec.structs.replace(stage, compressed_bytes=size)


def _compressed_bytes(path: Path) -> int:
    packer = zlib.compressobj(_LEVEL)
    with path.open("rb") as file:
        size = sum(len(packer.compress(piece)) for piece in iter(partial(file.read, _PIECE_BYTES), b""))
    return size + len(packer.flush())


def ports_of(values: Sequence[onnx.ValueInfoProto], channels_last: Collection[str] = ()) -> tuple[Port, ...]:
    """Return inputs or outputs of a model with static shapes."""
    return tuple(
        Port(
            name=value.name,
            dtype=str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))),
            shape=tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
            channels_last=value.name in channels_last,
        )
        for value in values
    )


def sha256_of(path: Path) -> str:
    """Return a file's hash in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
