"""What `plan verify` found: the verdict on budgets, and what was measured beside what the plan had."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from planner.plan.plan_record import BudgetVerdict, Measured, Plan
from planner.report.tables.plan_tables import chain_lines, errors_of_outputs
from planner.report.tables.table_style import line, new_table
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.loader import parse_scenario
from planner.verification.budget_margins import budget_verdicts, verdict_clause
from planner.verification.cost_doubt import cost_doubt_text
from planner.verification.error_budgets import has_error_budget
from planner.verification.sample_size import few_sample_texts, samples_note_text

_NO_VALUE = "-"


def verification_table(before: Plan, now: Plan) -> RenderableType:
    """Return what a plan's stages showed when they were run again.

    Parameters
    ----------
    before
        As the folder has it.
    now
        The same plan with what was measured.
    """
    if now.measured is None:
        return line("nothing was measured")
    known = dict(_rows(before.measured)) if before.measured is not None else {}
    table = new_table("verified again", ("measured",), ("in the plan", "now"))
    for name, value in _rows(now.measured):
        table.add_row(name, known.get(name, _NO_VALUE), value)
    return Group(table, *_lines(now, now.measured))


def _rows(measured: Measured) -> Iterator[tuple[str, str]]:
    yield "whole model's time / fp32", f"{measured.latency_ratio_to_fp32:.3f}"
    yield "all stages' time / fp32", f"{measured.chain_ratio_to_fp32:.3f}"
    yield "relative RMS error", f"{measured.noise_relative_rms:.4f}"
    yield from errors_of_outputs(measured)
    yield "largest absolute error", f"{measured.max_abs_error:.4g}"
    if measured.top1_agreement is not None:
        yield "same top-1 answer as fp32", f"{measured.top1_agreement:.2%}"
    if measured.accuracy is not None and measured.accuracy_fp32 is not None:
        yield "accuracy", f"{measured.accuracy:.2%}"
        yield "accuracy of the fp32 model", f"{measured.accuracy_fp32:.2%}"
    if measured.metric is not None and measured.metric_fp32 is not None:
        yield "metric", f"{measured.metric:.4g}"
        yield "metric of the fp32 model", f"{measured.metric_fp32:.4g}"
    yield "evaluation samples", str(measured.samples)


def _lines(plan: Plan, measured: Measured) -> Iterator[Text]:
    """Yield what the chain of stages is, what is in doubt, and last the verdict."""
    doubts = [cost_doubt_text(plan.cost_doubt)] if plan.cost_doubt else []
    doubts += [note] if (note := samples_note_text(measured)) else []
    doubts += few_sample_texts(plan)
    verdict = verdict_text(parse_scenario(bytes(plan.scenario)).budget, measured)
    yield from map(line, (*chain_lines(measured), *doubts, verdict))


def verdict_text(budget: BudgetSpec, measured: Measured) -> str:
    """Return which error budgets what was measured keeps, with values, limits and how sure that is."""
    if not has_error_budget(budget):
        return "verified: the stages answer as the whole model does; the scenario has no budget on errors"
    judged = budget_verdicts(budget, measured)
    if broken := [one for one in judged if not one.kept]:
        return f"not verified, error budgets broken: {'; '.join(map(_told, broken))}"
    return f"verified, all error budgets kept: {'; '.join(map(_told, judged))}"


def _told(verdict: BudgetVerdict) -> str:
    return f"{verdict.budget} {verdict.value:.4g}, budget {verdict.limit:g} ({verdict_clause(verdict)})"
