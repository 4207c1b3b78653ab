"""Writes a Ray Serve application: where hosts are a cluster, Ray places, starts and restarts stages.

APP/application.py, application.json, stages/, planner/, profiling/    what each node runs
APP/serve_config.yaml                                                  replicas and autoscaling, to be edited
APP/requirements.txt, README.md
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

from planner.errors import OutputError
from planner.hosts.host_files import ARRAYS, README, REQUIREMENTS, ServingCode, fill_template, write_code
from planner.hosts.hosted_stages import HASH_LETTERS, copy_stage, planned_runtime
from planner.hosts.on_ray.application_manifest import (
    APPLICATION,
    FORMAT,
    ApplicationManifest,
    PlacedStage,
    resource_of,
)
from planner.hosts.plans_to_deploy import PlansToDeploy, read_plans
from planner.hosts.routing import spec_of
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.output.comparison_folder import COMPARISON
from planner.output.file_hash import sha256_of
from planner.output.record_files import FLEET, PLANS
from planner.plan.manifest import STAGES

RAY = "ray[serve]>=2.60"  # as the extra
CONFIG = "serve_config.yaml"
_CODE = ServingCode(
    {
        "planner.hosts.on_host": ("host_manifest", "messages", "litert_stage", "stage_runtime"),
        "planner.hosts.on_ray": None,
        "profiling.on_device": ("create_session",),
    },
    "application.py",
)
_NAMES = {APPLICATION, CONFIG, README, REQUIREMENTS, STAGES, _CODE.script, "planner", "profiling"}
_PARTS = 10_000  # of a CPU or GPU: Ray counts in these
# Ray hides GPUs from who reserves none, and the runtime then takes the CPU.
_GPU_PROVIDERS = {
    f"{name}ExecutionProvider" for name in ("CUDA", "MIGraphX", "NvTensorRTRTX", "ROCM", "Tensorrt")
}


def deploy_ray(folder: Path, target: Path) -> ApplicationManifest:
    """Write the Ray Serve application of a plan's folder, replacing an older one.

    Raises
    ------
    OutputError
        If the folder holds no plan or several, or the target cannot be written.
    """
    check_replaceable(target, f"--out {target}", "Ray application", _NAMES, APPLICATION)
    together = _one_plan(folder)
    with atomic_directory(target, f"--out {target}") as fresh:
        write_code(fresh, _CODE)
        manifest = _manifest(together, fresh)
        fields = asdict(manifest) | {"format": FORMAT}
        (fresh / APPLICATION).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
        _write_texts(fresh, manifest)
        list_files(fresh, APPLICATION)
    return manifest


def ray_resources(manifest: ApplicationManifest) -> dict[str, str]:
    """Return, for each device that is needed, what its nodes tell Ray that they have."""
    devices = dict.fromkeys((manifest.source, *(placed.device for placed in manifest.stages)))
    return {device: json.dumps({resource_of(device): 1}) for device in devices}


def _one_plan(folder: Path) -> PlansToDeploy:
    several = [folder / name for name in (FLEET, PLANS, COMPARISON) if (folder / name).is_file()]
    if folder.is_file() or several:
        what = "a file" if folder.is_file() else f"no plan but a comparison's ({several[0].name})"
        raise OutputError(f"{folder}: is {what}; Ray serves one plan: give what plan SCENARIO --out wrote")
    return read_plans(folder)


def _manifest(together: PlansToDeploy, fresh: Path) -> ApplicationManifest:
    """Copy the stages, and return what is to be served."""
    stages = together.plans[0].stages
    counts = Counter(stage.device for stage in stages.stages)
    placed = []
    for stage in stages.stages:
        runtime, among = planned_runtime(together.scenario, stage.device), counts[stage.device]
        placed.append(
            PlacedStage(
                deployment=Path(stage.file).stem,
                device=stage.device,
                cpus=_share(runtime.threads, among),
                gpus=_share(1, among) if runtime.provider in _GPU_PROVIDERS else 0,
                runtime=runtime,
                stage=copy_stage(together.folder, fresh, stage),
            )
        )
    manifest = ApplicationManifest(
        deployment="",
        source=stages.source,
        inputs=tuple(map(spec_of, stages.inputs)),
        outputs=tuple(map(spec_of, stages.outputs)),
        stages=tuple(placed),
    )
    return replace(manifest, deployment=_hash(manifest, fresh))


def _share(of: int, among: int) -> float:
    """Return an equal part, rounded down so that all have room."""
    return of * _PARTS // among / _PARTS


def _hash(manifest: ApplicationManifest, fresh: Path) -> str:
    """Return a hash of what is served and of the code that serves it."""
    code = {str(path.relative_to(fresh)): sha256_of(path) for path in sorted(fresh.rglob("*.py"))}
    return hashlib.sha256(json.dumps([asdict(manifest), code]).encode()).hexdigest()[:HASH_LETTERS]


def _write_texts(fresh: Path, manifest: ApplicationManifest) -> None:
    nodes = "\n".join(
        f"    ray start ... --resources='{resources}'  # {device}"
        for device, resources in ray_resources(manifest).items()
    )
    stages = "\n".join(map(_stage_config, manifest.stages))
    inputs = ", ".join(map(str, manifest.inputs))
    fill_template("application.md", {"nodes": nodes, "inputs": inputs}, fresh / README)
    config = {"stages": stages, "deployment": manifest.deployment}
    fill_template(CONFIG, config, fresh / CONFIG)
    runtimes = {one.runtime.name for one in manifest.stages}
    pins = [f"{name}=={metadata.version(name)}" for name in (ARRAYS, *sorted(runtimes))]
    (fresh / REQUIREMENTS).write_text("".join(f"{pin}\n" for pin in (*pins, _ray_pin())), encoding="utf-8")


def _stage_config(placed: PlacedStage) -> str:
    name = json.dumps(placed.deployment)
    return f"      - name: {name}  # on {placed.device}, {placed.cpus:g} CPUs each\n        num_replicas: 1"


def _ray_pin() -> str:
    """Return Ray as it is here, or as the extra asks for: all nodes need the same one."""
    try:
        return f"{RAY.partition('>')[0]}=={metadata.version('ray')}"
    except metadata.PackageNotFoundError:
        return RAY
