"""Records of plans, comparisons and profiles, made up: every number in them is another one."""

import json

import msgspec

from planner.comparison.comparison_record import (
    FORMAT,
    BestPlanRange,
    Comparison,
    ParetoFront,
    ParetoPoint,
    PlanMeasurement,
    PlanSet,
    PlanSummary,
    Row,
    SelectedPlan,
)
from planner.comparison.fleet.fleet_records import FleetPlans, FleetRow, FleetRule
from planner.conversion.provenance import ConvertedFrom
from planner.plan.manifest import Manifest, Port, StageEntry
from planner.plan.plan_record import FORMAT as PLAN_FORMAT
from planner.plan.plan_record import (
    Assignment,
    ChainCheck,
    Cut,
    LoopRound,
    Measured,
    Objective,
    Plan,
    Predicted,
    SolverRun,
    TooFewSamples,
    WireFormat,
)
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile

SCENARIO = {
    "model": "some/where/m.onnx",
    "data": {"calibration": {"npz": "c.npz"}, "evaluation": {"npz": "e.npz"}},
    "devices": [
        {"name": "camera", "active_watt": 3.0, "idle_watt": 1.0, "price_per_hour": 0.1},
        {"name": "server", "scaled_from": "camera", "speedup": 4, "active_watt": 9.0},
    ],
    "links": [
        {"from": "camera", "to": "server", "bandwidth_mbit_per_s": 8},
        {"from": "server", "to": "camera", "bandwidth_mbit_per_s": 8},
    ],
    "source": "camera",
    "sink": "camera",
    "precisions": ["fp32", "int8"],
}
UNITS = ("conv1", "conv2", "conv3", "pool", "gemm")
CUT = Cut(
    tensor="relu2",
    source="camera",
    target="server",
    wire=WireFormat.UINT8,
    size_bytes=200_704,
    path=("camera", "server"),
    seconds=0.2011,
)
CHAIN = ChainCheck(
    samples=16,
    basic_bit_equal=True,
    default_bit_equal=False,
    default_relative_difference=0.00123,
    integer_kernels=21,
    integer_kernels_whole=22,
    added_transposes=3,
)
MEASURED = Measured(
    noise_relative_rms=0.0456,
    noise_standard_error=0.0012,
    max_abs_error=0.7891,
    top1_agreement=0.9851,
    accuracy=0.8123,
    accuracy_fp32=0.8345,
    metric=0.3711,
    metric_fp32=0.3822,
    samples=413,
    latency_ratio_to_fp32=0.523,
    chain_ratio_to_fp32=0.617,
    chain=CHAIN,
)
PREDICTED = Predicted(
    latency_s=0.21345,
    latency_ratio_to_fp32=0.498,
    chain_ratio_to_fp32=0.586,
    compute_s={"camera": 0.00919, "server": 0.00316},
    transfer_s=0.2011,
    energy_j=0.0577,
    energy_device_j={"camera": 0.0432, "server": 0.0145},
    noise_relative_rms=0.0434,
    memory_bytes={"camera": 1_512_000, "server": 3_824_000},
    weight_bytes={"camera": 640_000, "server": 2_560_000},
    compressed_bytes={"camera": 440_000, "server": 2_060_000},
    makespan_s=0.2098,
    throughput_per_s=4.972,
    money=0.00345,
)
CONVERTED = ConvertedFrom(
    source="net.keras",
    opset=17,
    versions={"keras": "3.15.0"},
    notes=("a note",),
    channels_first=("image",),
    max_abs_difference=2.3e-5,
    relative_rms_difference=7.8e-7,
    samples=4,
    data="calibration samples",
    doubt="a doubt",
)


