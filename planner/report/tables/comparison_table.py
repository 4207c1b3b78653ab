"""A comparison -> terminal tables and comma-separated rows."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from rich.console import Group, RenderableType
from rich.table import Table

from planner.comparison.baselines import ONE_DEVICE_MIXED
from planner.comparison.comparison_record import Comparison, ParetoFront, PlanSet, PlanSummary, Row
from planner.comparison.fleet.fleet_records import FleetPlans, FleetRow
from planner.devices.tried_precisions import tried_precisions_text
from planner.formatting import AXES, MILLI, counted, names_text, range_text, three_digits
from planner.report.tables.table_style import line, new_table
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text
from planner.verification.sample_size import too_few_text

_ALL = 1 - 1e-9
_MOST_NAMED = 8  # numbers of plans in a sentence
_UNTIMED = (
    "stages are not timed: each plan uses a device, the source or the sink, whose costs come from a file and "
    "not from this machine"
)
_SI_UNITS = dict.fromkeys(("latency", "makespan", "period", "throughput"), "s") | {
    "energy": "J",
    "memory": "byte",
    "traffic": "byte",
}
_OBJECTIVES = AXES | {"throughput": AXES["period"]}


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return where each plan is best, and a row per bandwidth and budget with the baselines."""
    parts: list[RenderableType] = [*map(line, _noisy_lines(comparison))]
    if comparison.pieces:
        parts.append(_ranges_table(comparison))
    if comparison.rows:
        parts += _row_parts(comparison)
    if comparison.front is not None:
        parts.append(_front_table(comparison, comparison.front))
    if comparison.plan_set is not None:
        parts += _plan_set_parts(comparison, comparison.plan_set)
    if comparison.fleet is not None:
        parts += _fleet_parts(comparison, comparison.fleet)
    parts += _measurement_tables(comparison)
    if not comparison.pieces:
        parts += [line(f"plan {plan.number}: {plan.summary}") for plan in comparison.plans]
    parts += map(line, (*untimed_lines(comparison), *_tried_lines(comparison)))
    if comparison.unused_links_text:
        parts.append(line(f"{comparison.unused_links_text}: --link"))
    names = f"bandwidth varies of {', '.join(comparison.links)}" if comparison.links else "no link varies"
    parts.append(
        line(
            f"{names}; {counted(len(comparison.plans), 'plan') if comparison.plans else 'no plan'}, "
            f"{counted(comparison.solves, 'program')} solved, {comparison.runtime_s:.1f} s"
        )
    )
    return Group(*parts)


def untimed_lines(comparison: Comparison) -> Iterator[str]:
    """Yield which plans are priced by what their units took in other models, not by their own."""
    timed = [plan for plan in comparison.plans if plan.timed]
    numbers = [str(plan.number) for plan in comparison.plans if not plan.timed]
    if timed and numbers:
        plans = "plan" if len(numbers) == 1 else "plans"
        named = names_text(numbers, _MOST_NAMED)
        yield f"{plans} {named}: not timed, priced by profiles that the timed plans corrected"
    elif numbers and comparison.fleet is None:
        yield "plans are not timed in place: no device whose costs they take is measured on this machine"
    if timed and any(row.baselines for row in comparison.rows):
        yield "baselines are not timed, but those that are one of the plans"


def _noisy_lines(comparison: Comparison) -> Iterator[str]:
    """Yield that costs are noisy, and why, before all that holds for these costs."""
    if text := noisy_costs_text(comparison.noisy_costs):
        yield f"plans{of_costs_text(comparison.noisy_costs)}"
        yield text
        yield ""


def _tried_lines(comparison: Comparison) -> Iterator[str]:
    """Yield which precisions were tried, if any were."""
    if tried := tried_precisions_text(comparison.tried_precisions):
        yield tried


