"""From the times of a plan's variants to the record of the device, whichever runtime measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiling.on_device.clock.run_clock import RunClock, RunTime
from profiling.on_device.conversion_costs import conversion_costs
from profiling.on_device.cost_fits import rest_factor, stage_boundary_costs, stage_seconds, unit_costs
from profiling.on_device.kernels import KernelTimes, OwnerKind
from profiling.on_device.latency_record import LatencyRecord, WireRow
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.processor import cpu_description
from profiling.on_device.robust_statistics import are_contended, are_noisy, relative_iqr


@dataclass(frozen=True)
class Timed:
    """Seconds of one variant: the whole without the profiler, and its kernels under it.

    Parameters
    ----------
    runs
        Those without the profiler that count.
    all_runs
        The others as well, such as were disturbed.
    start_s
        What any run takes, whatever the model.
    """

    wall_s: float
    profiled: KernelTimes
    runs: tuple[RunTime, ...] = ()
    start_s: float = 0.0
    all_runs: tuple[RunTime, ...] = ()

    @property
    def runs_s(self) -> tuple[float, ...]:
        """Seconds of the runs that count."""
        return tuple(run.seconds for run in self.runs)

    @property
    def beyond_start_s(self) -> float:
        """Seconds of a run beyond what any run takes."""
        return max(0.0, self.wall_s - self.start_s)

    @property
    def kernels(self) -> KernelTimes:
        """Its kernels without the profiler's own cost."""
        return self.profiled.as_unprofiled(self.beyond_start_s)

    @property
    def rest_s(self) -> float:
        """Seconds of a run that no unit and no switch accounts for."""
        return max(0.0, self.wall_s - self.kernels.attributed_s)

    def overheads(self, plan: MeasurementPlan, stages_s: Sequence[float]) -> list[float]:
        """Return how much longer each stage takes than its units inside the whole model.

        Units have their part of what no kernel accounts for, as where plans are solved.
        """
        kernels = self.kernels
        share = rest_factor(self.wall_s, self.start_s, self.rest_s)
        inside = {kind: kernels.of(kind) for kind in OwnerKind}
        inside[OwnerKind.UNIT] = {unit: own_s * share for unit, own_s in inside[OwnerKind.UNIT].items()}
        inside_s = stage_seconds(plan.switches, plan.stages, inside)
        return [taken_s - self.start_s - units_s for taken_s, units_s in zip(stages_s, inside_s)]


@dataclass(frozen=True)
class MeasuredRuntime:
    """What measured: the runtime's version, its int8 kernels, and the clock."""

    version: str
    overflows: bool
    clock: RunClock


def record_of(
    plan: MeasurementPlan,
    runtime: MeasuredRuntime,
    variants: Sequence[Timed],
    rests_s: Sequence[float],
    overheads: Sequence[Sequence[float]],
    wires: Sequence[WireRow] = (),
) -> LatencyRecord:
    """Return the record of a device.

    Parameters
    ----------
    plan
        Its `rounds` are the runs behind each median.
    rests_s
        Of each precision, seconds that neither a unit nor a switch accounts for.
    overheads
        Of each precision, seconds of each stage beyond those of its units; none if nothing was cut.
    """
    kernels = [variant.kernels for variant in variants]
    uniform = dict(zip(plan.precisions, variants))
    fp32, clock = variants[0], runtime.clock
    contended = clock.contended_share(fp32.runs)
    return LatencyRecord(
        model_sha256=plan.model_sha256,
        runtime_version=runtime.version,
        scheme=plan.scheme,
        overflows=runtime.overflows,
        processor=cpu_description(),
        threads=plan.threads,
        provider=plan.provider,
        samples=plan.rounds,
        runs_s={precision: list(variant.runs_s) for precision, variant in uniform.items()},
        spread=relative_iqr(fp32.runs_s),
        noisy=are_noisy(fp32.runs_s) or are_contended(contended),
        wall_s={precision: variant.wall_s for precision, variant in uniform.items()},
        unattributed_s=dict(zip(plan.precisions, rests_s)),
        profiled_s={precision: variant.profiled.total_s for precision, variant in uniform.items()},
        units=unit_costs(plan, kernels),
        switches=conversion_costs(plan, kernels, [variant.beyond_start_s for variant in variants]),
        start_s=fp32.start_s,
        seams=stage_boundary_costs(plan, overheads),
        wires=wires,
        clock=clock.kind,
        disturbed=clock.disturbed_share(fp32.all_runs),
        waiting=clock.waiting(fp32.all_runs),
        contended=contended,
    )
