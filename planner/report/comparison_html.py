"""The report of a comparison: a page that needs nothing but itself."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from planner.comparison.comparison_record import (
    Comparison,
    ParetoFront,
    PlanSummary,
    Row,
    SelectedPlan,
)
from planner.devices.tried_precisions import tried_precisions_text
from planner.formatting import AXES, counted, three_digits, time_text
from planner.report.budget_rows import COMPARED_HEAD, compared_rows
from planner.report.figure_style import inline_svg
from planner.report.figures import draw_front, draw_latency, draw_shares
from planner.report.graph_drawing import PlacedGraph, graph_drawing
from planner.report.graph_svg import GraphFigure, graph_figure
from planner.report.html_page import LEGEND, Cells, render, units_data
from planner.report.html_values import FormattedValues
from planner.report.tables.comparison_table import (
    BASELINE_GROUPS,
    best_name,
    judged_by,
    too_few_lines,
    untimed_lines,
    worth_lines,
)
from planner.scenario.schema import Scenario
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text
from profiling.graph.operator_graph import OperatorGraph

_STYLE_OF_METRIC = {
    "latency": "ms",
    "makespan": "ms",
    "throughput": "ms",
    "period": "ms",
    "noise": "noise",
    "energy": "mJ",
    "memory": "size",
    "traffic": "size",
}
_STYLE_OF_ANSWER = {"accuracy": "percent", "metric": "noise"}
_BASELINES = {
    "one device": "All units run on the one device, in the one precision, that is best for that.",
    "one device, mixed precision": "All units run on the device that is best for that, each in the "
    "precision that is best for all of them together: the joint plan without a split.",
    "single fp32 cut": "The model runs in fp32 and changes device once, at the best place.",
    "uniform precision, single cut": "The same with the best single precision for all units.",
    "minimum fp32 cut": "The model runs in fp32 on the two devices that are best for it, cut anywhere, "
    "by the minimum cut between them.",
    "quantize, then split": "Precisions are chosen as if all ran on one device; then devices are chosen.",
    "split, then quantize": "Devices are chosen as if all ran in fp32; then precisions are chosen.",
}
_MOST_BYTES = 900_000  # of graphs in a page, which shall stay below a megabyte


def comparison_page(
    comparison: Comparison,
    graph: OperatorGraph,
    scenario: Scenario,
    figures: Sequence[tuple[str, str, Figure]],
) -> str:
    """Return the report of a comparison as HTML.

    Parameters
    ----------
    figures
        From `comparison_figures`.
    """
    formatted = FormattedValues(comparison)
    devices = [device.name for device in scenario.devices]
    name = PurePath(scenario.model).name
    graphs, left_out = _graphs_that_fit(comparison, graph, scenario, devices)
    data = {
        "units": units_data(graph),
        "unit": comparison.unit,
        # The slider is for one set of budgets: the first.
        "pieces": [
            {"low": piece.low, "high": piece.high, "plan": piece.plan}
            for piece in comparison.pieces
            if piece.budgets == comparison.pieces[0].budgets
        ],
        "plans": [
            {"fixed_s": plan.fixed_s, "link_s": plan.link_s, "summary": plan.summary}
            for plan in comparison.plans
        ],
        "graphs": {
            f"p{n}": {
                "devices": comparison.plans[n].devices,
                "precisions": comparison.plans[n].precisions,
                "seconds": comparison.plans[n].unit_s,
            }
            for n, _, _ in graphs
        },
    }
    names = list(dict.fromkeys(name for row in comparison.rows for name in row.baselines))
    budgets = list(dict.fromkeys(key for row in comparison.rows for key in row.budgets))
    return render(
        "comparison",
        data,
        title=f"{name}: plans compared{of_costs_text(comparison.noisy_costs)}",
        lead=_lead(comparison),
        worth=[
            *([noisy] if (noisy := noisy_costs_text(comparison.noisy_costs)) else []),
            *worth_lines(comparison, "the table below"),
            *too_few_lines(comparison),
            *untimed_lines(comparison),
            *([tried] if (tried := tried_precisions_text(comparison.tried_precisions)) else []),
        ],
        unit=comparison.unit,
        slider=_slider(comparison),
        pieces=list(_range_rows(comparison, formatted)),
        figures=[(caption, Markup(inline_svg(figure, name, caption))) for name, caption, figure in figures],
        row_head=[
            *([(comparison.unit, "n")] if comparison.unit else []),
            *((key, "n") for key in budgets),
            ("plan", "n"),
            ("joint", "n"),
            ("gain", "n"),
            *(
                [("joint, measured", "n"), ("best baseline, measured", "n")]
                if _has_measurements(comparison)
                else []
            ),
            *((name, "n") for name in BASELINE_GROUPS),
            ("the best of these", "long"),
        ],
        rows=[
            [*_point_cells(comparison, n, row, budgets, formatted), *_group_cells(comparison, n, formatted)]
            for n, row in enumerate(comparison.rows)
        ],
        every_head=[
            *([(comparison.unit, "n")] if comparison.unit else []),
            *((key, "n") for key in budgets),
            *((name, "n") for name in names),
        ],
        every=[
            [
                *_where_cells(comparison, n, budgets, formatted),
                *_baseline_cells(comparison, n, names, formatted),
            ]
            for n in range(len(comparison.rows))
        ],
        explained=list(_explained(names)),
        front=list(_front_rows(comparison, formatted)),
        front_head=_front_head(comparison.front),
        front_caption=_front_caption(comparison.front),
        held=list(_plan_set_rows(comparison, formatted)),
        held_lead=_plan_set_lead(comparison, formatted),
        fleet=list(_fleet_rows(comparison, formatted)),
        trials=list(_measurement_rows(comparison, formatted)),
        verdict_head=COMPARED_HEAD,
        verdicts=list(compared_rows(comparison.rows)),
        judged=[(name, "n") for name in judged_by(comparison)],
        graphs=[(heading, figure) for _, heading, figure in graphs],
        left_out=left_out,
        legend=LEGEND,
        footer=Markup("splitquant {}; {} programs solved in {}").format(
            version("splitquant"), formatted("count", "solves"), formatted("s", "runtime_s")
        ),
    )


def _explained(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield kinds of baselines with what they are the best of, and each baseline with what it is.

    Those of a single device share a sentence.
    """
    for group, words in BASELINE_GROUPS.items():
        members = [name for name in names if any(word in name for word in words) and name != group]
        if members:
            yield f"{group} (as in the table)", f"The best of: {'; '.join(members)}."
    on_device = [name for name in names if name not in _BASELINES]
    if on_device:
        yield ", ".join(on_device), "All units run on that device in that precision, as far as they have it."
    yield from ((name, _BASELINES[name]) for name in names if name in _BASELINES)


