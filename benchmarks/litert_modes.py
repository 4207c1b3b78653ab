"""Plans against what needs no plan: one mode for all units, and three modes that alternate in blocks."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bars import Bar
from keras_models import SLACK
from litert_networks import HERE, MODES, all_in, alone_here
from rich.table import Table
from thread_time import take_turns

from planner.deployment.built_models import VerificationTarget
from planner.deployment.litert_stages import litert_mixed
from planner.inputs.dataset import Dataset
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.plan_record import Metrics
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.run import solve_and_refine
from planner.scenario.budget_schema import BudgetSpec, Objective
from planner.verification.error_budgets import cautious_noise
from planner.verification.measure_errors import measure_errors
from profiling.graph.any_model import Stage
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision

NETWORKS = ("digits", "MobileNetV2", "ResNet20")
ALTERNATING = (Precision.INT8, Precision.INT8_DYNAMIC, Precision.FP32)
BLOCK = 8
HALF = 0.5  # of the alternation's noise, at its time
_SINGLE = (Precision.FP32, *MODES, Precision.INT16)
_ATTEMPTS = 3  # at a plan that is as fast as the alternation was measured to be
_FP32, _OTHER, _TWIN, _PLAN = range(4)  # what takes turns


@dataclass(frozen=True)
class Row:
    """A plan beside a competitor; seconds relative to fp32, noise as relative rms on the evaluation data.

    `apart` is by how much two sessions of the competitor's own file differed: no difference below it counts.
    """

    network: str
    competitor: str
    equal: str  # "noise" or "time"
    ratio: float
    noise: float
    budget: float
    plan_ratio: float
    plan_noise: float
    plan_over_competitor: float
    apart: float
    failed: str = ""

    @property
    def is_slower(self) -> bool:
        """Whether the plan takes longer, beyond what timing the competitor twice shows."""
        return bool(self.failed) or self.plan_over_competitor > 1 + self.apart


@dataclass(frozen=True)
class _Competitor:
    name: str
    model: Stage
    noise: float
    cautious: float


def run(network: str) -> list[Row]:
    """Plan at the noise of each competitor, and at the time of the alternation."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(alone_here(network, Path(folder), (Precision.FP32, *MODES)))
        measured = measure_scenario(prepared)
        rows, fp32_s = [], measured.latency[HERE].wall_s[Precision.FP32]
        for other in _competitors(network, prepared):
            row = _at_equal_noise(network, measured, other)
            rows.append(row)
            if other.name not in _SINGLE:
                rows.append(_at_equal_time(network, measured, other, row.ratio * fp32_s))
        return rows


def _competitors(network: str, prepared: Prepared) -> Iterator[_Competitor]:
    for mode in (Precision.FP32, *MODES):
        yield _competitor(prepared, mode, all_in(prepared, mode))
    with tempfile.TemporaryDirectory() as folder:
        wide = prepare(alone_here(network, Path(folder), (Precision.FP32, Precision.INT16)))
        yield _competitor(wide, Precision.INT16, all_in(wide, Precision.INT16))
    graph = prepared.models.graph
    yield _competitor(prepared, f"{', '.join(ALTERNATING)} in turn", alternating(graph))


