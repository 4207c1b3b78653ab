"""A plan's stages for the code that serves them: their files, and the runtime that they were planned with."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from planner.devices.runtime import origin_of
from planner.errors import OutputError
from planner.hosts.on_host import stage_runtime as on_host
from planner.hosts.on_host.host_manifest import HostedFile, HostedStage, RuntimeSpec
from planner.hosts.routing import spec_of
from planner.plan.manifest import StageEntry
from planner.scenario.schema import Scenario
from profiling.runtime_names import LITERT, ONNX_RUNTIME

_RUNTIMES = {ONNX_RUNTIME: on_host.ONNX_RUNTIME, LITERT: on_host.LITERT}
HASH_LETTERS = 32  # 128 bits, of a deployment


def copy_stage(source: Path, target: Path, stage: StageEntry, planned_s: float = 0.0) -> HostedStage:
    """Copy a stage's files from a plan's folder, and return what a manifest says of it.

    Parameters
    ----------
    planned_s
        Seconds that it computes on its device, by the plan.
    """
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
        planned_s,
    )


def planned_seconds(stages: Sequence[StageEntry], compute_s: Mapping[str, float]) -> dict[int, float]:
    """Return stage's number -> seconds by the plan: a device's are shared out by units among its stages.

    Where no stage of a device has a unit, as they only change formats, each has an equal share.

    Parameters
    ----------
    compute_s
        Device -> seconds of all its stages.
    """
    units: Counter[str] = Counter()
    for stage in stages:
        units[stage.device] += stage.units
    count = Counter(stage.device for stage in stages)
    return {
        stage.number: compute_s.get(stage.device, 0.0)
        * (stage.units / units[stage.device] if units[stage.device] else 1 / count[stage.device])
        for stage in stages
    }


def planned_runtime(scenario: Scenario, device: str) -> RuntimeSpec:
    """Return the runtime that a device's stages were planned with.

    Raises
    ------
    OutputError
        If hosts do not serve it.
    """
    origin, _ = origin_of(scenario, scenario.device(device))
    runtime = scenario.runtime_of(scenario.device(device))
    if runtime not in _RUNTIMES:
        raise OutputError(
            f"{device} runs {runtime}, which hosts do not serve: let TensorFlow Serving serve its folder in "
            "stages/, and the other stages by `plan run PLAN --stage N` or a program of your own"
        )
    name = _RUNTIMES[runtime]
    return RuntimeSpec(name, metadata.version(name), origin.threads, origin.provider)
