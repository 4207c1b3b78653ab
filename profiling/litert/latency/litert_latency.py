"""The profile of a `.tflite` model on this machine, and the seconds of a plan's models.

One thread's processor time is the clock where stages compute on one: other processes do not count there.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from math import hypot
from typing import NamedTuple

import msgspec
import numpy as np

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import Stage
from profiling.latency.measure_latency import BuiltPlan, Setup, stage_times
from profiling.latency.measured_mixes import by_precision, mixes_of, planned_switches, planned_units
from profiling.latency.plan_corrections import PlanTiming
from profiling.latency.stage_cuts import designed_stages
from profiling.litert.calibration import Ranges
from profiling.litert.cut import cut, whole_stage
from profiling.litert.latency.kernel_times import kernel_times
from profiling.litert.load import parse_litert
from profiling.litert.one_operator import one_operator
from profiling.litert.planning.mixed_model import MixedModel, mixed_model
from profiling.litert.session import LitertSession
from profiling.litert.unit_graph import LitertGraph
from profiling.on_device.conversion_costs import conversion_costs
from profiling.on_device.cost_fits import stage_boundary_costs, stage_seconds, unit_costs
from profiling.on_device.kernels import KernelTimes, OwnerKind
from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.measurement_order import FORMAT, MeasurementPlan, SwitchTensor
from profiling.on_device.processor import cpu_description
from profiling.on_device.robust_statistics import (
    MOST_ROUNDS,
    are_enough,
    are_noisy,
    middle_error,
    relative_iqr,
)
from profiling.on_device.run_clock import RunClock, RunTime, clock_of
from profiling.on_device.timing_loop import (
    Rounds,
    median_ratio,
    rounds_for,
    run_interleaved,
    time_interleaved,
)
from profiling.on_device.variant_times import Timed
from profiling.progress import Progress, silent
from profiling.records.profile import LatencyProfile

PROVIDER = "XNNPACK"
_SESSIONS = 3  # where an interpreter's memory lies makes a few percent: the middle one of some counts


def measure_litert_latency(
    graph: LitertGraph, scheme: str, ranges: Ranges, feeds: Feeds, setup: Setup, progress: Progress = silent
) -> LatencyProfile:
    """Time whole models in each precision and mixed ones on this machine, and their units inside them.

    Parameters
    ----------
    scheme
        Its label.
    feeds
        One real sample.
    """
    mixes = mixes_of(graph, setup.precisions)
    plan = MeasurementPlan(
        format=FORMAT,
        device="",
        threads=setup.runtime.threads,
        provider=PROVIDER,
        rounds=setup.rounds,
        scheme=scheme,
        model_sha256=graph.model_sha256,
        units=planned_units(graph),
        switches=planned_switches(graph),
        precisions=[precision.value for precision in setup.precisions],
        variants=[by_precision(mix) for mix in mixes],
        stages=designed_stages(graph),
        wires=[],
    )
    machine = _Machine(setup.runtime.threads, feeds)
    fp32 = mixed_model(graph, {}, ranges)
    models, beside_fp32 = list[MixedModel](), list[_BesideFp32]()
    for number, mix in enumerate(mixes):
        mixed = mixed_model(graph, mix, ranges) if mix else fp32
        # Units' seconds come from the models in one precision; mixed ones only show what switches add.
        rounds, sessions = (
            (plan.rounds, _SESSIONS) if number < len(plan.precisions) else (-(-plan.rounds // 2), 1)
        )
        in_turn = [fp32, mixed] if mixed is not fp32 else [fp32]
        runs = [machine.interleaved(in_turn, rounds) for _ in range(sessions)]
        found = machine.kernels(mixed, plan.switches, plan.rounds)
        beside_fp32.append(_BesideFp32(runs, found, len(in_turn) - 1))
        models.append(mixed)
        progress("timing", number + 1, len(mixes))
    # A machine's pace changes: all variants are as many times the fp32 model as they were beside it.
    fp32_s = statistics.median(seconds for one in beside_fp32 for seconds in one.fp32_s)
    start_s = machine.start_s()
    variants = [one.at(fp32_s, start_s) for one in beside_fp32]
    return msgspec.convert(asdict(_record(plan, machine, models, variants)), LatencyProfile)


def time_litert_plan(
    graph: LitertGraph, plan: BuiltPlan[Stage], feeds: Feeds, threads: int, rounds: int
) -> PlanTiming:
    """Time a plan's whole model and its stages on this machine, in turn with the fp32 model.

    Parameters
    ----------
    plan
        Its whole model is a `MixedModel`.
    """
    machine = _Machine(threads, feeds)
    fp32 = mixed_model(graph, {}, {})
    if not isinstance(plan.mixed, MixedModel):
        raise TypeError("the plan's whole model is of another runtime")
    switches = planned_switches(graph)
    ratios: list[float] = []
    fp32_s: list[float] = []
    while not are_enough(ratios):
        runs = machine.interleaved([fp32, plan.mixed], rounds)
        fp32_s += _seconds(runs.of(0))
        ratios.append(_ratio(runs, 1))
    reference_s = statistics.median(fp32_s)
    wall_s = statistics.median(ratios) * reference_s
    start_s = machine.start_s()
    found = machine.kernels(plan.mixed, switches, rounds)
    whole = Timed(wall_s=wall_s, profiled=_filling(found, wall_s - start_s), start_s=start_s)
    chains = machine.sessions_of_stages(plan, rounds)
    stages = stage_times(plan, chains, wall_s)
    error = hypot(middle_error(ratios), middle_error([sum(chain) for chain in chains]))
    return PlanTiming(planned_units(graph), switches, plan.mix, reference_s, whole, stages, error)


def _filling(found: KernelTimes, wall_s: float) -> KernelTimes:
    """Return kernels that take so many seconds together: differences of stages add up to a little else."""
    return found.scaled(wall_s / found.total_s) if found.total_s > 0 else found


def _seconds(runs: Sequence[RunTime]) -> list[float]:
    return [run.seconds for run in runs]


def _ratio(runs: Rounds, model: int) -> float:
    return median_ratio(_seconds(runs.of(model)), _seconds(runs.of(0)))


class _BesideFp32(NamedTuple):
    """A variant, number 1, in turn with the fp32 model, number 0, in each of some sessions; and its units.

    Of the fp32 model itself the number is 0.
    """

    sessions: Sequence[Rounds]
    found: KernelTimes
    number: int

    @property
    def fp32_s(self) -> list[float]:
        """Seconds of the fp32 model."""
        return [seconds for rounds in self.sessions for seconds in _seconds(rounds.of(0))]

    def at(self, fp32_s: float, start_s: float) -> Timed:
        """Return the variant's times where the fp32 model takes so long; units add up to the whole."""
        wall_s = statistics.median(_ratio(rounds, self.number) for rounds in self.sessions) * fp32_s
        return Timed(
            wall_s,
            _filling(self.found, wall_s - start_s),
            tuple(run for rounds in self.sessions for run in rounds.of(self.number)),
            start_s,
            tuple(run for rounds in self.sessions for run in rounds.all_of(self.number)),
        )


