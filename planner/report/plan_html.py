"""The report of one plan: a page that needs nothing but itself."""

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import PurePath

from markupsafe import Markup
from matplotlib.figure import Figure

from planner.formatting import short_name
from planner.plan.records import Measured, Plan
from planner.report.figure_style import inline_svg
from planner.report.figures import draw_request
from planner.report.graph_figure import PlacedGraph, draw_graph
from planner.report.html_page import LEGEND, Cells, output_bytes, render, units_data
from planner.report.html_values import FormattedValues, joined
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from planner.verification.sample_size import too_few_text
from profiling.graph.unit_graph import ModelGraph

# Budgets by name, of a device or a link: in words, unit, how the plan's value is rounded, and where it is.
_BUDGETS_OF = {
    "memory_mib": ("memory of", "MiB", "size", "memory_bytes"),
    "energy_j": ("energy of", "J", "mJ", "energy_device_j"),
    "traffic_kib": ("traffic of", "KiB", "size", "traffic_bytes"),
}
_BUDGETS = {
    "noise_relative_rms": ("noise", ("measured", "noise_relative_rms")),
    "max_abs_error": ("plain", ("measured", "max_abs_error")),
    "latency_ms": ("ms", ("predicted", "latency_s")),
    "makespan_ms": ("ms", ("predicted", "makespan_s")),
    "throughput_per_s": ("plain", ("predicted", "throughput_per_s")),
    "total_energy_j": ("mJ", ("predicted", "energy_j")),
    "money_per_request": ("plain", ("predicted", "money")),
    "top1_agreement": ("percent", ("measured", "top1_agreement")),
}
_DROPS = {"accuracy_drop": ("percent", "accuracy"), "metric_drop": ("plain", "metric")}


def plan_page(plan: Plan, graph: ModelGraph, figures: Mapping[str, Figure]) -> str:
    """Return the report of a verified plan as HTML.

    Parameters
    ----------
    figures
        From `plan_figures`.
    """
    told = FormattedValues(plan)
    scenario = parse_scenario(bytes(plan.scenario))
    picture = inline_svg(figures["graph"], "plan", _in_words(plan))
    name = PurePath(scenario.model).name
    data = {
        "units": units_data(graph),
        "graphs": {
            "plan": {
                "devices": [a.device for a in plan.assignments],
                "precisions": [a.precision.value for a in plan.assignments],
                "seconds": [a.compute_s for a in plan.assignments],
                "noise": [a.noise_power for a in plan.assignments],
                "weights": [a.weight_bytes for a in plan.assignments],
            }
        },
    }
    return render(
        "plan",
        data,
        title=f"{name}: the {plan.status} plan",
        lead=Markup(
            "One request takes {}, {} of it on links; the plan is proved to within {} of the best."
        ).format(
            told("ms", "predicted", "latency_s"),
            told("ms", "predicted", "transfer_s"),
            told("percent", "objective", "gap"),
        ),
        too_few=[too_few_text(one) for one in plan.too_few_samples],
        costs=list(_costs(plan, told)),
        picture=Markup(picture),
        legend=LEGEND,
        stages=list(_stages(plan, told)),
        cuts=list(_cuts(plan, told)),
        request=Markup(inline_svg(figures["request"], "request", "One request as a bar")),
        budgets=list(_budgets(scenario, plan, told)),
        proof=list(_proof(plan, told)),
        loop=[
            (
                n + 1,
                told("ratio", "loop", n, "predicted_chain_ratio_to_fp32"),
                told("ratio", "loop", n, "measured_chain_ratio_to_fp32"),
            )
            for n in range(len(plan.loop))
        ],
        units=[
            (
                n,
                a.unit,
                " ".join(unit.op_types),
                a.device,
                a.precision.value,
                told("ms", "assignments", n, "compute_s"),
                told("power", "assignments", n, "noise_power"),
                told("size", "assignments", n, "weight_bytes"),
                output_bytes(graph, n),
            )
            for n, (a, unit) in enumerate(zip(plan.assignments, graph.units, strict=True))
        ],
        footer=f"splitquant {version('splitquant')}; model {plan.model_sha256[:12]}; "
        + ", ".join(f"{device} quantizes as {label}" for device, label in plan.quantization.items()),
    )


def plan_figures(plan: Plan, graph: ModelGraph) -> dict[str, Figure]:
    """Return name -> figure of what a plan has to show."""
    scenario = parse_scenario(bytes(plan.scenario))
    devices = [device.name for device in scenario.devices]
    placed = PlacedGraph(
        [a.device for a in plan.assignments],
        [a.precision for a in plan.assignments],
        plan.cuts,
        scenario.source,
        scenario.sink,
    )
    return {"graph": draw_graph(graph, placed, devices), "request": draw_request(plan, devices)}


def _in_words(plan: Plan) -> str:
    counts = Counter((a.device, a.precision.value) for a in plan.assignments)
    return "The model's graph: " + ", ".join(
        f"{count} units on {device} in {precision}" for (device, precision), count in counts.items()
    )