def _slider(comparison: Comparison) -> str:
    if not comparison.pieces or not comparison.pieces[0].budgets:
        return "Try a bandwidth:"
    budgets = ", ".join(f"{key} {value:g}" for key, value in comparison.pieces[0].budgets.items())
    return f"Try a bandwidth, with {budgets}:"


def _lead(comparison: Comparison) -> str:
    if comparison.pieces:
        sets = {repr(piece.budgets) for piece in comparison.pieces}
        changes = len(comparison.pieces) - len(sets)
        text = (
            "changes nowhere"
            if not changes
            else "changes once"
            if changes == 1
            else f"changes {changes} times"
        )
        low = min(piece.low for piece in comparison.pieces)
        high = max(piece.high for piece in comparison.pieces)
        links = ", ".join(comparison.links)
        between = f"Between {three_digits(low)} and {three_digits(high)} {comparison.unit} on {links}"
        over_all = ", over all budgets" if len(sets) > 1 else ""
        return f"{between} the best plan {text}{over_all}; there are no other changes."
    if comparison.fleet is not None:
        return f"{len(comparison.plans)} plans to hold for the classes of {comparison.fleet.device}."
    if not comparison.plans:
        reasons = "; ".join(dict.fromkeys(row.reason for row in comparison.rows if row.reason))
        return f"No plan at any of {counted(len(comparison.rows), 'point')}: {reasons}."
    return f"{len(comparison.rows)} points, {len(comparison.plans)} different plans."


