"""The plan folder: written whole or not at all, and read back."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import onnx

from planner.build import Built
from planner.compare_table import comparison_csv
from planner.comparison import Comparison
from planner.errors import OutputError
from planner.plan import FORMAT, Cut, Plan, Record, to_json
from planner.replace import replacing
from planner.run import Outcome
from planner.split import StageModel
from profiling import onboard
from profiling.bundle import SCRIPT
from profiling.weights import DATA_SUFFIX, save

T = TypeVar("T")

PLAN, MODEL, MANIFEST, PROFILE = "plan.json", "model.onnx", "manifest.json", "profile.json"
STAGES = "stages"
COMPARISON, TABLE = "compare.json", "compare.csv"


class Port(Record, frozen=True, kw_only=True):
    """An input or output of a stage."""

    name: str
    dtype: str
    shape: tuple[int, ...]


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


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write plan, profiles and models into `folder`, replacing an older plan there.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no plan.
    """
    if outcome.built is None:
        raise OutputError("there is no plan to write")
    check_writable(folder)
    with replacing(folder, f"--out {folder}") as fresh:
        _write_models(outcome.plan, outcome.built, fresh)
        _write_json(dict(outcome.profiles), fresh / PROFILE)


def write_export(plan: Plan, built: Built, folder: Path, profile: Path | None = None) -> None:
    """Write a saved plan's models into `folder`, replacing an older plan there.

    Parameters
    ----------
    profile
        The profile that lies beside the plan, copied along.
    """
    check_writable(folder)
    with replacing(folder, f"--out {folder}") as fresh:
        _write_models(plan, built, fresh)
        if profile is not None:
            shutil.copyfile(profile, fresh / PROFILE)


