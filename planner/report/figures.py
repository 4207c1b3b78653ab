"""Comparisons and plans as figures: latency over bandwidth, where the time goes, Pareto fronts."""

from collections.abc import Mapping, Sequence
from math import ceil, log, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from planner.comparison.comparison_record import BestPlanRange, Comparison, ParetoFront, PlanSummary, Row
from planner.formatting import AXES, MILLI, three_digits, time_text
from planner.plan.plan_record import Plan
from planner.report.figure_style import INK, LINKS, colours_of, new_figure, styled

_LINE_STYLES = ("-", "--", ":", "-.")
# Colour, marker and its size: marks that cover each other lie in each other, the largest below.
_BASELINES = {
    "one device": ("#e69f00", "o", 13.0),
    "single fp32 cut": ("#56b4e9", "s", 9.5),
    "uniform precision, single cut": ("#8a8f98", "D", 7.5),
    "minimum fp32 cut": ("#009e73", "^", 8.0),
    "quantize, then split": ("#cc79a7", "v", 6.0),
    "split, then quantize": ("#d55e00", "o", 3.5),
}
_SAME = 0.005  # of a value: less is no difference that one sees
_STEPS = (1.0, 2.0, 5.0)  # of a decade, where an axis has few of them
_FEW_DECADES = 3.0
_JOINT = "#0072b2"
_WIDE, _HIGH = 7.2, 4.0
_IN_NOTEBOOK = 5.8  # inches high, the legend included
_WITH_LEGEND = 4.3  # inches high, and for each row of the legend
_LEGEND_ROW = 0.2
_LONG_LABEL = 30  # characters of which two stand beside each other in a legend
_MANY = 14  # ticks
_LABEL_POINTS, _LABEL_SHARE = 12, 0.09  # height of a label, and its width in an axis


def draw_latency(comparison: Comparison) -> Figure:
    """Return latency over bandwidth: the joint plan's line with its breakpoints, and simpler ways."""
    with styled():
        figure = new_figure(_WIDE, _WITH_LEGEND)
        axes = figure.add_subplot()
        draw_latency_on(axes, comparison)
        labels = axes.get_legend_handles_labels()[1]
        figure.set_figheight(_WITH_LEGEND + _LEGEND_ROW * ceil(len(labels) / _legend_columns(labels)))
    return figure


def new_latency_axes() -> Axes:
    """Return the axes of a new figure of pyplot, which notebooks show."""
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(_WIDE, _IN_NOTEBOOK), layout="constrained")[1]