def made_plan(units: tuple[str, ...] = UNITS, scenario: dict | None = None, **changes) -> Plan:
    """Return a plan whose first two units run on the camera and the others on the server."""
    assignments = tuple(
        Assignment(
            unit=name,
            nodes=(f"{name}_node",),
            device="camera" if n < 2 else "server",
            precision=Precision.FP32 if n % 2 else Precision.INT8,
            compute_s=0.0011 + 0.0001 * n,
            noise_power=1.1e-5 * (n + 1),
            weight_bytes=1000 + 111 * n,
        )
        for n, name in enumerate(units)
    )
    plan = Plan(
        format=PLAN_FORMAT,
        status="optimal",
        objective=Objective(name="latency", value=0.21345, bound=0.21344, gap=0.0000468),
        solver=SolverRun(name="highs", runtime_s=1.73, variables=811, constraints=922, peak_mib=347.0),
        quantization={"camera": "int8-7bit-weights", "server": "int8"},
        model_sha256="ab" * 32,
        calibration_sha256="cd" * 32,
        assignments=assignments,
        cuts=(CUT,),
        predicted=PREDICTED,
        rounds=(),
        loop=(
            LoopRound(
                objective=0.22,
                device="camera",
                predicted_ratio_to_fp32=0.51,
                measured_ratio_to_fp32=0.52,
                predicted_chain_ratio_to_fp32=0.571,
                measured_chain_ratio_to_fp32=0.632,
                changed_units=2,
            ),
        ),
        measured=MEASURED,
        too_few_samples=(
            TooFewSamples(
                budget="accuracy_drop",
                limit=0.004,
                data="evaluation",
                samples=413,
                measured=0.0024,
                with_margin=0.0048,
                needed=501,
            ),
        ),
        converted_from=CONVERTED,
        scenario=msgspec.Raw(json.dumps(scenario or SCENARIO).encode()),
    )
    return msgspec.structs.replace(plan, **changes)


def made_latency(**changes) -> LatencyProfile:
    """Return the seconds of a model without units on one device."""
    values = {
        "model_sha256": "", "runtime_version": "", "scheme": "int8", "overflows": False, "processor": "",
        "threads": 1, "provider": "", "samples": 1, "runs_s": {}, "spread": 0.0, "noisy": False,
        "wall_s": {Precision.FP32: 1.0}, "unattributed_s": {}, "profiled_s": {}, "units": (), "switches": (),
        "start_s": 0.0, "seams": (), "wires": (),
    }  # fmt: skip
    return LatencyProfile(**{**values, **changes})


def made_manifest() -> Manifest:
    """Return the manifest of two stages that belongs to the plan."""
    image = Port(name="x", dtype="float32", shape=(1, 2, 8, 8))
    cut = Port(name="relu2", dtype="uint8", shape=(1, 4, 8, 8))
    answer = Port(name="y", dtype="float32", shape=(1, 4))
    stages = tuple(
        StageEntry(
            number=n,
            device=device,
            file=f"stages/{n:02d}-{device}.onnx",
            sha256=str(n) * 64,
            size_bytes=size,
            compressed_bytes=packed,
            units=units,
            precisions=precisions,
            inputs=(inputs,),
            outputs=(outputs,),
        )
        for n, (device, size, packed, units, precisions, inputs, outputs) in enumerate(
            (
                ("camera", 701_000, 502_000, 2, {"int8": 1, "fp32": 1}, image, cut),
                ("server", 2_701_000, 2_002_000, 3, {"int8": 2, "fp32": 1}, cut, answer),
            )
        )
    )
    return Manifest(
        format=PLAN_FORMAT,
        source="camera",
        sink="camera",
        model_sha256="ef" * 32,
        inputs=(image,),
        outputs=(answer,),
        stages=stages,
        cuts=(CUT,),
    )


def made_summary(number: int, units: int = 5, **changes) -> PlanSummary:
    """Return a plan of a comparison; the more of it is on links, the higher its number."""
    summary = PlanSummary(
        number=number,
        summary=f"cut behind unit {number}",
        devices=("camera",) * (units - number) + ("server",) * number,
        precisions=(Precision.INT8,) * units,
        cuts=(CUT,) if number else (),
        fixed_s=0.04 / (1 + number),
        link_s=0.016 * number,
        compute_s={"camera": 0.03 / (1 + number), "server": 0.001 * number},
        unit_s=tuple(0.001 * (n + 1) for n in range(units)),
        noise_relative_rms=0.0301 + 0.0102 * number,
        energy_j=0.051 + 0.011 * number,
        memory_bytes={"camera": 1_000_000, "server": 77_000 * number},
    )
    return msgspec.structs.replace(summary, **changes)