@contextmanager
def writing_bundle(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `folder` when the block succeeds, replacing an older bundle.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no bundle.
    """
    option = f"--bundle {folder}"
    known = {SCRIPT, onboard.ORDER, onboard.FEEDS, onboard.PROBE, onboard.MODELS}
    _check_folder(folder, option, "bundle", known, onboard.ORDER)
    with replacing(folder, option) as fresh:
        yield fresh


def check_comparison(folder: Path) -> None:
    """Fail early if a comparison cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something that is no comparison.
    """
    _check_folder(folder, f"--out {folder}", "comparison", {COMPARISON, TABLE}, COMPARISON)


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write a comparison into `folder`, replacing an older one there.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no comparison.
    """
    check_comparison(folder)
    with replacing(folder, f"--out {folder}") as fresh:
        _write_json(comparison, fresh / COMPARISON)
        (fresh / TABLE).write_text(comparison_csv(comparison))


def check_writable(folder: Path) -> None:
    """Fail early if a plan cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something that is no plan.
    """
    known = {PLAN, MODEL, MODEL + DATA_SUFFIX, MANIFEST, PROFILE, STAGES}
    _check_folder(folder, f"--out {folder}", "plan", known, MANIFEST)


def _check_folder(folder: Path, option: str, what: str, known: set[str], mark: str) -> None:
    """Refuse a place that cannot be written, or whose files are not what would replace them."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{option}: is a file; name a folder")
    if folder.is_dir():
        names = _names(folder)
        foreign = sorted(names - known)
        if foreign or (names and mark not in names):
            odd = foreign[0] if foreign else sorted(names)[0]
            raise OutputError(f"{option}: holds files that are no {what} ({odd}); name a new folder")
    above = next(parent for parent in folder.resolve().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise OutputError(f"{option}: {above} is no folder that can be written")


def _names(folder: Path) -> set[str]:
    """Return what a folder holds, read again if another run replaced it meanwhile."""
    while True:
        before = folder.stat().st_ino
        names = {entry.name for entry in folder.iterdir()}
        if folder.stat().st_ino == before:
            return names


def read_plan(path: Path) -> Plan:
    """Return a saved plan.

    Raises
    ------
    OutputError
        If the file is no plan.
    """
    return _read(path / PLAN if path.is_dir() else path, Plan)


def read_manifest(folder: Path) -> Manifest:
    """Return a plan folder's manifest, its models checked against their hashes.

    Raises
    ------
    OutputError
        If the folder is no plan, or a model is missing or changed.
    """
    manifest = _read(folder / MANIFEST, Manifest)
    files = [(stage.file, stage.sha256) for stage in manifest.stages]
    beside = [stage.data for stage in manifest.stages] + [manifest.model_data]
    files += [(data.file, data.sha256) for data in beside if data is not None]
    for file, sha256 in [*files, (MODEL, manifest.model_sha256)]:
        path = folder / file
        if not path.is_file():
            raise OutputError(f"{path}: is missing; export the plan again")
        if _sha256(path) != sha256:
            raise OutputError(f"{path}: has changed since it was exported; export the plan again")
    _check_ports(folder / MANIFEST, manifest)
    return manifest


def _check_ports(path: Path, manifest: Manifest) -> None:
    """Refuse a manifest whose stages cannot run in their order."""
    known = {port.name for port in manifest.inputs}
    for stage in manifest.stages:
        missing = [port.name for port in stage.inputs if port.name not in known]
        if missing:
            raise OutputError(f"{path}: stage {stage.number} needs {missing[0]!r}, which no stage gives")
        known |= {port.name for port in stage.outputs}
    due = [port.name for port in manifest.outputs if port.name not in known]
    if due:
        raise OutputError(f"{path}: no stage gives the output {due[0]!r}")


def _write_models(plan: Plan, built: Built, folder: Path) -> None:
    (folder / STAGES).mkdir()
    beside = save(built.mixed, folder / MODEL)
    entries = []
    for number, stage in enumerate(built.stages):
        file = f"{STAGES}/{number:02d}-{stage.device}.onnx"
        data = save(stage.model, folder / file)
        entries.append(_entry(plan, number, stage, folder, folder / file, data))
    scenario = msgspec.json.decode(plan.scenario, type=_Ends)
    manifest = Manifest(
        format=plan.format,
        source=scenario.source,
        sink=scenario.sink,
        model_sha256=_sha256(folder / MODEL),
        model_data=_data(beside, folder),
        inputs=_ports(built.mixed.graph.input),
        outputs=_ports(built.mixed.graph.output),
        stages=tuple(entries),
        cuts=plan.cuts,
    )
    _write_json(manifest, folder / MANIFEST)
    _write_json(plan, folder / PLAN)


class _Format(Record, frozen=True, kw_only=True):
    format: int


class _Ends(Record, frozen=True, kw_only=True):
    source: str
    sink: str


def _data(path: Path | None, folder: Path) -> DataFile | None:
    return None if path is None else DataFile(file=str(path.relative_to(folder)), sha256=_sha256(path))


def _entry(
    plan: Plan, number: int, stage: StageModel, folder: Path, path: Path, data: Path | None
) -> StageEntry:
    return StageEntry(
        number=number,
        device=stage.device,
        file=str(path.relative_to(folder)),
        sha256=_sha256(path),
        data=_data(data, folder),
        units=len(stage.units),
        precisions=dict(Counter(plan.assignments[unit].precision.value for unit in stage.units)),
        inputs=_ports(stage.model.graph.input),
        outputs=_ports(stage.model.graph.output),
    )


def _ports(values: list[onnx.ValueInfoProto]) -> tuple[Port, ...]:
    return tuple(
        Port(
            name=value.name,
            dtype=str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))),
            shape=tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


def _write_json(value: object, path: Path) -> None:
    path.write_text(to_json(value) + "\n")


def _read(path: Path, kind: type[T]) -> T:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Format).format
        if found != FORMAT:
            raise OutputError(f"{path}: format {found}, this version reads {FORMAT}; plan again")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as exc:
        raise OutputError(f"{path}: {exc.strerror}") from exc
    except msgspec.MsgspecError as exc:
        raise OutputError(f"{path}: is not a {kind.__name__.lower()}: {exc}") from exc


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
