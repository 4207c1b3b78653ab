"""Runs an exported plan folder on samples from an .npz file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from planner.chain import Chain
from planner.errors import DataError, OutputError
from planner.manifest import Port
from planner.output import read_manifest
from planner.picture_axes import are_channels_last, channels_first
from profiling.profile import writing_aside
from profiling.session import Array, Runtime


def run_folder(folder: Path, source: Path, target: Path, stage: int | None) -> tuple[str, ...]:
    """Run all stages of a plan folder, or one, and write their outputs; return the outputs' names.

    Arrays have the model's shape for one sample, or one more axis in front for several.

    Raises
    ------
    OutputError
        If the folder is no plan, lacks the stage, or the target cannot be written.
    DataError
        If the input file lacks an input or one has a wrong shape or type.
    """
    manifest = read_manifest(folder)
    stages = [s for s in manifest.stages if stage is None or s.number == stage]
    if not stages:
        numbers = ", ".join(f"{s.number:02d} ({s.device})" for s in manifest.stages)
        raise OutputError(f"--stage {stage}: the plan has stages {numbers}")
    inputs, outputs = manifest.inputs, manifest.outputs
    if stage is not None:
        inputs, outputs = stages[0].inputs, stages[0].outputs
    columns = _read(source, inputs)
    chain = Chain([folder / s.file for s in stages], Runtime())
    names = [port.name for port in outputs]
    count = len(next(iter(columns.values())))
    if count == 0:
        raise DataError(f"--input {source}: holds no samples")
    rows = [chain.run({k: v[i] for k, v in columns.items()}, names) for i in range(count)]
    _write(target, {name: np.stack([row[name] for row in rows]) for name in names})
    return tuple(names)


def _read(path: Path, ports: Sequence[Port]) -> dict[str, Array]:
    """Return input -> array whose first axis counts samples."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as exc:  # zipfile, numpy and the OS each raise their own
        raise DataError(f"--input {path}: is not a readable .npz archive ({exc})") from exc
    columns = {}
    for port in ports:
        if port.name not in arrays:
            raise DataError(
                f"--input {path}: has no array {port.name!r}; it has {', '.join(arrays) or 'none'}"
            )
        columns[port.name] = _shaped(arrays[port.name], port, path)
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) != 1:
        raise DataError(f"--input {path}: arrays hold different numbers of samples: {counts}")
    return columns


def _shaped(value: Array, port: Port, path: Path) -> Array:
    want = np.dtype(port.dtype)
    if np.issubdtype(value.dtype, np.floating) and np.issubdtype(want, np.floating):
        value = value.astype(want)
    if value.dtype != want:
        raise DataError(f"--input {path}: {port.name!r} wants {port.dtype}, got {value.dtype}")
    if port.channels_last and are_channels_last(value, port.shape):
        value = channels_first(value)
    for shape in (port.shape, port.shape[1:] if port.shape[:1] == (1,) else port.shape):
        if value.shape == shape:
            return value.reshape(1, *port.shape)
        if value.shape[1:] == shape:
            return value.reshape(len(value), *port.shape)
    raise DataError(
        f"--input {path}: {port.name!r} wants shape {list(port.shape)} or [samples, ...], "
        f"got {list(value.shape)}"
    )


def _write(path: Path, arrays: dict[str, Array]) -> None:
    try:
        with writing_aside(path) as aside, aside.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as exc:
        raise OutputError(f"--output {path}: {exc.strerror}") from exc
