"""A comparison's folder with two plans, without comparing: made-up costs, real stages."""

import json
from pathlib import Path

import msgspec
from prepared_models import Prepared

from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.output.comparison_folder import RunnablePlan, RunnableSet
from planner.output.record_files import PLANS
from planner.output.stage_files import save_stage
from planner.plan.manifest import StageEntry
from planner.plan.plan_record import Cut, WireFormat
from profiling.precision import Precision
from profiling.records.json_files import save_json

SWITCH_MBIT_PER_S, MARGIN = 2.0, 1.2
SCENARIO = {
    "model": "m.onnx",
    "data": {"calibration": {"npz": "c.npz"}, "evaluation": {"npz": "e.npz"}},
    "devices": [{"name": "camera"}, {"name": "server", "scaled_from": "camera", "speedup": 4}],
    "links": [
        {"from": "camera", "to": "server", "bandwidth_mbit_per_s": 1},
        {"from": "server", "to": "camera", "bandwidth_mbit_per_s": 1},
    ],
    "source": "camera",
    "sink": "server",
}


def write_held_plans(prepared: Prepared, folder: Path) -> RunnableSet:
    """Write two plans in fp32: for slow links the last unit runs on the server, for quick ones all do."""
    (folder / "stages").mkdir(parents=True)
    units = len(prepared.graph.units)
    slow = _plan(prepared, folder, 0, ("camera",) * (units - 1) + ("server",))
    quick = _plan(prepared, folder, 1, ("server",) * units)
    held = RunnableSet(
        format=1,
        links=("camera-server",),
        unit="Mbit/s",
        source="camera",
        sink="server",
        mean_latency_s=0.1,
        regret=0.0,
        compared_from=0.1,
        compared_to=100.0,
        inputs=quick.stages[0].inputs,
        outputs=quick.stages[-1].outputs,
        plans=(
            msgspec.structs.replace(slow, high=SWITCH_MBIT_PER_S, leave_above=SWITCH_MBIT_PER_S * MARGIN),
            msgspec.structs.replace(quick, low=SWITCH_MBIT_PER_S, leave_below=SWITCH_MBIT_PER_S / MARGIN),
        ),
        scenario=msgspec.Raw(json.dumps(SCENARIO).encode()),
    )
    save_json(held, folder / PLANS)
    return held


def _plan(prepared: Prepared, folder: Path, number: int, devices: tuple[str, ...]) -> RunnablePlan:
    stages = split(prepared.graph.model, prepared.graph, Placement(devices, "camera", "server"))
    entries = tuple(
        save_stage(
            folder, f"plan-{number}-{order:02d}-{stage.device}", stage, [Precision.FP32] * len(devices), order
        )
        for order, stage in enumerate(stages)
    )
    cuts = tuple(_cuts(prepared, entries))
    return RunnablePlan(
        plan=number,
        summary=f"plan {number}",
        low=None,
        high=None,
        leave_below=None,
        leave_above=None,
        fixed_s=0.01,
        link_s=sum(cut.size_bytes for cut in cuts) * 8e-6,
        compute_s={stage.device: 0.001 for stage in entries},
        stages=entries,
        cuts=cuts,
    )


def _cuts(prepared: Prepared, stages: tuple[StageEntry, ...]) -> list[Cut]:
    given_on_camera = {
        **dict.fromkeys(prepared.graph.inputs, "camera"),
        **{port.name: stage.device for stage in stages for port in stage.outputs},
    }
    return [
        Cut(
            tensor=port.name,
            source="camera",
            target="server",
            wire=WireFormat.FLOAT,
            size_bytes=prepared.graph.tensors[port.name].elements * 4,
            path=("camera", "server"),
            seconds=1.0,
        )
        for stage in stages
        for port in stage.inputs
        if stage.device == "server" and given_on_camera[port.name] == "camera"
    ]