def _range_rows(comparison: Comparison, formatted: FormattedValues) -> Iterator[Cells]:
    for n, piece in enumerate(comparison.pieces):
        plan = comparison.plans[piece.plan]
        budgets = "".join(f"{key} {value:g}, " for key, value in piece.budgets.items())
        yield (
            Markup("{}{} to {}").format(
                budgets,
                formatted("digits3", "pieces", n, "low"),
                formatted("digits3", "pieces", n, "high"),
            ),
            formatted("count", "pieces", n, "plan"),
            formatted("text", "plans", piece.plan, "summary"),
            f"{time_text(plan.latency_s(piece.low))} to {time_text(plan.latency_s(piece.high))}",
        )


def comparison_figures(comparison: Comparison, devices: Sequence[str]) -> Iterator[tuple[str, str, Figure]]:
    """Yield (name, what it shows, figure) of what a comparison has to show."""
    planned = [row for row in comparison.rows if row.plan is not None]
    if comparison.links and planned and comparison.objective == "latency":
        caption = (
            "Latency over bandwidth; dots are the bandwidths at which the best plan changes. The joint plan "
            "is exact at each bandwidth; baselines are planned at those of their marks"
        )
        yield "latency", caption, draw_latency(comparison)
    if planned:
        caption = (
            "Where the time of each best plan goes; a device without units only changes the format of what "
            "crosses a link"
        )
        yield "shares", caption, draw_shares(comparison, devices)
    if comparison.front is not None and comparison.front.points:
        axes = ", ".join(comparison.front.axes)
        caption = f"Pareto front: no plan is better in all of {axes}; numbers are plans"
        yield "front", caption, draw_front(comparison.front)


def _has_measurements(comparison: Comparison) -> bool:
    return any(row.measured_s is not None for row in comparison.rows)


def _where_cells(
    comparison: Comparison, n: int, budgets: Sequence[str], formatted: FormattedValues
) -> Iterator[Any]:
    if comparison.unit:
        yield formatted("significant4", "rows", n, "bandwidth")
    for key in budgets:
        yield formatted("significant4", "rows", n, "budgets", key)


def _point_cells(
    comparison: Comparison, n: int, row: Row, budgets: Sequence[str], formatted: FormattedValues
) -> Iterator[Any]:
    yield from _where_cells(comparison, n, budgets, formatted)
    if row.objective is None:
        yield row.status
        yield row.reason
    else:
        yield formatted("count", "rows", n, "plan")
        yield formatted(_style(comparison), "rows", n, "objective")
    yield formatted("percent", "rows", n, "joint_gain")
    if _has_measurements(comparison):
        yield formatted("ms", "rows", n, "measured_s")
        yield formatted("ms", "rows", n, "baseline_measured_s")


def _group_cells(comparison: Comparison, n: int, formatted: FormattedValues) -> Iterator[Any]:
    """Yield the best baseline of each kind, and which one is the best of all."""
    row = comparison.rows[n]
    if not row.baselines:
        yield from ("", "", "", "")
        return
    for words in BASELINE_GROUPS.values():
        name = best_name(row, words)
        yield formatted(_style(comparison), "rows", n, "baselines", name) if name else "none"
    yield row.baseline or "none"


def _baseline_cells(
    comparison: Comparison, n: int, names: Sequence[str], formatted: FormattedValues
) -> Iterator[Any]:
    baselines = comparison.rows[n].baselines
    for name in names:
        if name not in baselines:
            yield ""
        elif baselines[name] is None:
            yield "none"
        else:
            yield formatted(_style(comparison), "rows", n, "baselines", name)


def _style(comparison: Comparison) -> str:
    return _STYLE_OF_METRIC.get(comparison.objective, "significant4")


def _front_rows(comparison: Comparison, formatted: FormattedValues) -> Iterator[Cells]:
    for n, point in enumerate(comparison.front.points if comparison.front else ()):
        values = [
            formatted(_STYLE_OF_METRIC.get(axis, "significant4"), "front", "points", n, "values", axis)
            for axis in point.values
        ]
        yield formatted("count", "front", "points", n, "plan"), *values, comparison.plans[point.plan].summary


def _front_head(front: ParetoFront | None) -> list[tuple[str, str]]:
    axes = front.axes if front else ()
    return [("plan", "n"), *((AXES[axis][0], "n") for axis in axes), ("what it is", "long")]


