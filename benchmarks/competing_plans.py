"""Plans against what needs no plan: one precision for all units, or several that alternate in blocks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bars import Bar
from rich.table import Table
from thread_time import take_turns

from planner.deployment.built_models import VerificationTarget
from planner.inputs.dataset import Dataset
from planner.inputs.prepared_scenario import Prepared
from planner.plan.plan_record import Metrics
from planner.refinement.measured_scenario import MeasuredScenario
from planner.run import solve_and_refine
from planner.scenario.budget_schema import BudgetSpec, Objective
from planner.verification.error_budgets import cautious_noise
from planner.verification.measure_errors import measure_errors
from profiling.graph.any_model import AnyModel
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision

HALF = 0.5  # of the alternation's noise, at its time
SLACK = 1.01  # so that rounding breaks no budget
_ATTEMPTS = 3  # at a plan that is as fast as the alternation was measured to be
_FP32, _OTHER, _TWIN, _PLAN = range(4)  # what takes turns
Mixed = Callable[[Prepared, Mapping[int, Precision]], AnyModel]


@dataclass(frozen=True)
class Row:
    """A plan beside a competitor; seconds relative to fp32, noise as relative rms on the evaluation data.

    `apart` is by how much two sessions of the competitor's own file differed: no difference below it counts.
    Accuracies are None where there are no labels.
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
    accuracy: float | None = None
    plan_accuracy: float | None = None
    precisions: str = ""
    failed: str = ""

    @property
    def is_slower(self) -> bool:
        """Whether the plan takes longer, beyond what timing the competitor twice shows."""
        return bool(self.failed) or self.plan_over_competitor > 1 + self.apart


@dataclass(frozen=True)
class Competitor:
    """A model that needs no plan; `cautious` is its noise on the data by which plans are chosen."""

    name: str
    model: AnyModel
    errors: Metrics
    cautious: float

    @property
    def noise(self) -> float:
        """Its noise on the evaluation data."""
        return self.errors.noise_relative_rms


