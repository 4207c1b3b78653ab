"""The best plans of several models over request rates -> terminal tables, and a CSV."""

import csv
from io import StringIO

from rich.console import Group, RenderableType

from planner.comparison.request_rates import RateComparison, RatePlan
from planner.formatting import MILLI
from planner.report.tables.table_style import line, new_table
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text


def rates_table(record: RateComparison) -> RenderableType:
    """Return a comparison over request rates as a person reads it."""
    mix = ", ".join(f"{s:.3g} {name}" for name, s in zip(record.models, record.shares, strict=True))
    table = new_table(
        f"requests per s of all models ({mix}){of_costs_text(record.noisy_costs)}",
        ("requests per s", "plan"),
        ("latency ms", "busiest", "proved"),
    )
    for row in record.ranges:
        rates = f"{row.low:.4g} to {row.high:.4g}"
        if row.plan is None:
            table.add_row(rates, row.reason, "", "", "")
            continue
        plan = record.plans[row.plan]
        table.add_row(rates, _summary(plan), f"{plan.latency_s * MILLI:.2f}", plan.busiest, row.status)
    noisy = [line(text)] if (text := noisy_costs_text(record.noisy_costs)) else []
    return Group(table, *noisy, line(_alone_text(record)))


def _summary(plan: RatePlan) -> str:
    return "; ".join(f"{own.model}: {own.summary}" for own in plan.models)


def _alone_text(record: RateComparison) -> str:
    if record.alone is None:
        return "each model planned for itself: together they break a budget"
    most = record.alone.most_requests_per_s
    return (
        f"each model planned for itself: {record.alone.latency_s * MILLI:.2f} ms, up to "
        f"{'any number of' if most is None else f'{most:.4g}'} requests per s ({record.alone.busiest})"
    )


def rates_csv(record: RateComparison) -> str:
    """Return the ranges as CSV: a line each, with every model's latency."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"latency_s {name}" for name in record.models]
    writer.writerow(["low", "high", "status", "plan", "objective", "latency_s", *names, "busiest", "reason"])
    for row in record.ranges:
        plan = None if row.plan is None else record.plans[row.plan]
        own = ["" for _ in names] if plan is None else [own.latency_s for own in plan.models]
        costs = ["", ""] if plan is None else [plan.objective, plan.latency_s]
        busiest = "" if plan is None else plan.busiest
        number = "" if row.plan is None else row.plan
        writer.writerow([row.low, row.high, row.status, number, *costs, *own, busiest, row.reason])
    return text.getvalue()