def draw_latency_on(axes: Axes, comparison: Comparison) -> None:
    """Draw latency over bandwidth on axes that are given."""
    for number, budgets in enumerate(_budget_sets(comparison)):
        # Budgets are told apart by the dash, since colours are those of baselines.
        style = _LINE_STYLES[number % len(_LINE_STYLES)]
        rows = [row for row in comparison.rows if row.budgets == budgets and row.bandwidth]
        if not number:
            _draw_baselines(axes, rows)
        ranges = [best for best in comparison.pieces if best.budgets == budgets]
        label = "joint plan" + (f", {_budgets_text(budgets)}" if budgets else "")
        if ranges:
            _draw_ranges(axes, comparison.plans, ranges, comparison.unit, style, label)
        else:
            points = [(row.bandwidth, row.objective) for row in rows if row.objective is not None]
            values = [(x, y * MILLI) for x, y in points if x is not None]
            axes.plot(*_columns(values), style, color=_JOINT, linewidth=2.2, marker=".", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        _scale(axis)
    axes.set_xlabel(f"bandwidth of {', '.join(comparison.links)}, {comparison.unit}")
    axes.set_ylabel("latency of one request, ms")
    # Below the axes and their label, where it covers no line; the distance is in lines of text.
    columns = _legend_columns(axes.get_legend_handles_labels()[1])
    axes.legend(ncols=columns, loc="upper left", bbox_to_anchor=(0, 0), borderaxespad=4.5, frameon=False)


def _legend_columns(labels: Sequence[str]) -> int:
    return 2 if max(map(len, labels), default=0) <= _LONG_LABEL else 1


def _scale(axis: Axis) -> None:
    """Give a logarithmic axis ticks as plain numbers, several in a decade where it has few."""
    low, high = axis.get_view_interval()
    steps = _STEPS if log10(high / low) <= _FEW_DECADES else _STEPS[:1]
    axis.set_major_locator(LogLocator(subs=steps, numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: np.format_float_positional(value, 4, trim="-")))
    axis.set_minor_formatter(NullFormatter())


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _budget_sets(comparison: Comparison) -> list[dict[str, float]]:
    budget_sets: list[dict[str, float]] = []
    for row in comparison.rows:
        if row.budgets not in budget_sets:
            budget_sets.append(row.budgets)
    return budget_sets


def _budgets_text(budgets: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in budgets.items())


def _draw_baselines(axes: Axes, rows: Sequence[Row]) -> None:
    drawn: dict[str, dict[float, float]] = {}
    for name, (colour, marker, size) in _BASELINES.items():
        pairs = [(row.bandwidth, row.baselines.get(name)) for row in rows]
        points = {x: y * MILLI for x, y in pairs if x is not None and y is not None}
        if not points:
            continue
        twin = next((other for other, theirs in drawn.items() if _are_same(points, theirs)), None)
        label = name if twin is None else f"{name} (as {twin})"
        # A line between them would claim what nobody planned.
        axes.plot(*_columns(list(points.items())), marker, color=colour, label=label, markersize=size)
        drawn[name] = points


def _are_same(points: Mapping[float, float], others: Mapping[float, float]) -> bool:
    """Return whether a line lies on another one."""
    return set(points) == set(others) and all(abs(points[x] / others[x] - 1) <= _SAME for x in points)


def _draw_ranges(
    axes: Axes,
    plans: Sequence[PlanSummary],
    pieces: Sequence[BestPlanRange],
    unit: str,
    style: str,
    label: str,
) -> None:
    points = [
        (x, plans[piece.plan].latency_s(x) * MILLI)
        for piece in pieces
        for x in _log_spaced(piece.low, piece.high)
    ]
    axes.plot(*_columns(points), style, color=_JOINT, linewidth=2.4, label=label, zorder=4)
    ends = pieces[0].low, pieces[-1].high
    changes = [piece.low for piece in pieces[1:]]
    levels = _levels(changes, *ends)
    for piece, level in zip(pieces[1:], levels, strict=True):
        y = plans[piece.plan].latency_s(piece.low) * MILLI
        axes.plot([piece.low], [y], "o", color=_JOINT, markersize=7, zorder=5)
        axes.axvline(piece.low, color=_JOINT, linewidth=0.8, linestyle=":", zorder=1)
        # Above the axes, where no line runs.
        axes.annotate(
            three_digits(piece.low),
            (piece.low, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(0, 3 + _LABEL_POINTS * level),
            ha="center",
            color=INK,
        )
    if levels:
        above = 6 + _LABEL_POINTS * (max(levels) + 1)
        axes.set_title(f"The best plan changes at, {unit}:", loc="left", fontsize="medium", pad=above)


def _levels(values: Sequence[float], low: float, high: float) -> list[int]:
    """Return at which height the label of each value stands, so that none covers another.

    Parameters
    ----------
    values
        Rising, on a logarithmic axis from `low` to `high`.
    """
    levels: list[int] = []
    free_from: list[float] = []  # of each level, as a share of the axis
    for value in values:
        position = log(value / low) / log(high / low) if high > low else 0.0
        level = next((n for n, share in enumerate(free_from) if share <= position), len(free_from))
        free_from[level : level + 1] = [position + _LABEL_SHARE]
        levels.append(level)
    return levels


def _log_spaced(low: float, high: float, count: int = 24) -> list[float]:
    return [low * (high / low) ** (n / (count - 1)) for n in range(count)]


def draw_shares(comparison: Comparison, devices: Sequence[str]) -> Figure:
    """Return where the time of each row's plan goes: each device's computing, and the links."""
    rows = [row for row in comparison.rows if row.plan is not None]
    with styled():
        figure = new_figure(_WIDE, _HIGH)
        axes = figure.add_subplot()
        positions = range(len(rows))
        bottom = [0.0] * len(rows)
        plans = [comparison.plans[row.plan or 0] for row in rows]
        whole = [plan.latency_s(row.bandwidth) for row, plan in zip(rows, plans, strict=True)]
        for name, colour in colours_of(devices).items():
            heights = [
                _percent(plan.compute_s.get(name, 0.0), s) for plan, s in zip(plans, whole, strict=True)
            ]
            if any(heights):
                axes.bar(positions, heights, bottom=bottom, color=colour, label=f"{name} computes")
                bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
        axes.bar(positions, [100 - done for done in bottom], bottom=bottom, color=LINKS, label="on links")
        for position, seconds in zip(positions, whole, strict=True):
            turn = 90 if len(rows) > _MANY else 0
            axes.text(position, 101, time_text(seconds), ha="center", va="bottom", color=INK, rotation=turn)
        axes.set_xticks(
            list(positions), [_tick(row) for row in rows], rotation=45 if len(rows) > _MANY else 0
        )
        axes.set_xlabel(comparison.unit or "budgets")
        axes.set_ylabel("share of one request's latency, %")
        axes.grid(visible=False, axis="x")
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.04 if len(rows) <= _MANY else 1.16))
    return figure


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _tick(row: Row) -> str:
    bandwidth = "" if row.bandwidth is None else f"{row.bandwidth:g}"
    budgets = "\n".join(f"{value:g}" for value in row.budgets.values())
    return "\n".join(part for part in (bandwidth, budgets) if part)


