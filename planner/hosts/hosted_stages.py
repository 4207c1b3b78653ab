"""A plan's stages for the code that serves them: their files, and the runtime that they were planned with."""

import shutil
from importlib import metadata
from pathlib import Path

from planner.devices.runtime import origin_of
from planner.hosts.on_host.host_manifest import HostedFile, HostedStage, RuntimeSpec
from planner.hosts.routing import spec_of
from planner.plan.manifest import StageEntry
from planner.scenario.schema import Scenario

RUNTIME = "onnxruntime"
HASH_LETTERS = 32  # 128 bits, of a deployment


def copy_stage(source: Path, target: Path, stage: StageEntry) -> HostedStage:
    """Copy a stage's files from a plan's folder, and return what a manifest says of it."""
    files = [HostedFile(stage.file, stage.sha256)]
    if stage.data is not None:
        files.append(HostedFile(stage.data.file, stage.data.sha256))
    for file in files:
        (target / file.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.file, target / file.file)
    return HostedStage(
        stage.number,
        tuple(files),
        tuple(spec_of(port) for port in stage.inputs),
        tuple(spec_of(port) for port in stage.outputs),
    )


def planned_runtime(scenario: Scenario, device: str) -> RuntimeSpec:
    """Return the runtime that a device's stages were planned with."""
    origin, speedup = origin_of(scenario, scenario.device(device))
    return RuntimeSpec(RUNTIME, metadata.version(RUNTIME), origin.threads, origin.provider, speedup)
