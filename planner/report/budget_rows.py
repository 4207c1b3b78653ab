"""Budgets as rows of a page: the limit, what a plan has, how much is left, how sure that is."""

from collections.abc import Iterator, Mapping, Sequence

from planner.comparison.comparison_record import Row
from planner.plan.plan_record import BudgetVerdict, Measured, Plan
from planner.report.html_page import Cells
from planner.report.html_values import FormattedValues
from planner.scenario.schema import Scenario
from planner.verification.budget_margins import (
    budget_value_text,
    budget_verdicts,
    interval_text,
    plan_verdicts,
    verdict_clause,
)

HEAD = (
    ("budget", ""),
    ("limit", "n"),
    ("the plan", "n"),
    ("left of the limit", "n"),
    ("on all such samples (95 %)", "n"),
    ("how sure that is", ""),
)
_VERDICT_HEAD = (
    ("budget", ""),
    ("limit", "n"),
    ("these samples", "n"),
    ("all such samples (95 %)", "n"),
    ("how sure that is", ""),
)
ROUND_HEAD = (("plan", "n"), *_VERDICT_HEAD)
COMPARED_HEAD = (("plan", "n"), ("samples", "n"), *_VERDICT_HEAD)
# Budgets by name, of a device or a link: in words, unit, its factor, how the plan's value is rounded, where.
_BUDGETS_OF = {
    "memory_mib": ("memory of", "MiB", 2.0**20, "size", "memory_bytes"),
    "energy_j": ("energy of", "J", 1.0, "mJ", "energy_device_j"),
    "traffic_kib": ("traffic of", "KiB", 2.0**10, "size", "traffic_bytes"),
}
# Other budgets: unit of the limit, its factor, how the plan's value is rounded, and where it is.
_BUDGETS = {
    "noise_relative_rms": ("", 1.0, "noise", ("measured", "noise_relative_rms")),
    "max_abs_error": ("", 1.0, "significant4", ("measured", "max_abs_error")),
    "latency_ms": (" ms", 1e-3, "ms", ("predicted", "latency_s")),
    "makespan_ms": (" ms", 1e-3, "ms", ("predicted", "makespan_s")),
    "throughput_per_s": (" /s", 1.0, "rate", ("predicted", "throughput_per_s")),
    "total_energy_j": (" J", 1.0, "mJ", ("predicted", "energy_j")),
    "money_per_request": ("", 1.0, "significant4", ("predicted", "money")),
    "top1_agreement": ("", 1.0, "percent", ("measured", "top1_agreement")),
}
_DROPS = ("accuracy_drop", "metric_drop")
_LEAST = {"throughput_per_s", "top1_agreement"}  # of these more is better
_WHOLE = 0.1  # a share that two digits tell without a decimal


def budget_rows(scenario: Scenario, plan: Plan, formatted: FormattedValues) -> Iterator[Cells]:
    """Yield a row of every budget: name, limit, the plan's value, the rest, an interval, a verdict."""
    margins = {one.budget: one for one in plan_verdicts(plan)}
    for key, limit in scenario.budget.model_dump(exclude_defaults=True).items():
        if key in _BUDGETS_OF:
            yield from _rows_of(key, limit, plan, formatted)
            continue
        unit, factor, style, path = _BUDGETS.get(key, ("", 1.0, "", ()))
        least = "at least" if key in _LEAST else "at most"
        margin = margins.get(key)
        value = margin.value if margin is not None else _number(plan, path)
        yield (
            key,
            f"{least} {limit:g}{unit}",
            _drop_text(margin, plan.measured)
            if key in _DROPS and margin is not None and plan.measured is not None
            else formatted(style, *path)
            if path
            else "",
            "" if value is None else _left_text(key, limit * factor, value),
            "" if margin is None else interval_text(margin),
            "" if margin is None else verdict_clause(margin),
        )


def _number(plan: Plan, path: tuple[str, ...]) -> float | None:
    value: object = plan
    for step in path:
        value = getattr(value, step, None)
    return value if isinstance(value, int | float) else None


def _drop_text(margin: BudgetVerdict, measured: Measured) -> str:
    """Return a drop as it is limited, and an accuracy's in points, too."""
    if margin.budget == "metric_drop":
        return f"{margin.value:.4g}"
    if measured.accuracy is None:
        return f"{margin.value:.4f} of the answers changed"
    return f"{margin.value:.4f} ({100 * margin.value:.2f} points)"


def _left_text(key: str, limit: float, value: float) -> str:
    """Return how much of a limit a value leaves, or by how much it breaks it.

    Examples
    --------
    >>> _left_text("latency_ms", 0.25, 0.2), _left_text("top1_agreement", 0.96, 0.99)
    ('20%', '75%')
    >>> _left_text("accuracy_drop", 0.02, -0.01), _left_text("latency_ms", 0.2, 0.25)
    ('150%', 'broken by 25%')
    """
    whole = 1 - limit if key == "top1_agreement" else limit
    left = value - limit if key in _LEAST else limit - value
    if not whole:
        return "all" if left >= 0 else "broken"
    text = f"{abs(left / whole):.0%}" if abs(left / whole) >= _WHOLE else f"{abs(left / whole):.1%}"
    return text if left >= 0 else f"broken by {text}"


def _rows_of(
    key: str, limits: Mapping[str, float], plan: Plan, formatted: FormattedValues
) -> Iterator[Cells]:
    """Yield a budget of each device or link that has one; what carries nothing is in no record."""
    words, unit, factor, style, where = _BUDGETS_OF[key]
    values: Mapping[str, float] = {} if plan.predicted is None else getattr(plan.predicted, where)
    for name, limit in limits.items():
        yield (
            f"{words} {name}",
            f"at most {limit:g} {unit}",
            formatted(style, "predicted", where, name) if name in values else "0",
            _left_text(key, limit * factor, values.get(name, 0.0)),
            "",
            "",
        )


def round_rows(scenario: Scenario, plan: Plan) -> Iterator[Cells]:
    """Yield what held-back samples say of each plan that was tried out on them, budget by budget."""
    for n, tried in enumerate(plan.rounds):
        name = f"{n + 1}, delivered" if tried.delivered else n + 1
        for verdict in budget_verdicts(scenario.budget, tried.held_back):
            yield name, *_verdict_cells(verdict)


def compared_rows(rows: Sequence[Row]) -> Iterator[Cells]:
    """Yield each verdict on a plan of a comparison once, however many bandwidths it is best at."""
    yield from dict.fromkeys(cells for row in rows for cells in _row_cells(row))


def _row_cells(row: Row) -> Iterator[tuple[int | str | None, ...]]:
    for kind, verdicts in (("held back", row.held_back_verdicts), ("evaluation", row.budget_verdicts)):
        for verdict in verdicts:
            yield row.plan, f"{verdict.samples} {kind}", *_verdict_cells(verdict)


def _verdict_cells(verdict: BudgetVerdict) -> tuple[str, ...]:
    return (
        verdict.budget,
        f"{'at least' if verdict.budget in _LEAST else 'at most'} {verdict.limit:g}",
        budget_value_text(verdict.budget, verdict.value),
        interval_text(verdict),
        verdict_clause(verdict),
    )