def _costs(plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    yield "latency of one request", told("ms", "predicted", "latency_s"), ""
    yield "of it on links", told("ms", "predicted", "transfer_s"), ""
    for what, key in (
        ("whole model's time / fp32", "latency_ratio_to_fp32"),
        ("all stages' time / fp32", "chain_ratio_to_fp32"),
    ):
        yield what, told("ratio", "predicted", key), told("ratio", "measured", key)
    yield (
        "noise, relative rms",
        told("noise", "predicted", "noise_relative_rms"),
        told("noise", "measured", "noise_relative_rms"),
    )
    yield "largest absolute error", "", told("plain", "measured", "max_abs_error")
    if plan.measured is not None:
        yield from _answers(plan.measured, told)
    if plan.predicted is not None and plan.predicted.energy_j is not None:
        yield "energy of one request", told("mJ", "predicted", "energy_j"), ""
    if plan.predicted is not None and plan.predicted.money:
        yield "money for one request", told("plain", "predicted", "money"), ""
    for device in plan.predicted.weight_bytes if plan.predicted is not None else ():
        yield f"weights of {device}", told("size", "predicted", "weight_bytes", device), ""
        if plan.predicted is not None and device in plan.predicted.compressed_bytes:
            packed = told("size", "predicted", "compressed_bytes", device)
            yield f"weights of {device}, compressed", packed, ""
    yield "evaluation samples", "", told("count", "measured", "samples")


def _answers(measured: Measured, told: FormattedValues) -> Iterator[Cells]:
    """Yield what became of the model's answers, as far as they can be judged."""
    if measured.top1_agreement is not None:
        yield "same top-1 answer as fp32", "", told("percent", "measured", "top1_agreement")
    for key in ("accuracy", "metric"):
        kind = "percent" if key == "accuracy" else "plain"
        if getattr(measured, key) is not None:
            yield key, "", told(kind, "measured", key)
            yield f"{key} of the fp32 model", "", told(kind, "measured", f"{key}_fp32")


def _stages(plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    for device in dict.fromkeys(a.device for a in plan.assignments):
        own = [a for a in plan.assignments if a.device == device]
        counts = Counter(a.precision.value for a in own)
        mix = ", ".join(f"{count} {precision}" for precision, count in counts.items())
        memory = told("size", "predicted", "memory_bytes", device)
        yield device, len(own), mix, told("ms", "predicted", "compute_s", device), memory


def _cuts(plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    for n, cut in enumerate(plan.cuts):
        size, seconds = told("size", "cuts", n, "bytes"), told("ms", "cuts", n, "seconds")
        yield short_name(cut.tensor), " > ".join(cut.path), cut.wire.value, size, seconds


def _budgets(scenario: Scenario, plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    for key, limit in scenario.budget.model_dump(exclude_defaults=True).items():
        if key in _BUDGETS_OF:
            yield from _budgets_of(key, limit, plan, told)
        elif key in _DROPS:
            kind, name = _DROPS[key]
            both = told(kind, "measured", f"{name}_fp32"), told(kind, "measured", name)
            yield key, f"{limit:g}", Markup("{} to {}").format(*both)
        elif key in _BUDGETS:
            kind, path = _BUDGETS[key]
            yield key, f"{limit:g}", told(kind, *path)
        else:
            yield key, f"{limit}", ""


def _budgets_of(key: str, limits: Mapping[str, float], plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    """Yield a budget of each device or link that has one; what carries nothing is in no record."""
    words, unit, kind, where = _BUDGETS_OF[key]
    for name, limit in limits.items():
        known = plan.predicted is not None and name in getattr(plan.predicted, where)
        yield f"{words} {name}", f"{limit:g} {unit}", told(kind, "predicted", where, name) if known else "0"


def _proof(plan: Plan, told: FormattedValues) -> Iterator[Cells]:
    yield "the program says", told("text", "status")
    yield f"objective: {plan.objective.name}", told("plain", "objective", "value")
    yield "no plan can be below", told("plain", "objective", "bound")
    yield "solver", joined([told("text", "solver", "name"), told("s", "solver", "runtime_s")])
    if plan.converted_from is not None:
        yield "converted from", told("text", "converted_from", "source")
        yield (
            "answers differ from its own by at most",
            told("plain", "converted_from", "max_abs_difference"),
        )
        yield (
            f"on so many {plan.converted_from.data}",
            told("count", "converted_from", "samples"),
        )
    if plan.measured is not None:
        chain = plan.measured.chain
        equal = "bit-equal" if chain.basic_bit_equal else "NOT bit-equal"
        yield "stages in a chain against the whole model, basic optimization", equal
        yield "integer kernels in the stages", told("count", "measured", "chain", "integer_kernels")
        yield "in the whole model", told("count", "measured", "chain", "integer_kernels_whole")
        yield "transposes added by cutting", told("count", "measured", "chain", "added_transposes")
