"""A comparison -> terminal tables and comma-separated rows."""

import csv
import io
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.comparison import Comparison, PlanLine, Row
from planner.tables import MILLI, new_table

_LATENCY = "latency"


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return where each plan is best, and a row per bandwidth and budget beside simpler ways to plan."""
    parts: list[RenderableType] = []
    if comparison.pieces:
        parts.append(_ranges(comparison))
    parts.append(_rows(comparison))
    names = ", ".join(comparison.links) or "no link varies"
    parts.append(
        Text(
            f"{names}; {len(comparison.plans)} plans, {comparison.solves} programs solved, "
            f"{comparison.runtime_s:.1f} s"
        )
    )
    return Group(*parts)


def _ranges(comparison: Comparison) -> Table:
    table = new_table("best plan per range", (comparison.unit, "plan"), ("no.", "links share"))
    for piece in comparison.pieces:
        plan = comparison.plans[piece.plan]
        table.add_row(
            f"{_budgets(piece.budgets)}{piece.low:.4g} to {piece.high:.4g}",
            Text(plan.summary),
            str(plan.number),
            f"{_share(plan, piece.low):.0%} to {_share(plan, piece.high):.0%}",
        )
    return table


def _share(plan: PlanLine, bandwidth: float) -> float:
    """Return which part of the latency the bytes on the links take."""
    moving = plan.link_s / bandwidth
    return moving / (plan.fixed_s + moving) if plan.fixed_s + moving else 0.0


def _rows(comparison: Comparison) -> Table:
    best = "best of these"
    unit = "ms" if comparison.objective == _LATENCY else comparison.objective
    table = new_table(
        "the joint plan beside simpler ways on the same costs",
        (comparison.unit or "budgets",),
        ("plan", f"joint, {unit}", "one device", "best cut", "two steps", best, "gain"),
    )
    for row in comparison.rows:
        place = _budgets(row.budgets) + ("" if row.bandwidth is None else f"{row.bandwidth:g}")
        if row.objective is None:
            table.add_row(place, "-", row.reason, "", "", "", "")
            continue
        factor = MILLI if comparison.objective == _LATENCY else 1.0
        groups = [_least(row, words) for words in _GROUPS]
        least = min((value for value in groups if value is not None), default=None)
        gain = "-" if row.joint_gain is None else f"{max(row.joint_gain, 0.0):.1%}"  # but for rounding
        shown = ["none" if value is None else f"{value * factor:.2f}" for value in (*groups, least)]
        table.add_row(place, str(row.plan), f"{row.objective * factor:.2f}", *shown, gain)
    return table


_GROUPS = ((" on ", "one device"), ("cut",), ("then",))


def _least(row: Row, words: tuple[str, ...]) -> float | None:
    """Return the best of the baselines whose names hold any of some words."""
    known = (value for name, value in row.baselines.items() if any(word in name for word in words))
    return min((value for value in known if value is not None), default=None)


def _budgets(budgets: dict[str, float]) -> str:
    return "".join(f"{key} {value:g}, " for key, value in budgets.items())


def comparison_csv(comparison: Comparison) -> str:
    """Return the rows with every baseline, one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_cells(comparison))
    return text.getvalue()


def _cells(comparison: Comparison) -> Iterator[list[object]]:
    budgets = list(dict.fromkeys(key for row in comparison.rows for key in row.budgets))
    names = list(dict.fromkeys(name for row in comparison.rows for name in row.baselines))
    yield ["bandwidth", *budgets, "status", "plan", "objective", "bound", *names, "joint_gain", "summary"]
    for row in comparison.rows:
        summary = "" if row.plan is None else comparison.plans[row.plan].summary
        yield [
            row.bandwidth,
            *(row.budgets.get(key) for key in budgets),
            row.status,
            row.plan,
            row.objective,
            row.bound,
            *(row.baselines.get(name) for name in names),
            row.joint_gain,
            summary or row.reason,
        ]