def alternating(graph: OperatorGraph, precisions: Sequence[Precision], block: int) -> dict[int, Precision]:
    """Return precisions that alternate in blocks of units; a unit that cannot be in its one is in fp32."""
    wanted = [precisions[unit.index // block % len(precisions)] for unit in graph.units]
    pairs = zip(graph.units, wanted, strict=True)
    able = {u.index: p for u, p in pairs if p is not Precision.FP32 and u.can_be(p)}
    return graph.resolve_precisions(able)


def competitor(prepared: Prepared, name: str, mix: Mapping[int, Precision], mixed: Mixed) -> Competitor:
    """Return what a mix of precisions shows."""
    model = mixed(prepared, mix)
    # A plan keeps its budget with a margin on samples held back for that; evaluation data choose nothing.
    cautious = cautious_noise(_errors(prepared, model, prepared.held_back))
    return Competitor(name, model, _errors(prepared, model, prepared.evaluation), cautious)


def _errors(prepared: Prepared, model: AnyModel, data: Dataset) -> Metrics:
    whole = VerificationTarget(prepared.models.source, model, [model], [Optimization.DEFAULT])
    return measure_errors(whole, data, prepared.runtime)


def at_equal_noise(network: str, measured: MeasuredScenario, other: Competitor, mixed: Mixed) -> Row:
    """Return the plan of least time that may have the noise of a competitor."""
    limit = other.cautious * SLACK
    return _row(network, measured, other, BudgetSpec(noise_relative_rms=limit), "latency", mixed)


def at_equal_time(
    network: str, measured: MeasuredScenario, other: Competitor, seconds: float, mixed: Mixed
) -> Row:
    """Return the plan of least noise that may take as long as a competitor."""
    limit_ms = seconds * 1e3
    for _ in range(_ATTEMPTS):
        row = _row(network, measured, other, BudgetSpec(latency_ms=limit_ms), "noise", mixed)
        if row.failed or not row.is_slower:
            break
        limit_ms /= row.plan_over_competitor
    return row


def _row(
    network: str,
    measured: MeasuredScenario,
    other: Competitor,
    budget: BudgetSpec,
    objective: Objective,
    mixed: Mixed,
) -> Row:
    """Plan under a budget, and time plan and competitor in turn, the competitor twice."""
    prepared = measured.prepared
    scenario = prepared.scenario.model_copy(update={"budget": budget, "objective": objective})
    asked = replace(measured, prepared=replace(prepared, scenario=scenario))
    _, solved = solve_and_refine(asked)
    feeds = prepared.subject.calibration.samples[0]
    models = [mixed(prepared, {}), other.model, other.model]
    errors = None
    if solved.is_plan:
        models.append(mixed(prepared, solved.configuration.mix))
        errors = _errors(prepared, models[_PLAN], prepared.evaluation)
    turns = take_turns([(model, feeds) for model in models])
    return Row(
        network,
        other.name,
        "time" if objective == "noise" else "noise",
        turns.ratio(_OTHER, _FP32),
        other.noise,
        budget.noise_relative_rms or 0.0,
        turns.ratio(_PLAN, _FP32) if errors else 0.0,
        errors.noise_relative_rms if errors else 0.0,
        turns.ratio(_PLAN, _OTHER) if errors else 0.0,
        turns.most_apart(_TWIN, _OTHER),
        other.errors.accuracy,
        errors.accuracy if errors else None,
        _counts(solved.configuration.precisions) if errors else "",
        "" if errors else "no plan",
    )


def _counts(precisions: Sequence[Precision]) -> str:
    counts = {precision: precisions.count(precision) for precision in dict.fromkeys(precisions)}
    return " + ".join(f"{count} {precision}" for precision, count in counts.items())


def table(rows: Sequence[Row], title: str) -> Table:
    """Return each plan beside its competitor; accuracies where there are labels."""
    made = Table(title=title, title_justify="left")
    heads = (
        "network", "competitor", "at equal", "time / fp32", "noise", "(may be)", "plan: time / fp32", "noise",
        "plan / competitor", "of one file", "top-1: competitor", "plan", "plan's units",
    )  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in (*heads[:3], heads[-1]) else "right")
    for row in rows:
        plan = (f"{row.plan_ratio:.3f}", f"{row.plan_noise:.3g}", f"{row.plan_over_competitor:.3f}")
        made.add_row(
            row.network, row.competitor, row.equal, f"{row.ratio:.3f}", f"{row.noise:.3g}",
            f"{row.budget:.3g}" if row.equal == "noise" else "",
            *((row.failed, "", "") if row.failed else plan),
            f"{1 + row.apart:.3f}", _share(row.accuracy), _share(row.plan_accuracy), row.precisions,
        )  # fmt: skip
    return made


def _share(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.1%}"


def bars(rows: Sequence[Row], part: str) -> list[Bar]:
    """Return whether no plan is slower at equal noise, and how much noise is left at equal time."""
    found = []
    at_noise = [row for row in rows if row.equal == "noise"]
    slower = [f"{row.network}, {row.competitor}" for row in at_noise if row.is_slower]
    worst = max(at_noise, key=lambda row: row.plan_over_competitor)
    share = f"{worst.plan_over_competitor:.3f} ({worst.network}, {worst.competitor})"
    seen = f"{len(slower)} of {len(at_noise)}, worst {share}"
    found.append(Bar(f"{part}: plans slower than a competitor of equal noise", "none", seen, kept=not slower))
    at_time = [row for row in rows if row.equal == "time"]
    for row in at_time:
        share = row.plan_noise / row.noise if row.noise else 1.0
        seen = row.failed or f"{share:.2f}, time {row.plan_over_competitor:.3f}"
        found.append(
            Bar(
                f"{part}: {row.network}, noise over the alternation's at its time",
                f"<= {HALF}",
                seen,
                kept=not row.is_slower and share <= HALF,
            )
        )
    return found
