"""Files of models in a folder: written with their hashes, and checked when read."""

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath

import msgspec
import onnx
from google.protobuf.message import Message

from planner.deployment.stage_tasks import StageModel
from planner.errors import OutputError
from planner.output.file_hash import sha256_of
from planner.output.model_files import read_model, save_model, suffix_of
from planner.plan.manifest import STAGES, WHOLE, DataFile, ModelFile, Port, StageEntry
from profiling.graph.any_model import AnyModel, Stage, Tensor, inputs_of, outputs_of
from profiling.precision import Precision

_ZLIB_LEVEL, _CHUNK_BYTES = 6, 2**24  # zlib's default level; large files are not read whole


def save_stage(
    folder: Path,
    name: str,
    stage: StageModel,
    precisions: Sequence[Precision],
    order: int,
    channels_last: Collection[str] = (),
) -> StageEntry:
    """Write a stage into a folder and return its entry.

    Parameters
    ----------
    name
        Of its file, without the suffix.
    precisions
        Of all units.
    order
        Its place in the chain.
    channels_last
        Inputs of the model whose arrays may have their channels last.
    """
    path = folder / STAGES / f"{name}{suffix_of(stage.model)}"
    data = save_model(stage.model, path)
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
        inputs=ports_of(inputs_of(stage.model), channels_last),
        outputs=ports_of(outputs_of(stage.model)),
    )


def save_whole(folder: Path, name: str, model: AnyModel) -> ModelFile:
    """Write a part of the whole model into a folder and return its entry; parameters as of `save_stage`."""
    path = folder / WHOLE / f"{name}{suffix_of(model)}"
    data = save_model(model, path)
    return ModelFile(file=str(path.relative_to(folder)), sha256=sha256_of(path), data=data_file(data, folder))


def stage_name(order: int, device: str) -> str:
    """Return the name of a stage's file, without the suffix.

    Examples
    --------
    >>> stage_name(0, "camera")
    '00-camera'
    """
    return f"{order:02d}-{device}"


def data_file(path: Path | None, folder: Path) -> DataFile | None:
    """Return the entry of a file with weights beside a model, if there is one."""
    return None if path is None else DataFile(file=str(path.relative_to(folder)), sha256=sha256_of(path))


def with_compressed_size(stage: StageEntry, folder: Path) -> StageEntry:
    """Return a stage's entry with what its files weigh compressed, as they may be shipped (zlib)."""
    files = [stage.file] if stage.data is None else [stage.file, stage.data.file]
    size = sum(_compressed_bytes(folder / file) for file in files)
    return msgspec.structs.replace(stage, compressed_bytes=size)


def _compressed_bytes(path: Path) -> int:
    packer = zlib.compressobj(_ZLIB_LEVEL)
    with path.open("rb") as file:
        # As an archive would ship them; one file at a time, not the folder.
        size = sum(len(packer.compress(piece)) for piece in iter(partial(file.read, _CHUNK_BYTES), b""))
    return size + len(packer.flush())


def ports_of(tensors: Iterable[Tensor], channels_last: Collection[str] = ()) -> tuple[Port, ...]:
    """Return inputs or outputs of a model with static shapes."""
    return tuple(
        Port(name=one.name, dtype=one.dtype, shape=one.shape, channels_last=one.name in channels_last)
        for one in tensors
    )


def stays_inside(folder: Path, file: str) -> bool:
    """Return whether a path that a manifest names, links followed, is one in its folder."""
    if "\0" in file or PurePath(file).is_absolute():
        return False
    try:
        return (folder / file).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # too long, or links in a circle
        return False


def check_model_file(
    path: Path, data: DataFile | None, ports: tuple[Sequence[Port], Sequence[Port]], manifest_key: str
) -> None:
    """Refuse a model's file that reads other files than its own, or has other inputs and outputs.

    Parameters
    ----------
    ports
        Inputs and outputs as the manifest has them.
    manifest_key
        Where the manifest has them, for messages.

    Raises
    ------
    OutputError
        Naming the file and what the manifest says of it.
    """
    model = read_model(path)
    try:
        ends = [ports_of(tensors) for tensors in (inputs_of(model), outputs_of(model))]
    except (ValueError, KeyError) as exc:
        raise OutputError(f"{path}: is not a model of tensors") from exc
    allowed = {Path(data.file).name} if data else set()
    unlisted = sorted(set(() if isinstance(model, Stage) else _locations(model)) - allowed)
    if unlisted:
        raise OutputError(f"{path}: reads weights from {unlisted[0]!r}, which the manifest does not list")
    for what, model_ports, manifest_ports in zip(("inputs", "outputs"), ends, ports, strict=True):
        if model_ports != tuple(
            msgspec.structs.replace(port, channels_last=False) for port in manifest_ports
        ):
            raise OutputError(f"{path}: its {what} are not those that {manifest_key} has")


def _locations(message: Message) -> Iterator[str]:
    """Yield the locations of all external data in a model, wherever a tensor is."""
    if isinstance(message, onnx.TensorProto):
        yield from (entry.value for entry in message.external_data if entry.key == "location")
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in value if isinstance(value, Sequence) or hasattr(value, "add") else [value]:
                yield from _locations(item)