def alternating(graph: OperatorGraph) -> dict[int, Precision]:
    """Return the mix of modes that alternate in blocks of units; a unit that cannot be in one is in fp32."""
    modes = [ALTERNATING[unit.index // BLOCK % len(ALTERNATING)] for unit in graph.units]
    able = {u.index: m for u, m in zip(graph.units, modes, strict=True) if m != "fp32" and u.can_be(m)}
    return graph.resolve_precisions(able)


def _competitor(prepared: Prepared, name: str, mix: Mapping[int, Precision]) -> _Competitor:
    model = litert_mixed(prepared.models.graph, mix, prepared.ranges)
    noise = _errors(prepared, model, prepared.evaluation).noise_relative_rms
    held_back = cautious_noise(_errors(prepared, model, prepared.held_back))
    # A plan keeps its budget with a margin on pictures held back for that, and on those it is judged on.
    return _Competitor(name, model, noise, max(noise, held_back))


def _errors(prepared: Prepared, model: Stage, data: Dataset) -> Metrics:
    whole = VerificationTarget(prepared.models.source, model, [model], [Optimization.DEFAULT])
    return measure_errors(whole, data, prepared.runtime)


def _at_equal_noise(network: str, measured: MeasuredScenario, other: _Competitor) -> Row:
    limit = other.cautious * SLACK
    return _row(network, measured, other, BudgetSpec(noise_relative_rms=limit), "latency")


def _at_equal_time(network: str, measured: MeasuredScenario, other: _Competitor, seconds: float) -> Row:
    limit_ms = seconds * 1e3
    for _ in range(_ATTEMPTS):
        row = _row(network, measured, other, BudgetSpec(latency_ms=limit_ms), "noise")
        if row.failed or not row.is_slower:
            break
        limit_ms /= row.plan_over_competitor
    return row


def _row(
    network: str, measured: MeasuredScenario, other: _Competitor, budget: BudgetSpec, objective: Objective
) -> Row:
    """Plan under a budget, and time plan and competitor in turn, the competitor twice."""
    prepared = measured.prepared
    scenario = prepared.scenario.model_copy(update={"budget": budget, "objective": objective})
    asked = replace(measured, prepared=replace(prepared, scenario=scenario))
    _, solved = solve_and_refine(asked)
    feeds = prepared.subject.calibration.samples[0]
    fp32 = litert_mixed(prepared.models.graph, {}, prepared.ranges)
    models = [fp32, other.model, other.model]
    if solved.is_plan:
        models.append(litert_mixed(prepared.models.graph, solved.configuration.mix, prepared.ranges))
    turns = take_turns([(model, feeds) for model in models])
    noise = (
        _errors(prepared, models[_PLAN], prepared.evaluation).noise_relative_rms if solved.is_plan else 0.0
    )
    return Row(
        network,
        other.name,
        "time" if objective == "noise" else "noise",
        turns.ratio(_OTHER, _FP32),
        other.noise,
        budget.noise_relative_rms or 0.0,
        turns.ratio(_PLAN, _FP32) if solved.is_plan else 0.0,
        noise,
        turns.ratio(_PLAN, _OTHER) if solved.is_plan else 0.0,
        turns.most_apart(_TWIN, _OTHER),
        "" if solved.is_plan else "no plan",
    )


def table(rows: Sequence[Row]) -> Table:
    made = Table(
        title=f"modes: plans against one mode, and against three in blocks of {BLOCK} units",
        title_justify="left",
    )
    heads = ("network", "competitor", "at equal", "time / fp32", "noise", "(may be)", "plan: time / fp32",
             "noise", "plan / competitor", "of one file")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in heads[:3] else "right")
    for row in rows:
        plan = (f"{row.plan_ratio:.3f}", f"{row.plan_noise:.3g}", f"{row.plan_over_competitor:.3f}")
        made.add_row(
            row.network, row.competitor, row.equal, f"{row.ratio:.3f}", f"{row.noise:.3g}",
            f"{row.budget:.3g}" if row.equal == "noise" else "",
            *((row.failed, "", "") if row.failed else plan),
            f"{1 + row.apart:.3f}",
        )  # fmt: skip
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    found = []
    at_noise = [row for row in rows if row.equal == "noise"]
    slower = [f"{row.network}, {row.competitor}" for row in at_noise if row.is_slower]
    worst = max(at_noise, key=lambda row: row.plan_over_competitor)
    share = f"{worst.plan_over_competitor:.3f} ({worst.network}, {worst.competitor})"
    seen = f"{len(slower)} of {len(at_noise)}, worst {share}"
    found.append(Bar("modes: plans slower than a competitor of equal noise", "none", seen, kept=not slower))
    at_time = [row for row in rows if row.equal == "time"]
    for row in at_time:
        share = row.plan_noise / row.noise if row.noise else 1.0
        seen = row.failed or f"{share:.2f}, time {row.plan_over_competitor:.3f}"
        found.append(
            Bar(
                f"modes: {row.network}, noise over the alternation's at its time",
                f"<= {HALF}",
                seen,
                kept=not row.is_slower and share <= HALF,
            )
        )
    return found
