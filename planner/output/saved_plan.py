"""A saved plan, read back: its files are checked against their hashes and against each other."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from planner.errors import OutputError
from planner.output.file_hash import sha256_of
from planner.output.record_files import decoded, read_record
from planner.output.stage_files import check_model_file, stays_inside
from planner.plan.graph_record import GRAPH, GRAPH_FORMAT, UnitGraph
from planner.plan.manifest import MANIFEST, Manifest, PlanStages, Port, StageEntry
from planner.plan.plan_record import Plan
from planner.refinement.fixed_costs import FixedCosts
from planner.scenario.loader import parse_scenario
from profiling.precision import DEFAULT_PRECISIONS
from profiling.records.profile import Profile

PLAN, PROFILE = "plan.json", "profile.json"


def profile_beside(folder: Path) -> Path | None:
    """Return the profile that lies in a plan folder, if there is one."""
    return folder / PROFILE if (folder / PROFILE).is_file() else None


def read_profiles(folder: Path) -> dict[str, Profile]:
    """Return device -> what was measured on it, of a plan's folder; nothing where no profile lies there.

    Raises
    ------
    OutputError
        If the file holds something else.
    """
    path = profile_beside(folder if folder.is_dir() else folder.parent)
    return {} if path is None else decoded(path.read_bytes(), dict[str, Profile], path, Profile)


def read_plan(path: Path) -> Plan:
    """Return a saved plan.

    Raises
    ------
    OutputError
        If the file is no plan.
    ScenarioError
        If the scenario that it carries was edited.
    """
    if not path.exists():
        raise OutputError(f"{path}: No such file or directory; give a plan's folder")
    file = path / PLAN if path.is_dir() else path
    plan = _naming_precisions(read_record(file, Plan), file)
    parse_scenario(bytes(plan.scenario))
    return plan


def _naming_precisions(plan: Plan, file: Path) -> Plan:
    """Return a plan whose scenario names its precisions: when none were found out, they could be left out."""
    content = decoded(bytes(plan.scenario), dict[str, object], file)
    if "precisions" in content:
        return plan
    content["precisions"] = list(DEFAULT_PRECISIONS)
    return msgspec.structs.replace(plan, scenario=msgspec.Raw(msgspec.json.encode(content)))


def read_fixed_costs(path: Path) -> FixedCosts:
    """Return a saved plan and the costs under which it was found.

    Parameters
    ----------
    path
        Its folder, or its `plan.json`.

    Raises
    ------
    OutputError
        If that is no plan.
    """
    saved = read_plan(path)
    return FixedCosts(str(path), saved, read_profiles(path if path.is_dir() else path.parent))


def read_graph(folder: Path, plan: Plan) -> UnitGraph:
    """Return the graph that a folder's plan places.

    Raises
    ------
    OutputError
        If there is none, or it is another one's.
    """
    path = folder / GRAPH
    if not path.is_file():
        raise OutputError(f"{path}: is missing: an older version wrote this folder; export the plan again")
    graph = read_record(path, UnitGraph, GRAPH_FORMAT)
    units = [unit.unit for unit in graph.units]
    ends = {name for tensor in graph.tensors for name in (tensor.source, *tensor.targets)} - {None}
    if units != [a.unit for a in plan.assignments] or not ends <= set(units):
        raise OutputError(f"{path}: its units are not those of {PLAN}: one of the two was changed")
    return graph


def read_folder(folder: Path) -> tuple[Plan, Manifest]:
    """Return a plan folder's plan and manifest, checked against each other and against the models.

    Raises
    ------
    OutputError
        If the folder is no plan, or its files contradict each other.
    """
    manifest = read_manifest(folder)
    plan = read_plan(folder)
    path, scenario = folder / MANIFEST, parse_scenario(bytes(plan.scenario))
    for key, in_manifest, in_plan in (
        ("source", manifest.source, scenario.source),
        ("sink", manifest.sink, scenario.sink),
        ("cuts", manifest.cuts, plan.cuts),
        ("stages", *_units_by_device_and_precision(manifest, plan)),
    ):
        if in_manifest != in_plan:
            raise OutputError(f"{path}: {key} contradicts {PLAN}: one of the two was changed")
    _check_plan_names(folder / PLAN, manifest, plan)
    return plan, manifest


def _units_by_device_and_precision(
    manifest: Manifest, plan: Plan
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Return (device, precision) -> units, as the manifest has them and as the plan assigns them."""
    in_manifest: Counter[tuple[str, str]] = Counter()
    for stage in manifest.stages:
        in_manifest.update(
            {(stage.device, precision): count for precision, count in stage.precisions.items()}
        )
        in_manifest[stage.device, ""] += stage.units
    in_plan = Counter((a.device, a.precision.value) for a in plan.assignments)
    in_plan.update((a.device, "") for a in plan.assignments)
    return +in_manifest, +in_plan


def _check_plan_names(path: Path, manifest: Manifest, plan: Plan) -> None:
    """Refuse a plan that names a unit twice, or lacks what a device costs."""
    units = Counter(a.unit for a in plan.assignments)
    twice = next((unit for unit, count in units.items() if count > 1), None)
    if twice is not None:
        raise OutputError(f"{path}: assignments: {twice!r} is assigned twice")
    compute_s = plan.predicted.compute_s if plan.predicted is not None else {}
    without_seconds = sorted({stage.device for stage in manifest.stages} - set(compute_s))
    if without_seconds:
        raise OutputError(f"{path}: predicted.compute_s lacks device {without_seconds[0]!r}")
    packed = plan.predicted.compressed_bytes if plan.predicted is not None else {}
    if plan.predicted is not None and not set(packed) <= set(plan.predicted.weight_bytes):
        raise OutputError(f"{path}: predicted.weight_bytes lacks a device of compressed_bytes")


