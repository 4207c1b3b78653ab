"""What a Ray Serve application is to serve: the stages of one plan, each with its device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.hosts.on_host.host_manifest import (
    HostedStage,
    RuntimeSpec,
    hosted_stage,
    read_manifest,
    tensor_spec,
)
from planner.hosts.on_host.messages import TensorSpec

APPLICATION = "application.json"
FORMAT = 1


@dataclass(frozen=True)
class PlacedStage:
    """A stage, and where it runs.

    Parameters
    ----------
    deployment
        Its name in Ray Serve.
    cpus, gpus
        What a replica reserves: the stages of a device share the threads it was planned with, and its GPU.
    """

    deployment: str
    device: str
    cpus: float
    gpus: float
    runtime: RuntimeSpec
    stage: HostedStage


@dataclass(frozen=True)
class ApplicationManifest:
    """One plan.

    Parameters
    ----------
    deployment
        Hash of all that was deployed together, as `serve_config.yaml` names it, too.
    source
        The device where requests come in.
    inputs, outputs
        The model's.
    stages
        In running order.
    """

    deployment: str
    source: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stages: tuple[PlacedStage, ...]


def read_application(folder: Path) -> ApplicationManifest:
    """Return what a folder is to serve; each replica checks its own stage's files.

    Raises
    ------
    HostManifestError
        If the manifest is missing, of another format, or damaged.
    """
    return read_manifest(folder / APPLICATION, FORMAT, _application)


def resource_of(device: str) -> str:
    """Return the custom resource that a node has if it is a device; none of Ray's own is called so."""
    return f"device:{device}"


def _application(fields: dict[str, Any]) -> ApplicationManifest:
    return ApplicationManifest(
        deployment=fields["deployment"],
        source=fields["source"],
        inputs=tuple(tensor_spec(spec) for spec in fields["inputs"]),
        outputs=tuple(tensor_spec(spec) for spec in fields["outputs"]),
        stages=tuple(_placed(stage) for stage in fields["stages"]),
    )


def _placed(fields: dict[str, Any]) -> PlacedStage:
    return PlacedStage(
        deployment=fields["deployment"],
        device=fields["device"],
        cpus=float(fields["cpus"]),
        gpus=float(fields["gpus"]),
        runtime=RuntimeSpec(**fields["runtime"]),
        stage=hosted_stage(fields["stage"]),
    )
