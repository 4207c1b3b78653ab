"""A comparison -> terminal tables and comma-separated rows."""

import csv
import io
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from planner.comparison.records import Comparison, ParetoFront, PlanSet, PlanSummary, Row
from planner.formatting import AXES, MILLI
from planner.report.terminal_table import line, new_table

_OBJECTIVES = AXES | {"throughput": AXES["period"]}


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return where each plan is best, and a row per bandwidth and budget beside simpler ways to plan."""
    parts: list[RenderableType] = []
    if comparison.pieces:
        parts.append(_ranges(comparison))
    if comparison.rows:
        parts.append(_rows(comparison))
        parts += [line(f"at {_place(row)}: {row.reason}") for row in comparison.rows if row.reason]
    if comparison.front is not None:
        parts.append(_front(comparison, comparison.front))
    if comparison.plan_set is not None:
        parts += _plan_set(comparison, comparison.plan_set)
    parts += _trials(comparison)
    if not comparison.pieces:
        parts += [line(f"plan {plan.number}: {plan.summary}") for plan in comparison.plans]
    names = ", ".join(comparison.links) or "no link varies"
    parts.append(
        line(
            f"{names}; {len(comparison.plans)} plans, {comparison.solves} programs solved, "
            f"{comparison.runtime_s:.1f} s"
        )
    )
    return Group(*parts)


def _ranges(comparison: Comparison) -> Table:
    keys = _budget_keys(comparison)
    left = (*keys, comparison.unit, "plan")
    table = new_table("best plan per range", left, ("no.", "their bytes' share"))
    for piece in comparison.pieces:
        plan = comparison.plans[piece.plan]
        table.add_row(
            *(f"{piece.budgets[key]:g}" for key in keys),
            f"{piece.low:.4g} to {piece.high:.4g}",
            plan.summary,
            str(plan.number),
            f"{_share(plan, piece.low):.0%} to {_share(plan, piece.high):.0%}",
        )
    return table


def _front(comparison: Comparison, front: ParetoFront) -> Table:
    points = "all points" if front.complete else "some points"
    title = f"Pareto front ({points}) at the scenario's own bandwidths, without budgets on these quantities"
    table = new_table(title, ("plan",), ("no.", *(AXES.get(axis, (axis,))[0] for axis in front.axes)))
    for point in front.points:
        plan = comparison.plans[point.plan]
        values = (f"{value * _scale(axis):.4g}" for axis, value in point.values.items())
        table.add_row(plan.summary, str(plan.number), *values)
    return table


def _scale(axis: str) -> float:
    return AXES[axis][1] if axis in AXES else 1.0


def _plan_set(comparison: Comparison, held: PlanSet) -> list[RenderableType]:
    columns = ("plan", "leave below", "leave above", "of the time")
    table = new_table(f"plans to hold, for {held.bandwidths}", (comparison.unit,), columns)
    for one in held.plans:
        low, high = (_bound(value) for value in (one.low, one.high))
        place = f"{low} to {high}" if low and high else f"below {high}" if high else f"above {low}"
        leave = (_bound(value) or "-" for value in (one.leave_below, one.leave_above))
        table.add_row(place if low or high else "all", str(one.plan), *leave, f"{one.share:.1%}")
    text = (
        f"mean latency {held.mean_latency_s * MILLI:.2f} ms, "
        f"{held.regret:.2%} more than with every plan at hand"
    )
    if held.followed_latency_s is not None:
        text += (
            f"; following it with {held.hysteresis:.0%} hysteresis {held.followed_latency_s * MILLI:.2f} ms "
            f"and {held.changes} changes of plan"
        )
    return [table, line(text)]


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _trials(comparison: Comparison) -> list[RenderableType]:
    """Return what building and measuring the plans showed."""
    tried = [(plan, plan.trial) for plan in comparison.plans if plan.trial is not None]
    if not tried:
        return []
    columns = ("stages, ms, predicted", "measured", "noise, predicted", "measured", "accuracy", "chain")
    table = new_table("every plan built and measured", ("plan",), columns)
    for plan, trial in tried:
        fixed = "-" if trial.compute_s is None else f"{trial.compute_s * MILLI:.2f}"
        found = trial.measured
        shown = ("-", "-", "-")
        if found is not None:
            accuracy = "-" if found.accuracy is None else f"{found.accuracy:.2%}"
            equal = "bit-equal" if found.chain.basic_bit_equal else "NOT bit-equal"
            shown = (f"{found.noise_relative_rms:.4f}", accuracy, equal)
        predicted = (f"{trial.expected_compute_s * MILLI:.2f}", fixed, f"{plan.noise_relative_rms:.4f}")
        table.add_row(str(plan.number), *predicted, *shown)
    faults = [
        line(f"at {_place(row)}: plan {row.plan} breaks a budget on the evaluation data: {text}")
        for row in comparison.rows
        for text in row.broken
    ]
    return [table, *faults, _measured_rows(comparison)]


def _share(plan: PlanSummary, bandwidth: float) -> float:
    """Return which part of the latency the bytes on the links take."""
    moving = plan.link_s / bandwidth
    return moving / (plan.fixed_s + moving) if plan.fixed_s + moving else 0.0


def _rows(comparison: Comparison) -> Table:
    best = "best of these"
    unit, factor = _OBJECTIVES.get(comparison.objective, (comparison.objective, 1.0))
    table = new_table(
        "the joint plan beside simpler ways on the same costs",
        _head(comparison),
        ("plan", f"joint: {unit}", "one device", "best cut", "two steps", best, "gain"),
    )
    for row in comparison.rows:
        place = _point(comparison, row)
        if row.objective is None:
            table.add_row(*place, "-", row.status)
            continue
        groups = [_least(row, words) for words in _GROUPS]
        least = min((value for value in groups if value is not None), default=None)
        gain = "-" if row.joint_gain is None else f"{max(row.joint_gain, 0.0):.1%}"  # but for rounding
        shown = ["none" if value is None else f"{value * factor:.2f}" for value in (*groups, least)]
        table.add_row(*place, str(row.plan), f"{row.objective * factor:.2f}", *shown, gain)
    return table


def _measured_rows(comparison: Comparison) -> Table:
    table = new_table(
        "the joint plan and the best simpler way, stages timed in turn (links as predicted)",
        (*_head(comparison), "simpler way"),
        ("plan", "joint, ms", "simpler, ms", "joint / simpler"),
    )
    for row in comparison.rows:
        if row.measured_s is not None:
            own, other = row.measured_s, row.baseline_measured_s
            shown = ("-", "-") if not other else (f"{other * MILLI:.2f}", f"{own / other:.3f}")
            names = (*_point(comparison, row), row.baseline or "none")
            table.add_row(*names, str(row.plan), f"{own * MILLI:.2f}", *shown)
    return table


def _place(row: Row) -> str:
    budgets = "".join(f"{key} {value:g}, " for key, value in row.budgets.items())
    return budgets + ("" if row.bandwidth is None else f"{row.bandwidth:g}") or "the scenario"


def _budget_keys(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(key for row in comparison.rows for key in row.budgets))


def _head(comparison: Comparison) -> tuple[str, ...]:
    """Return the columns that say which point a row is."""
    unit = (comparison.unit,) if comparison.unit else ()
    return (*_budget_keys(comparison), *unit) or ("at",)


def _point(comparison: Comparison, row: Row) -> tuple[str, ...]:
    budgets = tuple(f"{row.budgets[key]:g}" for key in _budget_keys(comparison))
    bandwidth = () if row.bandwidth is None else (f"{row.bandwidth:g}",)
    return (*budgets, *bandwidth) or ("the scenario",)


_GROUPS = ((" on ", "one device"), ("cut",), ("then",))


def _least(row: Row, words: tuple[str, ...]) -> float | None:
    """Return the best of the baselines whose names hold any of some words."""
    known = (value for name, value in row.baselines.items() if any(word in name for word in words))
    return min((value for value in known if value is not None), default=None)


def comparison_csv(comparison: Comparison) -> str:
    """Return the rows with every baseline, one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_cells(comparison))
    return text.getvalue()


def _cells(comparison: Comparison) -> Iterator[list[object]]:
    budgets = _budget_keys(comparison)
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