def read_manifest(folder: Path) -> Manifest:
    """Return a plan folder's manifest, its models checked against their hashes.

    Raises
    ------
    OutputError
        If the folder is no plan, or a model is missing or changed.
    """
    manifest = _read_ordered_manifest(folder)
    for stage in manifest.stages:
        _check_stage(folder, stage)
    _check_file(folder, manifest.model, manifest.model_sha256)
    if manifest.model_data is not None:
        _check_file(folder, manifest.model_data.file, manifest.model_data.sha256)
    for part in manifest.whole:
        _check_file(folder, part.file, part.sha256)
        if part.data is not None:
            _check_file(folder, part.data.file, part.data.sha256)
    ports = (manifest.inputs, manifest.outputs)
    check_model_file(folder / manifest.model, manifest.model_data, ports, "the manifest")
    return manifest


def read_stage(folder: Path, stage: int | str) -> tuple[Manifest, StageEntry]:
    """Return a plan folder's manifest and one of its stages, whose files alone have to be there.

    Parameters
    ----------
    stage
        Its number, or the name of a device that runs no other.

    Raises
    ------
    OutputError
        If the folder is no plan, has no such stage, or its model is missing or changed.
    """
    manifest = _read_ordered_manifest(folder)
    entry = named_stage(manifest, stage)
    _check_stage(folder, entry)
    return manifest, entry


def named_stage(stages: PlanStages, stage: int | str) -> StageEntry:
    """Return a plan's stage by its number, or by the name of a device that runs no other.

    A number may be text, as "00" in the name of a stage's file.

    Raises
    ------
    OutputError
        If there is no such stage.
    """
    is_number = isinstance(stage, str) and stage.isascii() and stage.isdecimal()
    if is_number and stage not in {entry.device for entry in stages.stages}:
        stage = int(stage)
    found = [entry for entry in stages.stages if stage in {entry.number, entry.device}]
    if len(found) == 1:
        return found[0]
    numbers = ", ".join(f"{s.number:02d} ({s.device})" for s in stages.stages)
    raise OutputError(f"--stage {stage}: {'give a number: ' if found else ''}the plan has stages {numbers}")


def _read_ordered_manifest(folder: Path) -> Manifest:
    """Return a manifest whose stages can run in their order."""
    if not folder.is_dir():
        what = "is not a plan folder but a file" if folder.exists() else "No such file or directory"
        raise OutputError(f"{folder}: {what}; give a plan's folder")
    manifest = read_record(folder / MANIFEST, Manifest)
    _check_ports(folder / MANIFEST, manifest)
    return manifest


def check_stages(folder: Path, file: str, stages: PlanStages) -> None:
    """Refuse stages that cannot run in their order, or whose models are missing or changed.

    Parameters
    ----------
    file
        Of the folder, which lists them.

    Raises
    ------
    OutputError
        Naming the file and what is wrong.
    """
    _check_ports(folder / file, stages)
    for stage in stages.stages:
        _check_stage(folder, stage)


def _check_stage(folder: Path, stage: StageEntry) -> None:
    """Refuse a stage whose files are not in the folder, changed, or not what the manifest says of them."""
    _check_file(folder, stage.file, stage.sha256)
    if stage.data is not None:
        _check_file(folder, stage.data.file, stage.data.sha256)
    ports = (stage.inputs, stage.outputs)
    check_model_file(folder / stage.file, stage.data, ports, f"stages.{stage.number} of the manifest")


def _check_file(folder: Path, file: str, sha256: str) -> None:
    path = folder / file
    if not stays_inside(folder, file):
        raise OutputError(f"{folder / MANIFEST}: {file!r} points outside the folder")
    if not path.is_file():
        raise OutputError(f"{path}: is missing; export the plan again")
    if sha256_of(path) != sha256:
        raise OutputError(f"{path}: has changed since it was exported; export the plan again")


def _check_ports(path: Path, manifest: PlanStages) -> None:
    """Refuse a manifest whose stages cannot run in their order, or give a tensor twice or in two types."""
    given_ports = {port.name: port for port in manifest.inputs}
    for number, stage in enumerate(manifest.stages):
        for port in stage.inputs:
            _check_given(
                f"{path}: stage {number} needs {port.name!r}, which no stage gives", port, given_ports
            )
        for port in stage.outputs:
            if port.name in given_ports:
                raise OutputError(f"{path}: stages.{number}.outputs: {port.name!r} is given twice")
            given_ports[port.name] = port
    for port in manifest.outputs:
        _check_given(f"{path}: no stage gives the output {port.name!r}", port, given_ports)
    for number, stage in enumerate(manifest.stages):
        if stage.number != number:
            raise OutputError(f"{path}: stages.{number}.number is {stage.number}, must be {number}")


def _check_given(fault: str, port: Port, given_ports: Mapping[str, Port]) -> None:
    if port.name not in given_ports:
        raise OutputError(fault)
    given_port = given_ports[port.name]
    if (given_port.dtype, given_port.shape) != (port.dtype, port.shape):
        raise OutputError(f"{fault} as {port.dtype} {list(port.shape)}")
