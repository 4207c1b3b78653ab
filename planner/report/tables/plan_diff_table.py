"""What differs between two plans -> terminal tables."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from math import isfinite

from rich.console import Group, RenderableType
from rich.table import Table

from planner.formatting import MILLI, short_name, size_text
from planner.plan.plan_diff import CostChange, PlanDiff, UnitMove, UnitPlace
from planner.plan.plan_record import Cut
from planner.report.tables.profile_tables import diff_table
from planner.report.tables.table_style import line, new_table

_SHOWN = 20  # units that moved
_ABSENT = "-"
_PERCENT = 100.0
_IN_PLACE = (
    "both plans come from one measurement: these units differ since plans are timed in place, "
    "which corrects what units take"
)


def plan_diff_table(diff: PlanDiff) -> RenderableType:
    """Return what differs between two plans as a person reads it."""
    parts: list[RenderableType] = [line(_summary(diff)), *map(line, _settings_lines(diff))]
    if diff.moves:
        parts.append(_moves_table(diff.moves))
    if len(diff.moves) > _SHOWN:
        order = ", those in another precision first" if any(m.changes_precision for m in diff.moves) else ""
        parts.append(line(f"{_SHOWN} of {len(diff.moves)} units are shown{order}; --json has all"))
    if diff.only_before or diff.only_after:
        parts.append(_cuts_table(diff))
    parts.append(_costs_table(diff.costs))
    for device, profile in diff.profiles.items():
        parts += [line(f"costs and noise of {device}:"), diff_table(profile)]
        if profile.is_one_measurement and profile.changes:
            parts.append(line(_IN_PLACE))
    return Group(*parts)


def _settings_lines(diff: PlanDiff) -> Iterator[str]:
    for key, (before, after) in diff.settings.items():
        yield f"{key}: {_setting(before)} > {_setting(after)}"


def _setting(value: object) -> str:
    return _ABSENT if value is None else json.dumps(value)


def _summary(diff: PlanDiff) -> str:
    """Return how many units moved from where to where, and how many changed which precision to which."""
    places = [(move.before, move.after) for move in diff.moves]
    moved = Counter(
        (before.device, after.device)
        for before, after in places
        if before and after and before.device != after.device
    )
    recoded = Counter(
        (before.precision.value, after.precision.value)
        for before, after in places
        if before and after and before.precision is not after.precision
    )
    only = {
        "only before": sum(after is None for _, after in places),
        "only after": sum(before is None for before, _ in places),
    }
    if not diff.moves:
        return f"no unit moved: all {diff.units} run where and as before"
    first = [f"{_units(count)} {old} > {new}" for (old, new), count in moved.most_common()]
    second = [f"{count} {old} > {new}" for (old, new), count in recoded.most_common()]
    if second and not first:
        second[0] = (
            f"{_units(next(iter(dict(recoded.most_common()).values())))} {second[0].partition(' ')[2]}"
        )
    parts = [", ".join(texts) for texts in (first, second) if texts]
    parts += [f"{_units(count)} {where}" for where, count in only.items() if count]
    return "; ".join(parts)


def _moves_table(moves: Sequence[UnitMove]) -> Table:
    table = new_table(_moves_title(moves), ("unit", "before", "after"), ("before ms", "after ms"))
    # What a move alone changes is the device; another precision is what people look for.
    for move in sorted(moves, key=lambda move: not move.changes_precision)[:_SHOWN]:
        ends = (move.before, move.after)
        table.add_row(short_name(move.unit), *map(_place_text, ends), *map(_seconds_text, ends))
    return table


def _moves_title(moves: Sequence[UnitMove]) -> str:
    """Return how many units run elsewhere, and how many only in another precision."""
    elsewhere = sum(move.is_elsewhere for move in moves)
    counts = {"moved": elsewhere, "in another precision": len(moves) - elsewhere}
    texts = [f"{_units(count)} {what}" for what, count in counts.items() if count]
    return ", ".join(texts)


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def _place_text(place: UnitPlace | None) -> str:
    return _ABSENT if place is None else f"{place.device}, {place.precision.value}"


def _seconds_text(place: UnitPlace | None) -> str:
    return _ABSENT if place is None else f"{place.compute_s * MILLI:.3f}"


def _cuts_table(diff: PlanDiff) -> Table:
    table = new_table("on the links", ("tensor", "way", "wire", "in"), ("size", "ms"))
    for where, cuts in (("before", diff.only_before), ("after", diff.only_after)):
        for cut in cuts:
            table.add_row(*_cut_cells(cut, where))
    return table


def _cut_cells(cut: Cut, where: str) -> tuple[str, ...]:
    way, seconds = " > ".join(cut.path), f"{cut.seconds * MILLI:.2f}"
    return short_name(cut.tensor), way, cut.wire.value, where, size_text(cut.size_bytes), seconds


def _costs_table(costs: Sequence[CostChange]) -> Table:
    table = new_table("costs", ("",), ("before", "after", "change", "spread"))
    for cost in costs:
        spread = "" if cost.spread is None else f"{cost.spread:.1%}"
        mark = ", within it" if cost.is_within_spread and cost.change else ""
        values = (_value(cost.unit, value) for value in (cost.before, cost.after))
        indent = "  " if cost.cost.startswith("of it") else ""
        table.add_row(indent + cost.cost, *values, _change_text(cost), spread + mark)
    return table


def _change_text(cost: CostChange) -> str:
    if not cost.change:
        return "none"
    if cost.unit == "share":
        return f"{_PERCENT * (cost.after - cost.before):+.2f} points"
    return f"{cost.change:+.1%}" if isfinite(cost.change) else "from 0"


def _value(unit: str, value: float) -> str:
    if unit == "s":
        return f"{value * MILLI:.2f} ms"
    if unit == "J":
        return f"{value * MILLI:.3g} mJ"
    if unit == "share":
        return f"{value:.2%}"
    return size_text(round(value)) if unit == "B" else f"{value:.4g}"
