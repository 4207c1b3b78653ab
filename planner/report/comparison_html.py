"""The report of a comparison: a page that needs nothing but itself."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from planner.comparison.records import Comparison, ParetoFront, PlanSummary, Row
from planner.formatting import AXES
from planner.report.figure_style import inline_svg
from planner.report.figures import draw_front, draw_latency, draw_shares
from planner.report.graph_figure import PlacedGraph, draw_graph
from planner.report.html_page import LEGEND, Cells, render, units_data
from planner.report.html_values import FormattedValues
from planner.scenario.schema import Scenario
from profiling.graph.unit_graph import ModelGraph

_KINDS = {
    "latency": "ms",
    "makespan": "ms",
    "throughput": "ms",
    "period": "ms",
    "noise": "noise",
    "energy": "mJ",
    "memory": "size",
    "traffic": "size",
}
_MOST_BYTES = 900_000  # of graphs in a page


def comparison_page(
    comparison: Comparison, graph: ModelGraph, scenario: Scenario, figures: Sequence[tuple[str, str, Figure]]
) -> str:
    """Return the report of a comparison as HTML.

    Parameters
    ----------
    figures
        From `comparison_figures`.
    """
    told = FormattedValues(comparison)
    devices = [device.name for device in scenario.devices]
    name = PurePath(scenario.model).name
    graphs, left_out = _graphs(comparison, graph, scenario, devices)
    data = {
        "units": units_data(graph),
        "unit": comparison.unit,
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
        title=f"{name}: plans compared",
        lead=_lead(comparison),
        unit=comparison.unit,
        slider=_slider(comparison),
        pieces=list(_pieces(comparison, told)),
        figures=[(caption, Markup(inline_svg(figure, name, caption))) for name, caption, figure in figures],
        row_head=[
            *([(comparison.unit, "n")] if comparison.unit else []),
            *((key, "n") for key in budgets),
            ("plan", "n"),
            ("joint", "n"),
            ("gain", "n"),
            *([("joint, measured", "n"), ("best simpler, measured", "n")] if _tried(comparison) else []),
            *((name, "n") for name in names),
        ],
        rows=[
            list(_row(comparison, n, row, (budgets, names), told)) for n, row in enumerate(comparison.rows)
        ],
        front=list(_front(comparison, told)),
        front_head=_front_head(comparison.front),
        front_caption=_front_caption(comparison.front),
        held=list(_held(comparison, told)),
        held_lead=_held_lead(comparison, told),
        trials=list(_trials(comparison, told)),
        graphs=[(f"p{n}", heading, Markup(svg)) for n, heading, svg in graphs],
        left_out=left_out,
        legend=LEGEND,
        footer=Markup("splitquant {}; {} programs solved in {}").format(
            version("splitquant"), told("count", "solves"), told("s", "runtime_s")
        ),
    )


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
        return (
            f"Between {low:.4g} and {high:.4g} {comparison.unit} on {links} the best plan {text}"
            f"{', over all budgets' if len(sets) > 1 else ''}; there are no other changes."
        )
    return f"{len(comparison.rows)} points, {len(comparison.plans)} different plans."


def _pieces(comparison: Comparison, told: FormattedValues) -> Iterator[Cells]:
    for n, piece in enumerate(comparison.pieces):
        plan = comparison.plans[piece.plan]
        budgets = "".join(f"{key} {value:g}, " for key, value in piece.budgets.items())
        yield (
            Markup("{}{} to {}").format(
                budgets, told("plain", "pieces", n, "low"), told("plain", "pieces", n, "high")
            ),
            told("count", "pieces", n, "plan"),
            told("text", "plans", piece.plan, "summary"),
            f"{plan.latency_s(piece.low) * 1e3:.2f} to {plan.latency_s(piece.high) * 1e3:.2f} ms",
        )


def comparison_figures(comparison: Comparison, devices: Sequence[str]) -> Iterator[tuple[str, str, Figure]]:
    """Yield (name, what it shows, figure) of what a comparison has to show."""
    planned = [row for row in comparison.rows if row.plan is not None]
    if comparison.links and planned and comparison.objective == "latency":
        caption = "Latency over bandwidth; dots are the bandwidths at which the best plan changes"
        yield "latency", caption, draw_latency(comparison)
    if planned:
        yield "shares", "Where the time of each best plan goes", draw_shares(comparison, devices)
    if comparison.front is not None and comparison.front.points:
        axes = ", ".join(comparison.front.axes)
        caption = f"Pareto front: no plan is better in all of {axes}; numbers are plans"
        yield "front", caption, draw_front(comparison.front)


def _tried(comparison: Comparison) -> bool:
    return any(row.measured_s is not None for row in comparison.rows)


def _row(
    comparison: Comparison, n: int, row: Row, keys: tuple[Sequence[str], Sequence[str]], told: FormattedValues
) -> Iterator[Any]:
    budgets, names = keys
    kind = _KINDS.get(comparison.objective, "plain")
    if comparison.unit:
        yield told("plain", "rows", n, "bandwidth")
    for key in budgets:
        yield told("plain", "rows", n, "budgets", key)
    if row.objective is None:
        yield row.status
        yield row.reason
    else:
        yield told("count", "rows", n, "plan")
        yield told(kind, "rows", n, "objective")
    yield told("percent", "rows", n, "joint_gain")
    if _tried(comparison):
        yield told("ms", "rows", n, "measured_s")
        yield told("ms", "rows", n, "baseline_measured_s")
    for name in names:
        yield told(kind, "rows", n, "baselines", name) if name in row.baselines else "-"


def _front(comparison: Comparison, told: FormattedValues) -> Iterator[Cells]:
    for n, point in enumerate(comparison.front.points if comparison.front else ()):
        values = [
            told(_KINDS.get(axis, "plain"), "front", "points", n, "values", axis) for axis in point.values
        ]
        yield told("count", "front", "points", n, "plan"), *values, comparison.plans[point.plan].summary


def _front_head(front: ParetoFront | None) -> list[tuple[str, str]]:
    axes = front.axes if front else ()
    return [("plan", "n"), *((AXES[axis][0], "n") for axis in axes), ("what it is", "long")]


def _front_caption(front: ParetoFront | None) -> str:
    complete = front is not None and front.complete
    what = "The whole Pareto front: there are no other points" if complete else "Points of the Pareto front"
    return f"{what}; at the scenario's own bandwidths, without budgets on these quantities"


def _held_lead(comparison: Comparison, told: FormattedValues) -> Markup:
    if comparison.plan_set is None:
        return Markup("")
    return Markup("For {}: mean latency {}, {} more than with every plan at hand.").format(
        comparison.plan_set.bandwidths,
        told("ms", "plan_set", "mean_latency_s"),
        told("percent", "plan_set", "regret"),
    )


def _held(comparison: Comparison, told: FormattedValues) -> Iterator[Cells]:
    for n in range(len(comparison.plan_set.plans if comparison.plan_set else ())):
        at = ("plan_set", "plans", n)
        yield (
            _range(told, n),
            told("count", *at, "plan"),
            told("plain", *at, "leave_below"),
            told("plain", *at, "leave_above"),
            told("percent", *at, "share"),
        )


def _range(told: FormattedValues, n: int) -> Markup:
    low, high = (told("plain", "plan_set", "plans", n, end) for end in ("low", "high"))
    return Markup("{} to {}").format(low, high)


def _trials(comparison: Comparison, told: FormattedValues) -> Iterator[Cells]:
    for plan in comparison.plans:
        if plan.trial is None or plan.trial.measured is None:
            continue
        at = ("plans", plan.number)
        seen = (*at, "trial", "measured")
        equal = "bit-equal" if plan.trial.measured.chain.basic_bit_equal else "NOT bit-equal"
        yield (
            told("count", *at, "number"),
            told("ms", *at, "trial", "expected_compute_s"),
            told("ms", *at, "trial", "compute_s"),
            told("noise", *at, "noise_relative_rms"),
            told("noise", *seen, "noise_relative_rms"),
            told("percent", *seen, "accuracy"),
            equal,
        )


def _graphs(
    comparison: Comparison, graph: ModelGraph, scenario: Scenario, devices: Sequence[str]
) -> tuple[list[tuple[int, str, str]], str]:
    """Return (number, heading, picture) of as many plans as a page holds, and a word on the others."""
    found: list[tuple[int, str, str]] = []
    room = _MOST_BYTES
    for plan in comparison.plans:
        svg = inline_svg(
            draw_graph(graph, placed_of(plan, scenario), devices), f"p{plan.number}", plan.summary
        )
        room -= len(svg)
        if room < 0:
            rest = len(comparison.plans) - len(found)
            return found, f"The graphs of {rest} more plans do not fit into this page."
        found.append((plan.number, f"Plan {plan.number}: {plan.summary}", svg))
    return found, ""


def placed_of(plan: PlanSummary, scenario: Scenario) -> PlacedGraph:
    """Return what a plan of a comparison makes of the model."""
    return PlacedGraph(plan.devices, plan.precisions, plan.cuts, scenario.source, scenario.sink)
