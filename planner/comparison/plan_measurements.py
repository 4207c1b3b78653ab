"""Builds and measures the plans of a comparison, each once: errors, bit equality, and seconds in turn."""

from pathlib import Path

import msgspec
import onnxruntime as ort

from planner.comparison.comparison_record import PlanMeasurement, PlanSummary, Row
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import SweepPoints, with_budgets
from planner.deployment.built_models import BuiltModels, verification_target
from planner.devices.runtime import origin_of, runtime_of
from planner.metrics.scenario_metric import metric_fingerprint
from planner.plan.configuration import Configuration
from planner.plan.plan_record import BudgetVerdict, Measured
from planner.verification.budget_margins import budget_verdicts
from planner.verification.error_budgets import broken_budgets
from planner.verification.sample_size import too_few_evaluated
from planner.verification.time_side_by_side import TimedStage, time_side_by_side
from planner.verification.verify import verify
from profiling.on_device.processor import cpu_description
from profiling.progress import Progress
from profiling.records.cache import EntryKind, cached, entry_path


def measure_plans(
    points: SweepPoints, plans: PlanRegistry, rivals: PlanRegistry, progress: Progress
) -> tuple[list[PlanSummary], list[PlanSummary]]:
    """Return both registries' plans with their measurements; of rivals the seconds alone."""
    trials = _PlanMeasurements(points, progress, len(plans.lines))
    measured = [trials.errors(chosen) for chosen in plans.chosen]
    seconds = trials.seconds([*plans.chosen, *rivals.chosen])
    lines = zip(plans.lines, plans.chosen, measured, strict=True)
    measured_plans = [
        msgspec.structs.replace(line, trial=_measurement(line, errors, seconds[chosen]))
        for line, chosen, errors in lines
    ]
    measured_rivals = [
        msgspec.structs.replace(line, trial=_measurement(line, None, seconds[chosen]))
        for line, chosen in zip(rivals.lines, rivals.chosen, strict=True)
    ]
    return measured_plans, measured_rivals


def _measurement(line: PlanSummary, measured: Measured | None, compute_s: float | None) -> PlanMeasurement:
    expected = sum(line.compute_s.values())
    # What the scenario says of links stays; the stages' seconds are replaced.
    fixed_s = None if compute_s is None else line.fixed_s - expected + compute_s
    return PlanMeasurement(
        measured=measured, fixed_s=fixed_s, compute_s=compute_s, expected_compute_s=expected
    )


def add_measurements(
    row: Row, points: SweepPoints, plans: list[PlanSummary], rivals: list[PlanSummary]
) -> Row:
    """Return a row with its plan's and its best baseline's measured latency, and the budgets that break."""
    broken: tuple[str, ...] = ()
    verdicts: tuple[BudgetVerdict, ...] = ()
    too_few = row.too_few_samples
    trial = None if row.plan is None else plans[row.plan].trial
    if trial is not None and trial.measured is not None:
        budget = with_budgets(points.basis.scenario, row.budgets).budget
        too_few = (*too_few, *too_few_evaluated(budget, trial.measured))
        verdicts = budget_verdicts(budget, trial.measured)
        broken = tuple(
            f"{name} is {value:.6g}, budget {limit:.6g}"
            for name, limit, value in broken_budgets(budget, trial.measured)
        )
    return msgspec.structs.replace(
        row,
        measured_s=_measured_s(plans, row.plan, row.bandwidth),
        baseline_measured_s=_measured_s(rivals, row.baseline_plan, row.bandwidth),
        broken=broken,
        too_few_samples=too_few,
        budget_verdicts=verdicts,
    )


def _measured_s(lines: list[PlanSummary], number: int | None, bandwidth: float | None) -> float | None:
    if number is None:
        return None
    line, trial = lines[number], lines[number].trial
    if trial is None or trial.fixed_s is None:
        return None
    return line.latency_s(bandwidth) - line.fixed_s + trial.fixed_s


class _ChainTime(msgspec.Struct, frozen=True):
    """Seconds of a plan's stages over those of the fp32 model, and the device of each."""

    ratios: tuple[float, ...]
    devices: tuple[str, ...]


class _Times(msgspec.Struct, frozen=True):
    """Plans that were timed in turn."""

    chains: tuple[_ChainTime, ...]


class _PlanMeasurements:
    """Builds plans and measures them, or takes what an earlier run measured from the cache."""

    def __init__(self, points: SweepPoints, progress: Progress, total: int) -> None:
        self._basis = points.basis
        self._progress, self._total = progress, total + 1
        self._done = 0
        self._key = {
            "subject": points.basis.prepared.subject.fingerprint,
            "evaluation": points.basis.prepared.evaluation.fingerprint,
            "schemes": repr(sorted((k, v.label) for k, v in points.basis.prepared.schemes.items())),
            "devices": repr(points.basis.scenario.devices),
            "metric": metric_fingerprint(points.basis.scenario),
            "runtime": ort.__version__,
            "processor": cpu_description(),
        }

    def errors(self, chosen: Configuration) -> Measured:
        """Return what a plan's stages show on the evaluation data."""
        prepared = self._basis.prepared

        def make() -> Measured:
            target = verification_target(prepared, self._basis.build(chosen))
            return verify(target, prepared.evaluation, prepared.runtime, prepared.metric)

        self._progress("measuring plans", self._done, self._total)
        measured = cached(self._file(EntryKind.PLAN_ERRORS, repr(chosen)), Measured, make)
        self._done += 1
        self._progress("measuring plans", self._done, self._total)
        return measured

    def seconds(self, plans: list[Configuration]) -> dict[Configuration, float | None]:
        """Return the seconds that all of each plan's stages take, timed in turn with all other plans.

        None of plans with a stage whose device is not measured on this machine.
        """
        prepared = self._basis.prepared
        distinct = [chosen for chosen in dict.fromkeys(plans) if self._is_measured_here(chosen)]

        def make() -> _Times:
            built = [self._basis.build(chosen) for chosen in distinct]
            feeds = prepared.subject.calibration.samples[0]
            chains = [self._stages(models) for models in built]
            ratios = time_side_by_side(prepared.models.fp32, chains, feeds)
            return _Times(
                tuple(
                    _ChainTime(chain, tuple(stage.device for stage in models.stages))
                    for chain, models in zip(ratios, built, strict=True)
                )
            )

        times = cached(self._file(EntryKind.PLAN_TIMES, repr(distinct)), _Times, make).chains
        self._progress("measuring plans", self._total, self._total)
        costs = self._basis.planning_problem(self._basis.latency).costs
        seconds: dict[Configuration, float | None] = dict.fromkeys(plans)
        for chosen, chain in zip(distinct, times, strict=True):
            pairs = zip(chain.ratios, chain.devices, strict=True)
            seconds[chosen] = sum(ratio * costs[device].fp32_s for ratio, device in pairs)
        return seconds

    def _file(self, kind: EntryKind, content: str) -> Path:
        return entry_path(kind, measure_plans, **self._key, content=content)

    def _stages(self, built: BuiltModels) -> list[TimedStage]:
        scenario = self._basis.scenario
        origins = [origin_of(scenario, scenario.device(stage.device))[0] for stage in built.stages]
        return [
            TimedStage(stage.model, runtime_of(origin))
            for stage, origin in zip(built.stages, origins, strict=True)
        ]

    def _is_measured_here(self, chosen: Configuration) -> bool:
        scenario = self._basis.scenario
        used = {*chosen.devices, scenario.source, scenario.sink}
        origins = [origin_of(scenario, scenario.device(name))[0] for name in used]
        return all(origin.is_measured_here for origin in origins)
