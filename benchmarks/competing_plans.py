"""Plans against what needs no plan, such as one precision for all units, or what another tool made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import onnx
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
    Accuracies are None where there are no labels; of a detector they are the metric. `equal` says what the
    plan had to match: "noise", "time" or "accuracy". Bytes are those of constants.
    """

    network: str
    competitor: str
    equal: str
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
    fp32_accuracy: float | None = None
    stored_bytes: int = 0
    plan_bytes: int = 0

    @property
    def is_slower(self) -> bool:
        """Whether the plan takes longer, beyond what timing the competitor twice shows."""
        return bool(self.failed) or self.plan_over_competitor > 1 + self.apart

    @property
    def is_faster(self) -> bool:
        """Whether the plan takes less, by more than timing the competitor twice shows."""
        return not self.failed and self.plan_over_competitor < 1 - self.apart

    @property
    def drop(self) -> float:
        """How much accuracy the plan loses, on the evaluation data; infinite where that is not known."""
        if self.fp32_accuracy is None or self.plan_accuracy is None:
            return inf
        return self.fp32_accuracy - self.plan_accuracy


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
    return competing_model(prepared, name, mixed(prepared, mix))


def competing_model(prepared: Prepared, name: str, model: AnyModel) -> Competitor:
    """Return what a model shows."""
    # A plan keeps its budget with a margin on samples held back for that; evaluation data choose nothing.
    cautious = cautious_noise(errors_on(prepared, model, prepared.held_back))
    return Competitor(name, model, errors_on(prepared, model, prepared.evaluation), cautious)


def errors_on(prepared: Prepared, model: AnyModel, data: Dataset) -> Metrics:
    """Return how far a model is from the fp32 model on some samples."""
    whole = VerificationTarget(prepared.models.source, model, [model], [Optimization.DEFAULT])
    return measure_errors(whole, data, prepared.runtime, prepared.metric)


def drop_of(errors: Metrics) -> float:
    """Return how much accuracy is lost; of a scenario with a metric of its own, how much of that."""
    own, fp32 = _scores(errors)
    if own is None or fp32 is None:
        raise ValueError("without labels there is no accuracy")
    return fp32 - own


def _scores(errors: Metrics) -> tuple[float | None, float | None]:
    if errors.metric is not None:
        return errors.metric, errors.metric_fp32
    return errors.accuracy, errors.accuracy_fp32


def stored_bytes(model: AnyModel) -> int:
    """Return the bytes of the constants of an ONNX model, or of all of another one."""
    if isinstance(model, onnx.ModelProto):
        return sum(len(tensor.raw_data) or tensor.ByteSize() for tensor in model.graph.initializer)
    return len(model.content)


@dataclass(frozen=True)
class Question:
    """What a plan has to match, under which budget, and what it is to minimise."""

    equal: str
    budget: BudgetSpec
    objective: Objective = "latency"


def at_equal_noise(network: str, measured: MeasuredScenario, other: Competitor, mixed: Mixed) -> Row:
    """Return the plan of least time that may have the noise of a competitor."""
    question = Question("noise", BudgetSpec(noise_relative_rms=other.cautious * SLACK))
    return beside(network, measured, other, question, mixed)


def at_equal_time(
    network: str, measured: MeasuredScenario, other: Competitor, seconds: float, mixed: Mixed
) -> Row:
    """Return the plan of least noise that may take as long as a competitor."""
    limit_ms = seconds * 1e3
    for _ in range(_ATTEMPTS):
        question = Question("time", BudgetSpec(latency_ms=limit_ms), "noise")
        row = beside(network, measured, other, question, mixed)
        if row.failed or not row.is_slower:
            break
        limit_ms /= row.plan_over_competitor
    return row


def planned_mix(measured: MeasuredScenario, question: Question) -> dict[int, Precision] | None:
    """Return the precisions of a plan's quantized units; None where no plan keeps the budget."""
    prepared = measured.prepared
    asked = {"budget": question.budget, "objective": question.objective}
    scenario = prepared.scenario.model_copy(update=asked)
    _, solved = solve_and_refine(replace(measured, prepared=replace(prepared, scenario=scenario)))
    return solved.configuration.mix if solved.is_plan else None