@dataclass(frozen=True, slots=True)
class _Machine:
    """Times models on one sample."""

    threads: int
    feeds: Feeds

    @property
    def clock(self) -> RunClock:
        """The processor time of this thread, if it computes alone."""
        return clock_of(self.threads)

    def _runner(self, stage: Stage, feeds: Feeds) -> Callable[[], list[Array]]:
        """Return a call that runs a stage as whoever has it would."""
        return partial(LitertSession(stage.content, self.threads).run, stage.outputs, dict(feeds))

    def start_s(self) -> float:
        """Return what any run takes, whatever the model."""
        tiny = whole_stage(parse_litert(one_operator(), "one operator"))
        call = self._runner(tiny, {name: np.ones(1, np.float32) for name in tiny.inputs})
        return statistics.median(time_interleaved({0: call}, MOST_ROUNDS, self.clock)[0])

    def kernels(self, mixed: MixedModel, switches: Sequence[SwitchTensor], rounds: int) -> KernelTimes:
        """Return the seconds of units and conversions inside a model."""
        return kernel_times(mixed.quantized, switches, self.feeds, rounds, self.clock, self.threads)

    def interleaved(self, models: Sequence[Stage], rounds: int) -> Rounds:
        """Return the runs of some models by their number, run in turn."""
        calls = {number: self._runner(one, self.feeds) for number, one in enumerate(models)}
        return run_interleaved(calls, rounds_for(calls[0], rounds, self.clock), self.clock)

    def sessions_of_stages(self, plan: BuiltPlan[Stage], rounds: int) -> list[list[float]]:
        """Return the seconds of a plan's stages over those of its whole, in each session; none uncut."""
        if not plan.is_cut:
            return []
        models = [stage for _, stage in plan.stages]
        ratios: list[list[float]] = []
        while not are_enough([sum(chain) for chain in ratios]):
            ratios.append(self.chain_ratios(plan.mixed, models, rounds, plan.handed_over))
        return ratios

    def chain_ratios(
        self, whole: Stage, stages: Sequence[Stage], rounds: int, handed_over: Feeds | None = None
    ) -> list[float]:
        """Return the seconds of each stage over those of the whole, all run in turn."""
        values = {**self.feeds, **(handed_over or {})}
        calls = {0: self._runner(whole, self.feeds)}
        for number, stage in enumerate(stages, start=1):
            calls[number] = call = self._runner(stage, {name: values[name] for name in stage.inputs})
            values.update(zip(stage.outputs, call(), strict=True))
        found = run_interleaved(calls, rounds_for(calls[0], rounds, self.clock), self.clock)
        return [_ratio(found, number) for number in range(1, len(stages) + 1)]