def draw_front(front: ParetoFront) -> Figure:
    """Return a Pareto front over its first two axes; the third one is the colour."""
    with styled():
        figure = new_figure(_WIDE, _HIGH)
        axes = figure.add_subplot()
        columns = [[point.values[axis] * AXES[axis][1] for point in front.points] for axis in front.axes]
        labels = [AXES[axis][0] for axis in front.axes]
        if len(columns) > 2:  # noqa: PLR2004  the third is a colour
            dots = axes.scatter(columns[0], columns[1], c=columns[2], cmap="viridis", s=36, zorder=3)
            figure.colorbar(dots, label=labels[2])
        else:
            axes.plot(columns[0], columns[1], "-", color=LINKS, drawstyle="steps-post", linewidth=1)
            axes.plot(columns[0], columns[1], "o", color=_JOINT, markersize=6)
        for point, x, y in zip(front.points, columns[0], columns[1], strict=True):
            axes.annotate(str(point.plan), (x, y), textcoords="offset points", xytext=(5, 5), color=INK)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
    return figure


def draw_request(plan: Plan, devices: Sequence[str]) -> Figure:
    """Return one request as a bar: what each device computes, and what is on links."""
    with styled():
        figure = new_figure(_WIDE, 1.5)
        axes = figure.add_subplot()
        left = 0.0
        predicted = plan.predicted
        parts = (
            [] if predicted is None else [*predicted.compute_s.items(), ("on links", predicted.transfer_s)]
        )
        colours = colours_of(devices) | {"on links": LINKS}
        for name, seconds in parts:
            if seconds:
                label = f"{name}: {time_text(seconds)}"
                axes.barh([0], [seconds * MILLI], left=left, color=colours[name], label=label, height=0.6)
                left += seconds * MILLI
        axes.set_yticks([])
        axes.set_xlabel("ms of one request, by device")
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        if left:
            axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