def _row_parts(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield the rows with baselines of each kind, and what is to be said of them."""
    yield _rows_table(comparison)
    for row in comparison.rows:
        if row.reason:
            yield line(f"at {_point_text(comparison, row)}: {row.reason}")
    if any(
        row.objective is not None and _best_of(row, words) is None
        for row in comparison.rows
        for words in BASELINE_GROUPS.values()
    ):
        yield line("none: planning that way finds no plan within the budgets")
    yield from map(line, worth_lines(comparison))
    yield from map(line, too_few_lines(comparison))


def _ranges_table(comparison: Comparison) -> Table:
    keys = _budget_keys(comparison)
    left = (*keys, comparison.unit, "plan")
    table = new_table("best plan per range", left, ("no.", "links' share"))
    for piece in comparison.pieces:
        plan = comparison.plans[piece.plan]
        table.add_row(
            *(f"{piece.budgets[key]:g}" for key in keys),
            f"{three_digits(piece.low)} to {three_digits(piece.high)}",
            plan.summary,
            str(plan.number),
            f"{_share(plan, piece.low):.0%} to {_share(plan, piece.high):.0%}",
        )
    return table


def _front_table(comparison: Comparison, front: ParetoFront) -> Table:
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


def _plan_set_parts(comparison: Comparison, plan_set: PlanSet) -> list[RenderableType]:
    columns = ("plan", "leave below", "leave above", "of the time")
    table = new_table(f"plans to hold, for {plan_set.bandwidths}", (comparison.unit,), columns)
    for selected in plan_set.plans:
        low, high = (_bound(value) for value in (selected.low, selected.high))
        bandwidths = f"{low} to {high}" if low and high else f"below {high}" if high else f"above {low}"
        leave = (_bound(value) or "never" for value in (selected.leave_below, selected.leave_above))
        table.add_row(
            bandwidths if low or high else "all", str(selected.plan), *leave, f"{selected.share:.1%}"
        )
    text = (
        f"mean latency {plan_set.mean_latency_s * MILLI:.2f} ms, "
        f"{plan_set.regret:.2%} more than with every plan at hand"
    )
    if plan_set.followed_latency_s is not None:
        text += (
            f"; following it with {plan_set.hysteresis:.0%} hysteresis "
            f"{plan_set.followed_latency_s * MILLI:.2f} ms and {plan_set.changes} changes of plan"
        )
    return [table, line(text)]


def _fleet_parts(comparison: Comparison, fleet: FleetPlans) -> list[RenderableType]:
    unit, factor = _OBJECTIVES.get(comparison.objective, (comparison.objective, 1.0))
    title = f"plans to hold for the classes of {fleet.device}"
    table = new_table(title, ("class",), ("Mbit/s", "share", "plan", unit, "best of all"))
    for row in fleet.rows:
        costs = ("-" if value is None else f"{value * factor:.2f}" for value in (row.objective, row.best))
        bandwidth = "own" if row.bandwidth is None else f"{row.bandwidth:g}"
        plan = "-" if row.plan is None else str(row.plan)
        table.add_row(row.device_class, bandwidth, f"{row.share:.1%}", plan, *costs)
    reasons = [line(f"{row.device_class} at {_where(row)}: {row.reason}") for row in fleet.rows if row.reason]
    rules = new_table("rule", ("class", "Mbit/s"), ("plan",))
    for rule in fleet.rule:
        text = "own" if rule.at_own_bandwidth else range_text(rule.low, rule.high)
        rules.add_row(rule.device_class, text, str(rule.plan))
    if fleet.mean_objective is None or fleet.bound is None or fleet.regret is None:
        return [table, *reasons]
    text = (
        f"{fleet.status}{of_costs_text(comparison.noisy_costs)}: mean "
        f"{fleet.mean_objective * factor:.2f} {unit}, no {fleet.most} plans are below "
        f"{fleet.bound * factor:.2f}; {fleet.regret:.2%} more than with every plan at hand"
    )
    served = [] if fleet.served > _ALL else [line(f"means are of the {fleet.served:.1%} that are served")]
    return [table, *reasons, rules, line(text), *served]


def _where(row: FleetRow) -> str:
    return "its own bandwidth" if row.bandwidth is None else f"{row.bandwidth:g}"


def _bound(value: float | None) -> str:
    return "" if value is None else three_digits(value)


def _measurement_tables(comparison: Comparison) -> list[RenderableType]:
    """Return what building and measuring the plans showed."""
    tried = [(plan, plan.trial) for plan in comparison.plans if plan.trial is not None]
    if not tried:
        return []
    judged = judged_by(comparison)
    is_timed = any(trial.compute_s is not None for _, trial in tried)
    timed = ("measured",) if is_timed else ()
    columns = ("stages, ms, predicted", *timed, "noise, predicted", "measured", *judged, "chain")
    table = new_table("every plan built and measured", ("plan",), columns)
    for plan, trial in tried:
        compute_ms = "-" if trial.compute_s is None else f"{trial.compute_s * MILLI:.2f}"
        measured = trial.measured
        measured_cells = ["-"] * (2 + len(judged))
        if measured is not None:
            answers = {"accuracy": measured.accuracy, "metric": measured.metric}
            equal = "bit-equal" if measured.chain.basic_bit_equal else "NOT bit-equal"
            measured_cells = [
                f"{measured.noise_relative_rms:.4f}",
                *(_judged_text(name, answers[name]) for name in judged),
                equal,
            ]
        seconds = (f"{trial.expected_compute_s * MILLI:.2f}", *((compute_ms,) if is_timed else ()))
        table.add_row(str(plan.number), *seconds, f"{plan.noise_relative_rms:.4f}", *measured_cells)
    broken_lines = [
        line(f"at {where}: plan {row.plan} breaks a budget on the evaluation data: {text}")
        for row in comparison.rows
        for where in (_point_text(comparison, row),)
        for text in row.broken
    ]
    if any(row.measured_s is not None for row in comparison.rows):
        return [table, *broken_lines, _measured_rows(comparison)]
    return [table, *broken_lines, *([] if is_timed else [line(_UNTIMED)])]


def judged_by(comparison: Comparison) -> tuple[str, ...]:
    """Return by what plans that were tried out were judged besides noise: accuracy, metric, both or none."""
    measured = [plan.trial.measured for plan in comparison.plans if plan.trial and plan.trial.measured]
    known = {
        "accuracy": any(one.accuracy is not None for one in measured),
        "metric": any(one.metric is not None for one in measured),
    }
    return tuple(name for name, is_known in known.items() if is_known)


def _judged_text(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4g}"


def too_few_lines(comparison: Comparison) -> Iterator[str]:
    """Yield what the samples do not tell of the rows' plans, each sentence once."""
    plans: dict[str, set[int]] = {}
    for row in comparison.rows:
        if row.plan is not None:
            for one in row.too_few_samples:
                plans.setdefault(too_few_text(one), set()).add(row.plan)
    for text, numbers in plans.items():
        names = ", ".join(map(str, sorted(numbers)))
        yield f"plan{'s' * (len(numbers) > 1)} {names}: {text}"


def _share(plan: PlanSummary, bandwidth: float) -> float:
    """Return which part of the latency the bytes on the links take."""
    moving = plan.link_s / bandwidth
    return moving / (plan.fixed_s + moving) if plan.fixed_s + moving else 0.0


def _rows_table(comparison: Comparison) -> Table:
    best = "best of these"
    unit, factor = _OBJECTIVES.get(comparison.objective, (comparison.objective, 1.0))
    table = new_table(
        "the joint plan beside simpler ways on the same costs",
        _head(comparison),
        ("plan", f"joint: {unit}", *BASELINE_GROUPS, best, "gain"),
    )
    # A row without a plan holds its status there, which is one word.
    table.columns[-len(BASELINE_GROUPS) - 3].no_wrap = any(row.objective is None for row in comparison.rows)
    for row in comparison.rows:
        point = _point(comparison, row)
        if row.objective is None:
            table.add_row(*point, "-", row.status)
            continue
        # Baselines by kind: a terminal has no room for each; compare.csv has all.
        groups = [_best_of(row, words) for words in BASELINE_GROUPS.values()]
        least = min((value for value in groups if value is not None), default=None)
        gain = "-" if row.joint_gain is None else _gain_text(row.joint_gain)
        cells = ["none" if value is None else f"{value * factor:.2f}" for value in (*groups, least)]
        table.add_row(*point, str(row.plan), f"{row.objective * factor:.2f}", *cells, gain)
    return table


def _gain_text(gain: float) -> str:
    return f"{gain:.1%}" if abs(gain) >= _HARDLY else "0.0%"  # but for rounding


def worth_lines(comparison: Comparison, table: str = "compare.csv") -> Iterator[str]:
    """Yield whether splitting was worth it, and whether planning jointly was.

    Splitting is compared with the best plan on one device in mixed precision, so that no gain is due to
    precisions.

    Parameters
    ----------
    table
        Where the reader finds every baseline.
    """
    rows = [row for row in comparison.rows if row.objective]
    yield from _split_lines(comparison, rows)
    gains = [row.joint_gain for row in rows if row.joint_gain is not None]
    if gains and len(gains) == len(rows):
        yield (
            f"the joint plan: at each of these a simpler way is as good; which one, {table} says"
            if max(gains) < _HARDLY
            else f"the joint plan: {comparison.objective} at most {max(gains):.1%} below that of the best "
            "simpler way"
        )
    if gains and min(gains) <= -_HARDLY:
        yield (
            f"simpler ways that are not timed are predicted to be up to {-min(gains):.1%} better than a plan "
            "that is; predictions can be off by as much"
        )


def _split_lines(comparison: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what splitting gains over one device in mixed precision; nothing where that is not known."""
    known = [row for row in rows if ONE_DEVICE_MIXED in row.baselines]
    if not known or len(known) < len(rows) or len(_devices(comparison)) == 1:
        return
    alone = [(1 - row.objective / one, row) for row in rows if row.objective and (one := _alone(row))]
    missing = [row for row in rows if not _alone(row)]
    if missing:
        where = ", ".join(_point_text(comparison, row) for row in missing)
        yield f"at {where} no device keeps the budgets alone: only a split does"
    if not alone:
        return
    gain, row = max(alone, key=itemgetter(0))
    if gain < _HARDLY:
        everywhere = "at any of these" if len(rows) == len(comparison.rows) else "where there is a plan"
        where = "elsewhere" if missing else everywhere
        yield f"splitting gains nothing {where}{_unsplit(comparison)}"
    else:
        yield (
            f"splitting gains at most {gain:.1%} of {comparison.objective} over the best single device in "
            f"mixed precision, at {_point_text(comparison, row)}"
        )


def _devices(comparison: Comparison) -> set[str]:
    """Return the devices that plans use or that could run everything."""
    names = {name.partition(" on ")[2] for row in comparison.rows for name in row.baselines if " on " in name}
    return names.union(*(plan.devices for plan in comparison.plans))


def _alone(row: Row) -> float | None:
    """Return the least objective on one device, in one precision or in several."""
    return _best_of(row, _ONE)


def _unsplit(comparison: Comparison) -> str:
    """Return on which device all is in which range, as the end of a sentence; "" where budgets vary."""
    whole = {plan.number: set(plan.devices) for plan in comparison.plans}
    pieces = comparison.pieces
    if not pieces or any(piece.budgets for piece in pieces) or any(len(whole[p.plan]) > 1 for p in pieces):
        return ""
    devices = [(next(iter(whole[piece.plan])), piece) for piece in pieces]
    parts = [(device, [piece for _, piece in group]) for device, group in groupby(devices, key=itemgetter(0))]
    if len(parts) == 1:
        return f": all on {parts[0][0]}"
    return ": " + ", ".join(
        f"all on {device} up to {three_digits(ranges[-1].high)}"
        if number < len(parts) - 1
        else f"on {device} above"
        for number, (device, ranges) in enumerate(parts)
    )


def _measured_rows(comparison: Comparison) -> Table:
    table = new_table(
        "the joint plan and the best simpler way, stages timed in turn (links as predicted)",
        (*_head(comparison), "simpler way"),
        ("plan", "joint, ms", "simpler, ms", "joint / simpler"),
    )
    for row in comparison.rows:
        if row.measured_s is not None:
            joint_s, simpler_s = row.measured_s, row.baseline_measured_s
            cells = (
                ("-", "-") if not simpler_s else (f"{simpler_s * MILLI:.2f}", f"{joint_s / simpler_s:.3f}")
            )
            names = (*_point(comparison, row), row.baseline or "none")
            table.add_row(*names, str(row.plan), f"{joint_s * MILLI:.2f}", *cells)
    return table


def _point_text(comparison: Comparison, row: Row) -> str:
    parts = [f"{key} {value:g}" for key, value in row.budgets.items()]
    if row.bandwidth is not None:
        parts.append(f"{row.bandwidth:g} {comparison.unit}")
    return ", ".join(parts) or "the scenario"


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


_ONE = (" on ", "one device")
# What baselines are called together, and words in the names of those.
BASELINE_GROUPS = {"one device": _ONE, "best cut": ("cut",), "two steps": ("then",)}
_HARDLY = 5e-4  # a gain that would be shown as 0.0 %


def best_name(row: Row, words: tuple[str, ...]) -> str:
    """Return which baseline is the best of those whose names hold any of some words; "" if none is a plan."""
    values = {
        name: value
        for name, value in row.baselines.items()
        if value is not None and any(word in name for word in words)
    }
    return min(values, key=lambda name: values[name], default="")


def _best_of(row: Row, words: tuple[str, ...]) -> float | None:
    return row.baselines.get(best_name(row, words))


def comparison_csv(comparison: Comparison) -> str:
    """Return the rows with every baseline, one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_cells(comparison))
    return text.getvalue()


def _cells(comparison: Comparison) -> Iterator[list[object]]:
    budgets = _budget_keys(comparison)
    names = list(dict.fromkeys(name for row in comparison.rows for name in row.baselines))
    units = ("bandwidth_unit", "objective_name", "objective_unit")
    yield [
        "bandwidth",
        *budgets,
        "status",
        "plan",
        "objective",
        "bound",
        *names,
        "joint_gain",
        "summary",
        *units,
    ]
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
            comparison.unit,
            comparison.objective,
            _SI_UNITS.get(comparison.objective, ""),
        ]