def _record(
    plan: MeasurementPlan, machine: _Machine, models: Sequence[MixedModel], variants: Sequence[Timed]
) -> LatencyRecord:
    kernels = [variant.kernels for variant in variants]
    uniform = dict(zip(plan.precisions, variants, strict=False))
    spread = relative_iqr(variants[0].runs_s)
    return LatencyRecord(
        model_sha256=plan.model_sha256,
        runtime_version=litert_version(),
        scheme=plan.scheme,
        overflows=False,
        processor=cpu_description(),
        threads=plan.threads,
        provider=plan.provider,
        samples=len(variants[0].runs_s),
        runs_s={precision: list(variant.runs_s) for precision, variant in uniform.items()},
        spread=spread,
        noisy=are_noisy(variants[0].runs_s),
        wall_s={precision: variant.wall_s for precision, variant in uniform.items()},
        unattributed_s={precision: variant.start_s for precision, variant in uniform.items()},
        profiled_s={precision: variant.profiled.total_s for precision, variant in uniform.items()},
        units=unit_costs(plan, kernels),
        switches=conversion_costs(plan, kernels),
        start_s=variants[0].start_s,
        seams=stage_boundary_costs(plan, _stage_overheads(plan, machine, models, variants)),
        wires=[],
        clock=machine.clock.kind,
        disturbed=machine.clock.disturbed_share(variants[0].all_runs),
        waiting=machine.clock.waiting(variants[0].all_runs),
    )


def _stage_overheads(
    plan: MeasurementPlan, machine: _Machine, models: Sequence[MixedModel], variants: Sequence[Timed]
) -> list[list[float]]:
    """Return, per precision, how much longer each stage takes than its units inside the whole model."""
    if not plan.stages:
        return []
    overheads = []
    for mixed, variant in list(zip(models, variants, strict=True))[: len(plan.precisions)]:
        parted = mixed.quantized
        stages = cut(parted.model, [parted.operators_of(units) for units in plan.stages], parted.shared)
        taken = [ratio * variant.wall_s for ratio in machine.chain_ratios(mixed, stages, plan.rounds)]
        inside: Mapping[OwnerKind, Mapping[int, float]] = {k: variant.kernels.of(k) for k in OwnerKind}
        inside_s = stage_seconds(plan.switches, plan.stages, inside)
        pairs = zip(taken, inside_s, strict=True)
        overheads.append([taken_s - variant.start_s - units_s for taken_s, units_s in pairs])
    return overheads


def litert_version() -> str:
    """Return the runtime's version."""
    return f"ai-edge-litert {version('ai-edge-litert')}"