def made_comparison(**changes) -> Comparison:
    """Return a comparison over bandwidths in which plan 0 gives way to plan 1 at 0.8 Mbit/s."""
    trial = PlanMeasurement(measured=MEASURED, fixed_s=0.0213, compute_s=0.0171, expected_compute_s=0.0162)
    plans = (made_summary(0), made_summary(1, trial=trial))
    comparison = Comparison(
        format=FORMAT,
        objective="latency",
        links=("camera-server",),
        unit="Mbit/s",
        units=UNITS,
        plans=plans,
        baseline_plans=(made_summary(0),),
        pieces=(
            BestPlanRange(budgets={}, low=0.1, high=0.8, plan=0),
            BestPlanRange(budgets={}, low=0.8, high=100.0, plan=1),
        ),
        rows=(
            Row(
                bandwidth=0.4, budgets={}, status="optimal", plan=0, objective=0.04, bound=0.03999,
                baselines={"all on camera": 0.0433, "minimum fp32 cut": 0.0511,
                           "quantize, then split": None, "one device": 0.0430,
                           "one device, mixed precision": 0.0421},
                baseline="one device, mixed precision", baseline_plan=0, joint_gain=0.0499,
            ),
            Row(
                bandwidth=8.0, budgets={}, status="optimal", plan=1, objective=0.022, bound=0.02199,
                baselines={"all on camera": 0.0433, "minimum fp32 cut": 0.0311,
                           "quantize, then split": 0.0273, "one device": 0.0430,
                           "one device, mixed precision": 0.0421},
                baseline="quantize, then split", baseline_plan=0, joint_gain=0.1941,
                measured_s=0.0233, baseline_measured_s=0.0288, broken=("noise_relative_rms is 0.07",),
            ),
            Row(
                bandwidth=20.0, budgets={}, status="infeasible", plan=None, objective=None, bound=None,
                reason="memory cannot be kept",
            ),
        ),
        solves=17,
        runtime_s=12.34,
        front=ParetoFront(
            axes=("latency", "noise"),
            points=(
                ParetoPoint(plan=0, values={"latency": 0.0412, "noise": 0.0311}),
                ParetoPoint(plan=1, values={"latency": 0.0217, "noise": 0.0523}),
            ),
            complete=True,
        ),
        plan_set=PlanSet(
            most=2,
            bandwidths="a trace",
            plans=(
                SelectedPlan(plan=0, low=None, high=0.8, leave_below=None, leave_above=0.88, share=0.277),
                SelectedPlan(plan=1, low=0.8, high=None, leave_below=0.72, leave_above=None, share=0.723),
            ),
            mean_latency_s=0.02755,
            free_latency_s=0.02701,
            regret=0.01999,
            hysteresis=0.11,
            followed_latency_s=0.02822,
            changes=13,
        ),
    )  # fmt: skip
    return msgspec.structs.replace(comparison, **changes)


def made_fleet() -> FleetPlans:
    """Return the plans of a fleet: one class with a rule that ends, one at its own bandwidth, one without."""
    return FleetPlans(
        device="camera",
        links=("camera-server",),
        most=2,
        status="feasible",
        mean_objective=0.0314,
        bound=0.0303,
        gap=0.035,
        free_objective=0.0309,
        regret=0.01618,
        served=0.9,
        candidates=6,
        rows=(
            FleetRow(
                device_class="slow", bandwidth=0.7, share=0.35, plan=0, objective=0.0456, best=0.0444,
                bound=0.0443,
            ),
            FleetRow(
                device_class="slow", bandwidth=24.0, share=0.15, plan=1, objective=0.0255, best=0.0254,
                bound=0.0253,
            ),
            FleetRow(
                device_class="new", bandwidth=None, share=0.4, plan=1, objective=0.0213, best=0.0212,
                bound=0.0211,
            ),
            FleetRow(
                device_class="tiny", bandwidth=6.0, share=0.1, plan=None, objective=None, best=None,
                bound=None, reason="the budgets cannot be kept together",
            ),
        ),
        rule=(
            FleetRule(device_class="slow", low=0.625, high=3.75, plan=0),
            FleetRule(device_class="slow", low=3.75, high=None, plan=1),
            FleetRule(device_class="new", low=None, high=None, plan=1, at_own_bandwidth=True),
        ),
    )  # fmt: skip
