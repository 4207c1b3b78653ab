"""What a host is to serve: read from its folder, every file checked by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from planner.hosts.on_host.messages import TensorSpec

MANIFEST, NETWORK = "host.json", "zenoh.json5"
FORMAT = 3
_CHUNK_BYTES = 2**20
M = TypeVar("M")


class HostManifestError(Exception):
    """A folder that cannot be served as it is; the message says which file, and what to do."""


@dataclass(frozen=True)
class HostedFile:
    """A file beside the manifest."""

    file: str
    sha256: str


@dataclass(frozen=True)
class HostedStage:
    """A stage of one plan.

    Parameters
    ----------
    files
        The model first, then its weights if they lie in a file of their own.
    planned_s
        Seconds that it computes on its device, by the plan.
    """

    number: int
    files: tuple[HostedFile, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    planned_s: float = 0.0


@dataclass(frozen=True)
class RoutedTensor:
    """A tensor that reaches this host or arises on it, and what becomes of it.

    Parameters
    ----------
    sender
        The neighbour it comes from; None if it arises here: from a stage, or from who asks.
    receivers
        Neighbours that it is sent to.
    stages
        Numbers of the stages here that read it.
    is_answer
        Whether it is an output of the model and due here.
    """

    spec: TensorSpec
    sender: str | None
    receivers: tuple[str, ...]
    stages: tuple[int, ...]
    is_answer: bool


@dataclass(frozen=True)
class HostedPlan:
    """What this host does for one plan of the deployment.

    Parameters
    ----------
    inputs, outputs
        Names of the model's.
    tensors
        By name.
    numbers
        What messages call the plan's tensors, by name, whether they come here or not.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stages: tuple[HostedStage, ...]
    tensors: dict[str, RoutedTensor]
    numbers: dict[str, int]

    @cached_property
    def names(self) -> dict[int, str]:
        """Tensors' names by number."""
        return {number: name for name, number in self.numbers.items()}


@dataclass(frozen=True)
class RuntimeSpec:
    """The runtime that the stages were planned with."""

    name: str
    version: str
    threads: int
    provider: str


@dataclass(frozen=True)
class HostManifest:
    """What one host serves.

    Parameters
    ----------
    deployment
        Hash of all that was deployed together; hosts of another one do not talk with this one.
    devices
        All of the deployment; messages call them by their place here.
    neighbours
        Hosts that this one exchanges messages with.
    next_hop
        Device -> the neighbour on the way there.
    most_requests
        How many requests may be on their way at once.
    runtime
        None if the host only forwards.
    """

    deployment: str
    device: str
    source: str
    devices: tuple[str, ...]
    neighbours: tuple[str, ...]
    next_hop: dict[str, str]
    most_requests: int
    runtime: RuntimeSpec | None
    plans: tuple[HostedPlan, ...]

    @property
    def is_source(self) -> bool:
        """Whether requests come in here."""
        return self.device == self.source


def read_host_manifest(folder: Path) -> HostManifest:
    """Return what a folder is to serve.

    Raises
    ------
    HostManifestError
        If the manifest is missing or of another format, or a file is not the one that was deployed.
    """
    manifest = read_manifest(folder / MANIFEST, FORMAT, _manifest)
    for plan in manifest.plans:
        for stage in plan.stages:
            check_files(folder, stage)
    return manifest


def read_manifest(path: Path, version: int, parse: Callable[[dict[str, Any]], M]) -> M:
    """Return what a manifest says.

    Parameters
    ----------
    version
        The format that is read here.
    parse
        Makes it of the file's keys.

    Raises
    ------
    HostManifestError
        If the file is missing, of another format, or damaged.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise HostManifestError(f"{path}: cannot be read; deploy again ({exc})") from exc
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != version:
        raise HostManifestError(f"{path}: format {found}, and this serves {version}; deploy again")
    try:
        return parse(fields)
    except (KeyError, TypeError, ValueError) as exc:
        raise HostManifestError(f"{path}: is damaged ({exc!r}); deploy again") from exc


def check_files(folder: Path, stage: HostedStage) -> None:
    """Check that a stage's files are those that were deployed.

    Raises
    ------
    HostManifestError
        If one is missing or another one.
    """
    try:
        for file in stage.files:
            check_file(folder, file)
    except (TypeError, ValueError) as exc:  # what is no file's name
        raise HostManifestError(f"{folder}: its manifest is damaged ({exc!r}); deploy again") from exc


def check_file(folder: Path, file: HostedFile) -> None:
    """Refuse a file that is not as it was written.

    Raises
    ------
    HostManifestError
        Naming it.
    """
    path = folder / file.file
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            for piece in iter(partial(stream.read, _CHUNK_BYTES), b""):
                digest.update(piece)
    except OSError as exc:
        raise HostManifestError(f"{path}: {exc.strerror}; copy the folder again") from exc
    if digest.hexdigest() != file.sha256:
        raise HostManifestError(f"{path}: is not the file that was deployed; copy the folder again")


def _manifest(fields: dict[str, Any]) -> HostManifest:
    runtime, devices = fields["runtime"], tuple(fields["devices"])
    if not {fields["device"], fields["source"]} <= set(devices):
        raise ValueError("a device has no number")
    return HostManifest(
        deployment=fields["deployment"],
        device=fields["device"],
        source=fields["source"],
        devices=devices,
        neighbours=tuple(fields["neighbours"]),
        next_hop=dict(fields["next_hop"]),
        most_requests=int(fields["most_requests"]),
        runtime=None if runtime is None else RuntimeSpec(**runtime),
        plans=tuple(_plan(plan) for plan in fields["plans"]),
    )


def _plan(fields: dict[str, Any]) -> HostedPlan:
    tensors = [_tensor(tensor) for tensor in fields["tensors"]]
    numbers = {name: number for number, name in enumerate(fields["names"])}
    if any(tensor.spec.name not in numbers for tensor in tensors):
        raise ValueError("a tensor has no number")
    return HostedPlan(
        name=fields["name"],
        inputs=tuple(fields["inputs"]),
        outputs=tuple(fields["outputs"]),
        stages=tuple(hosted_stage(stage) for stage in fields["stages"]),
        tensors={tensor.spec.name: tensor for tensor in tensors},
        numbers=numbers,
    )


def hosted_stage(fields: dict[str, Any]) -> HostedStage:
    """Return a stage from the keys of a manifest."""
    return HostedStage(
        number=int(fields["number"]),
        files=tuple(HostedFile(**file) for file in fields["files"]),
        inputs=tuple(tensor_spec(spec) for spec in fields["inputs"]),
        outputs=tuple(tensor_spec(spec) for spec in fields["outputs"]),
        planned_s=float(fields["planned_s"]),
    )


def _tensor(fields: dict[str, Any]) -> RoutedTensor:
    return RoutedTensor(
        spec=tensor_spec(fields["spec"]),
        sender=fields["sender"],
        receivers=tuple(fields["receivers"]),
        stages=tuple(fields["stages"]),
        is_answer=bool(fields["is_answer"]),
    )


def tensor_spec(fields: dict[str, Any]) -> TensorSpec:
    """Return a tensor's type and shape from the keys of a manifest."""
    return TensorSpec(fields["name"], fields["dtype"], tuple(fields["shape"]))