def beside(
    network: str, measured: MeasuredScenario, other: Competitor, question: Question, mixed: Mixed
) -> Row:
    """Plan under a budget, and time plan and competitor in turn, the competitor twice."""
    prepared = measured.prepared
    mix = planned_mix(measured, question)
    feeds = prepared.subject.calibration.samples[0]
    models = [mixed(prepared, {}), other.model, other.model]
    errors = None
    if mix is not None:
        models.append(mixed(prepared, mix))
        errors = errors_on(prepared, models[_PLAN], prepared.evaluation)
    turns = take_turns([(model, feeds) for model in models])
    accuracy, fp32_accuracy = _scores(other.errors)
    row = Row(
        network,
        other.name,
        question.equal,
        turns.ratio(_OTHER, _FP32),
        other.noise,
        question.budget.noise_relative_rms or 0.0,
        0.0,
        0.0,
        0.0,
        turns.most_apart(_TWIN, _OTHER),
        accuracy,
        failed="no plan",
        fp32_accuracy=fp32_accuracy,
        stored_bytes=stored_bytes(other.model),
    )
    if mix is None or errors is None:
        return row
    units = prepared.models.graph.units
    return replace(
        row,
        failed="",
        plan_ratio=turns.ratio(_PLAN, _FP32),
        plan_noise=errors.noise_relative_rms,
        plan_over_competitor=turns.ratio(_PLAN, _OTHER),
        plan_accuracy=_scores(errors)[0],
        precisions=_counts([mix.get(unit.index, Precision.FP32) for unit in units]),
        plan_bytes=stored_bytes(models[_PLAN]),
    )


def _counts(precisions: Sequence[Precision]) -> str:
    counts = {precision: precisions.count(precision) for precision in dict.fromkeys(precisions)}
    return " + ".join(f"{count} {precision}" for precision, count in counts.items())


def table(rows: Sequence[Row], title: str) -> Table:
    """Return each plan beside its competitor; accuracies where there are labels."""
    made = Table(title=title, title_justify="left")
    heads = (
        "network", "competitor", "at equal", "time / fp32", "noise", "(may be)", "plan: time / fp32", "noise",
        "plan / competitor", "of one file", "accuracy: fp32", "competitor", "plan", "bytes over its",
        "plan's units",
    )  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in (*heads[:3], heads[-1]) else "right")
    for row in rows:
        plan = (f"{row.plan_ratio:.3f}", f"{row.plan_noise:.3g}", f"{row.plan_over_competitor:.3f}")
        made.add_row(
            row.network, row.competitor, row.equal, f"{row.ratio:.3f}", f"{row.noise:.3g}",
            f"{row.budget:.3g}" if row.budget else "",
            *((row.failed, "", "") if row.failed else plan),
            f"{1 + row.apart:.3f}", *map(_share, (row.fp32_accuracy, row.accuracy, row.plan_accuracy)),
            f"{row.plan_bytes / row.stored_bytes:.2f}" if row.stored_bytes and row.plan_bytes else "",
            row.precisions,
        )  # fmt: skip
    return made


def _share(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.1%}"


def bars(rows: Sequence[Row], part: str) -> list[Bar]:
    """Return whether no plan is slower at equal noise, and how much noise is left at equal time."""
    return [*noise_bars(rows, part), *time_bars(rows, part)]


def noise_bars(rows: Sequence[Row], part: str) -> list[Bar]:
    """Return whether no plan is slower than a competitor at its noise; nothing where there is none."""
    at_noise = [row for row in rows if row.equal == "noise"]
    if not at_noise:
        return []
    slower = [row for row in at_noise if row.is_slower]
    worst = max(at_noise, key=lambda row: inf if row.failed else row.plan_over_competitor)
    share = worst.failed or f"{worst.plan_over_competitor:.3f}"
    seen = f"{len(slower)} of {len(at_noise)}, worst {share} ({worst.network}, {worst.competitor})"
    return [Bar(f"{part}: plans slower than a competitor of equal noise", "none", seen, kept=not slower)]


def time_bars(rows: Sequence[Row], part: str) -> list[Bar]:
    """Return how much of a competitor's noise plans have that take its time."""
    found = []
    for row in (row for row in rows if row.equal == "time"):
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