def _front_caption(front: ParetoFront | None) -> str:
    complete = front is not None and front.complete
    what = "The whole Pareto front: there are no other points" if complete else "Points of the Pareto front"
    return f"{what}; at the scenario's own bandwidths, without budgets on these quantities"


def _plan_set_lead(comparison: Comparison, formatted: FormattedValues) -> Markup:
    if comparison.plan_set is None:
        return Markup("")
    return Markup("For {}: mean latency {}, {} more than with every plan at hand.").format(
        comparison.plan_set.bandwidths,
        formatted("ms", "plan_set", "mean_latency_s"),
        formatted("percent", "plan_set", "regret"),
    )


def _plan_set_rows(comparison: Comparison, formatted: FormattedValues) -> Iterator[Cells]:
    if comparison.plan_set is None:
        return
    for n in range(len(comparison.plan_set.plans)):
        path = ("plan_set", "plans", n)
        yield (
            _range_text(comparison.plan_set.plans[n], formatted, n),
            formatted("count", *path, "plan"),
            _or_never(formatted("digits3", *path, "leave_below")),
            _or_never(formatted("digits3", *path, "leave_above")),
            formatted("percent", *path, "share"),
        )


def _fleet_rows(comparison: Comparison, formatted: FormattedValues) -> Iterator[Cells]:
    style = _STYLE_OF_METRIC.get(comparison.objective, "significant4")
    for n, row in enumerate(comparison.fleet.rows if comparison.fleet else ()):
        path = ("fleet", "rows", n)
        yield (
            row.device_class,
            formatted("significant4", *path, "bandwidth"),
            formatted("percent", *path, "share"),
            formatted("count", *path, "plan"),
            formatted(style, *path, "objective"),
            formatted(style, *path, "best"),
            row.reason,
        )


def _range_text(plan: SelectedPlan, formatted: FormattedValues, n: int) -> Markup:
    low, high = (formatted("digits3", "plan_set", "plans", n, end) for end in ("low", "high"))
    if plan.low is None:
        return Markup("all") if plan.high is None else Markup("below {}").format(high)
    return Markup("above {}").format(low) if plan.high is None else Markup("{} to {}").format(low, high)


def _or_never(value: Markup) -> Markup:
    return Markup("never") if value == "-" else value


def _measurement_rows(comparison: Comparison, formatted: FormattedValues) -> Iterator[Cells]:
    for plan in comparison.plans:
        if plan.trial is None or plan.trial.measured is None:
            continue
        path = ("plans", plan.number)
        measured_path = (*path, "trial", "measured")
        equal = "bit-equal" if plan.trial.measured.chain.basic_bit_equal else "NOT bit-equal"
        yield (
            formatted("count", *path, "number"),
            formatted("ms", *path, "trial", "expected_compute_s"),
            formatted("ms", *path, "trial", "compute_s"),
            formatted("noise", *path, "noise_relative_rms"),
            formatted.unbounded("noise", *measured_path, "noise_relative_rms"),
            *(formatted(_STYLE_OF_ANSWER[name], *measured_path, name) for name in judged_by(comparison)),
            equal,
        )


def _graphs_that_fit(
    comparison: Comparison, graph: OperatorGraph, scenario: Scenario, devices: Sequence[str]
) -> tuple[list[tuple[int, str, GraphFigure]], str]:
    """Return (number, heading, figure) of as many plans as a page holds, and a word on the others."""
    graphs: list[tuple[int, str, GraphFigure]] = []
    room_bytes = _MOST_BYTES
    for plan in comparison.plans:
        drawing = graph_drawing(graph, placed_of(plan, scenario), devices)
        figure = graph_figure(drawing, f"p{plan.number}", plan.summary, devices)
        room_bytes -= figure.size_bytes
        if room_bytes < 0:
            left_out = len(comparison.plans) - len(graphs)
            return graphs, f"The graphs of {left_out} more plans do not fit into this page."
        graphs.append((plan.number, f"Plan {plan.number}: {plan.summary}", figure))
    return graphs, ""


def placed_of(plan: PlanSummary, scenario: Scenario) -> PlacedGraph:
    """Return what a plan of a comparison makes of the model."""
    return PlacedGraph(plan.devices, plan.precisions, plan.unit_s, plan.cuts, scenario.source, scenario.sink)
