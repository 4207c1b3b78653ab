"""The report of one plan: a page that needs nothing but itself."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath

from markupsafe import Markup
from matplotlib.figure import Figure

from planner.devices.calibration_choices import calibration_lines
from planner.devices.cost_origins import cost_origins_text, costs_name
from planner.devices.tried_precisions import tried_precisions_text
from planner.formatting import short_name, size_text
from planner.plan.plan_record import CODED, Measured, Plan, Predicted
from planner.report.budget_rows import HEAD, ROUND_HEAD, budget_rows, round_rows
from planner.report.device_diagram import device_diagram, format_change_text
from planner.report.feasible_text import why_feasible
from planner.report.figure_style import LINKS, colours_of
from planner.report.figures import draw_request
from planner.report.graph_drawing import Drawing, PlacedGraph, graph_drawing
from planner.report.graph_figure import draw_graph
from planner.report.graph_svg import graph_figure
from planner.report.html_page import LEGEND, Cells, output_bytes, render, units_data
from planner.report.html_values import FormattedValues, join
from planner.report.single_device_text import against_single_device, why_unsplit_text
from planner.report.tables.shared_links import shared_link_texts
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from planner.verification.binomial_confidence import share_bounds
from planner.verification.budget_margins import larger_error_text
from planner.verification.cost_doubt import cost_doubt_text, difference_text
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text
from planner.verification.sample_size import few_sample_texts, samples_note_text
from profiling.graph.operator_graph import OperatorGraph
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

_STYLE_OF_OBJECTIVE = {"latency": "ms", "makespan": "ms", "period": "ms", "energy": "mJ", "memory": "size"}
_FILES = ("plan.json", "manifest.json", "stages/", "profile.json", "trace.json")
_FILES_OF = {
    ONNX_RUNTIME: ("model.onnx", "model_explorer/"),
    LITERT: ("model.tflite",),
    TENSORFLOW: ("model/",),
}
_FORMS = {"onnx": "ONNX model", "tflite": ".tflite file"}
_HEAVIEST = 10  # units that are listed by their time
_NOTHING = 5e-5  # a gap that would be shown as 0.00 %
_JUDGED = {"accuracy": "percent", "metric": "significant4"}  # of answers, and how they are rounded


@dataclass(frozen=True, slots=True)
class RequestPart:
    """What a device computes of a request, or what is on links: its time, and its percentage of all."""

    name: str
    time: Markup
    percent: str
    colour: str


def plan_page(plan: Plan, graph: OperatorGraph) -> str:
    """Return the report of a verified plan as HTML."""
    formatted = FormattedValues(plan)
    scenario = parse_scenario(bytes(plan.scenario))
    name = PurePath(scenario.model).name
    # What the script shows of a unit that is pointed at.
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
        title=_title(plan, name, formatted),
        lead=Markup("One request takes {}, {} of it on links; {}. {}").format(
            formatted("ms", "predicted", "latency_s"),
            formatted("ms", "predicted", "transfer_s"),
            _proof_text(plan, costs_name(scenario), formatted),
            _answers_text(plan, scenario, formatted),
        ),
        diagram=device_diagram(plan, scenario, formatted),
        doubts=[*_part_lines(plan), *_doubt_lines(plan, scenario), *few_sample_texts(plan)],
        costs=list(_cost_rows(plan, scenario, formatted)),
        graph_figure=graph_figure(
            _drawing(plan, graph, scenario), "plan", _in_words(plan), _devices(scenario)
        ),
        legend=LEGEND,
        single_device=list(_single_device_rows(plan, formatted)),
        stages=list(_stage_rows(plan, scenario, formatted)),
        cuts=list(_cut_rows(plan, formatted)),
        shared_links=list(shared_link_texts(plan.cuts)),
        unsplit=why_unsplit_text(plan, scenario, graph),
        request=list(_request_parts(plan, scenario, formatted)),
        budget_head=HEAD,
        budgets=list(budget_rows(scenario, plan, formatted)),
        proof=list(_proof_rows(plan, formatted)),
        loop=[
            (
                f"{n + 1}, delivered" if plan.loop[n].delivered else n + 1,
                formatted("ratio", "loop", n, "predicted_chain_ratio_to_fp32"),
                formatted("ratio", "loop", n, "measured_chain_ratio_to_fp32"),
            )
            for n in range(len(plan.loop))
        ],
        round_head=ROUND_HEAD,
        rounds=list(round_rows(scenario, plan)),
        percentiles=list(_percentile_rows(plan, formatted)),
        files=(*_FILES, *_FILES_OF[scenario.runtime], *(("whole/",) if len(scenario.runtimes) > 1 else ())),
        units=[
            (
                n,
                a.unit,
                " ".join(unit.op_types),
                a.device,
                a.precision.value,
                formatted("ms", "assignments", n, "compute_s"),
                formatted("scientific", "assignments", n, "noise_power"),
                formatted("size", "assignments", n, "weight_bytes"),
                size_text(output_bytes(graph, n)),
            )
            for n, (a, unit) in enumerate(zip(plan.assignments, graph.units, strict=True))
        ],
        heaviest=list(_heaviest_rows(plan, graph, formatted)),
        footer=f"splitquant {version('splitquant')}; model {plan.model_sha256[:12]}; "
        + ", ".join(f"{device} quantizes as {label}" for device, label in plan.quantization.items()),
    )


def _title(plan: Plan, name: str, formatted: FormattedValues) -> str:
    """Return the result in one line: what a request takes, and how that compares with one device."""
    latency = formatted("ms", "predicted", "latency_s").striptags()
    if plan.cost_doubt is not None:
        longer = difference_text(plan.cost_doubt)
        return f"{name}: {latency} predicted, in doubt: the built stages take {longer}"
    compared = against_single_device(plan)
    return f"{name}: {latency}{of_costs_text(plan.noisy_costs)}" + (f", {compared}" if compared else "")


def _single_device_rows(plan: Plan, formatted: FormattedValues) -> Iterator[Cells]:
    """Yield what everything on one device would cost."""
    for n, row in enumerate(plan.single_device):
        latency = formatted("ms", "single_device", n, "latency_s")
        yield row.device, row.precision_text, row.broken_text, latency


def _proof_text(plan: Plan, costs: str, formatted: FormattedValues) -> Markup:
    """Return how good the plan is, for the costs that were measured or given."""
    name = plan.objective.name
    if plan.objective.gap is None:
        return Markup("how much better another plan could be is not known")
    if plan.objective.gap < _NOTHING:
        proof = Markup("with {}, no plan has a better {}: that is proved").format(costs, name)
    else:
        proof = Markup("with {}, no plan has a {} better by more than {}: that is proved").format(
            costs, name, formatted("percent", "objective", "gap")
        )
    buts = ["in doubt"] if plan.cost_doubt else []
    buts += ["noisy"] if plan.noisy_costs else []
    return proof + (f", but these costs are {' and '.join(buts)}" if buts else "")


def _doubt_lines(plan: Plan, scenario: Scenario) -> Iterator[str]:
    """Yield why seconds or errors may not be what they seem."""
    doubt = cost_doubt_text(plan.cost_doubt) if plan.cost_doubt is not None else ""
    noisy = noisy_costs_text(plan.noisy_costs)
    notes = samples_note_text(plan.measured), larger_error_text(plan)
    for text in (cost_origins_text(scenario), doubt, noisy, *notes):
        if text:
            yield text[0].upper() + text[1:]


def _part_lines(plan: Plan) -> Iterator[str]:
    """Yield what a plan is a part of, if it is one of several models'."""
    if plan.part_of is not None:
        others = [name for name in plan.part_of.models if name != plan.part_of.model]
        yield (
            f"Model {plan.part_of.model} was planned together with {', '.join(others) or 'no other'}: "
            "objective, bound and gap are of all of them, memory and load here are this model's alone"
        )


def plan_figures(plan: Plan, graph: OperatorGraph) -> dict[str, Figure]:
    """Return name -> figure of what a plan has to show."""
    scenario = parse_scenario(bytes(plan.scenario))
    return {
        "graph": draw_graph(_drawing(plan, graph, scenario), _devices(scenario)),
        "request": draw_request(plan, _devices(scenario)),
    }


def _drawing(plan: Plan, graph: OperatorGraph, scenario: Scenario) -> Drawing:
    placed = PlacedGraph(
        [a.device for a in plan.assignments],
        [a.precision for a in plan.assignments],
        [a.compute_s for a in plan.assignments],
        plan.cuts,
        scenario.source,
        scenario.sink,
    )
    return graph_drawing(graph, placed, _devices(scenario))


def _devices(scenario: Scenario) -> list[str]:
    return [device.name for device in scenario.devices]


def _in_words(plan: Plan) -> str:
    counts = Counter((a.device, a.precision.value) for a in plan.assignments)
    return "The model's graph: " + ", ".join(
        f"{count} units on {device} in {precision}" for (device, precision), count in counts.items()
    )


def _cost_rows(plan: Plan, scenario: Scenario, formatted: FormattedValues) -> Iterator[Cells]:
    yield "latency of one request", formatted("ms", "predicted", "latency_s"), ""
    if plan.predicted is not None and plan.predicted.latency_standard_error_s is not None:
        error = formatted("ms", "predicted", "latency_standard_error_s")
        yield "its standard error, as runs spread", error, ""
    yield "of it on links", formatted("ms", "predicted", "transfer_s"), ""
    for what, key in (
        ("whole model's time / fp32", "latency_ratio_to_fp32"),
        ("all stages' time / fp32", "chain_ratio_to_fp32"),
    ):
        yield what, formatted("ratio", "predicted", key), formatted("ratio", "measured", key)
    yield (
        "relative RMS error",
        _predicted_noise(plan, formatted),
        formatted.unbounded("noise", "measured", "noise_relative_rms"),
    )
    for output, _ in () if plan.measured is None else plan.measured.errors_by_output:
        yield (
            f"relative RMS error of {output}",
            "",
            formatted.unbounded("noise", "measured", "output_relative_rms", output),
        )
    for output in () if plan.measured is None else plan.measured.equal_values:
        yield f"equal values of {output}", "", formatted("percent", "measured", "equal_values", output)
    yield "largest absolute error", "", formatted.unbounded("significant4", "measured", "max_abs_error")
    if plan.measured is not None:
        yield from _answer_rows(plan.measured, scenario, formatted)
    if plan.predicted is not None and plan.predicted.energy_j is not None:
        yield "energy of one request", formatted("mJ", "predicted", "energy_j"), ""
    if plan.predicted is not None and plan.predicted.money:
        yield "money for one request", formatted("significant4", "predicted", "money"), ""
    yield "evaluation samples", "", formatted("count", "measured", "samples")


def _predicted_noise(plan: Plan, formatted: FormattedValues) -> str:
    """Return the predicted error of the answers; of indices, which are right or wrong, none is predicted."""
    if plan.measured is not None and plan.measured.indices:
        return ""
    return formatted("noise", "predicted", "noise_relative_rms")


def _answer_rows(measured: Measured, scenario: Scenario, formatted: FormattedValues) -> Iterator[Cells]:
    """Yield what became of the model's answers, as far as they can be judged."""
    if measured.top1_agreement is not None:
        yield "same top-1 answer as fp32", "", formatted("percent", "measured", "top1_agreement")
    for key, style in _JUDGED.items():
        if getattr(measured, key) is not None:
            name = _measure_name(key, scenario)
            yield name, "", formatted(style, "measured", key)
            yield f"{name} of the fp32 model", "", formatted(style, "measured", f"{key}_fp32")


def _answers_text(plan: Plan, scenario: Scenario, formatted: FormattedValues) -> Markup:
    """Return how good the answers are in the scenario's own measures, or else their plain error."""
    if plan.measured is None:
        return Markup("")
    judged = [
        Markup("{} {} (fp32 model {})").format(
            _measure_name(key, scenario),
            formatted(style, "measured", key),
            formatted(style, "measured", f"{key}_fp32"),
        )
        for key, style in _JUDGED.items()
        if getattr(plan.measured, key) is not None
    ]
    error = Markup("relative RMS error of the outputs {}").format(
        formatted.unbounded("noise", "measured", "noise_relative_rms")
    )
    return Markup("Measured on {} samples: {}.").format(
        formatted("count", "measured", "samples"), join(judged or [error])
    )


def _measure_name(key: str, scenario: Scenario) -> str:
    """Return what a measure is called: `detection:average_precision` is "average precision"."""
    if key != "metric" or not scenario.metric:
        return key
    if not isinstance(scenario.metric, str) or scenario.coco_ap is not None:
        return "COCO average precision"
    return scenario.metric.rpartition(":")[2].replace("_", " ")


def _stage_rows(plan: Plan, scenario: Scenario, formatted: FormattedValues) -> Iterator[Cells]:
    with_units = list(dict.fromkeys(a.device for a in plan.assignments))
    busy = {} if plan.predicted is None else plan.predicted.compute_s
    others = [name for name, seconds in busy.items() if seconds and name not in with_units]
    # One that only changes formats does so before all others, or behind them, as its stage does.
    sending = {cut.source for cut in plan.cuts if cut.wire in CODED}
    ahead = [name for name in others if name in sending or name not in {scenario.source, scenario.sink}]
    for device in (*ahead, *with_units, *(name for name in others if name not in ahead)):
        assignments = [a for a in plan.assignments if a.device == device]
        counts = Counter(a.precision.value for a in assignments)
        mix = ", ".join(f"{count} {precision}" for precision, count in counts.items())
        yield (
            device,
            len(assignments),
            mix or format_change_text(plan, device),
            formatted("ms", "predicted", "compute_s", device),
            *_memory_cells(plan.predicted, device, formatted),
        )


def _percentile_rows(plan: Plan, formatted: FormattedValues) -> Iterator[Cells]:
    """Yield how the runs of each stage spread, where they are known."""
    known = () if plan.measured is None else plan.measured.stage_percentiles
    for number, one in enumerate(known):
        if one is not None:
            path = ("measured", "stage_percentiles", number)
            ratios = (formatted("ratio", *path, key) for key in ("p50", "p90", "p99"))
            yield (f"{number:02d}", *ratios, formatted("count", *path, "runs"))


def _memory_cells(predicted: Predicted | None, device: str, formatted: FormattedValues) -> Cells:
    """Return a device's weights as they count, what its largest unit reads and writes, and the sum."""
    if predicted is None or not predicted.memory_bytes.get(device):
        return "", "", ""
    memory = formatted("size", "predicted", "memory_bytes", device)
    if device not in predicted.weight_bytes:
        return "", "", memory
    plain = formatted("size", "predicted", "weight_bytes", device)
    if device in predicted.compressed_bytes:
        counted = predicted.compressed_bytes[device]
        packed = formatted("size", "predicted", "compressed_bytes", device)
        weights = Markup("{} ({} plain)").format(packed, plain)
    else:
        counted, weights = predicted.weight_bytes[device], plain
    return weights, size_text(predicted.memory_bytes[device] - counted), memory


def _request_parts(plan: Plan, scenario: Scenario, formatted: FormattedValues) -> Iterator[RequestPart]:
    """Yield what a request spends its time on, as far as it takes any."""
    if plan.predicted is None:
        return
    colours = colours_of(_devices(scenario))
    parts: list[tuple[str, float, tuple[str, ...]]] = [
        (name, seconds, ("predicted", "compute_s", name))
        for name, seconds in plan.predicted.compute_s.items()
    ]
    parts.append(("on links", plan.predicted.transfer_s, ("predicted", "transfer_s")))
    whole = sum(seconds for _, seconds, _ in parts)
    for name, seconds, path in parts:
        if seconds:
            share = f"{100 * seconds / whole:.1f}"
            yield RequestPart(name, formatted("ms", *path), share, colours.get(name, LINKS))


def _heaviest_rows(plan: Plan, graph: OperatorGraph, formatted: FormattedValues) -> Iterator[Cells]:
    """Yield the units that take longest, each with its share of what all units take."""
    whole = sum(a.compute_s for a in plan.assignments)
    order = sorted(range(len(plan.assignments)), key=lambda n: -plan.assignments[n].compute_s)
    for n in order[:_HEAVIEST] if whole else ():
        a = plan.assignments[n]
        operators = " ".join(graph.units[n].op_types)
        takes = formatted("ms", "assignments", n, "compute_s")
        yield n, a.unit, operators, a.device, a.precision.value, takes, f"{a.compute_s / whole:.1%}"


def _cut_rows(plan: Plan, formatted: FormattedValues) -> Iterator[Cells]:
    for n, cut in enumerate(plan.cuts):
        size, seconds = formatted("size", "cuts", n, "bytes"), formatted("ms", "cuts", n, "seconds")
        yield short_name(cut.tensor), " > ".join(cut.path), cut.wire.value, size, seconds


def _proof_rows(plan: Plan, formatted: FormattedValues) -> Iterator[Cells]:
    yield "status", formatted("text", "status") + of_costs_text(plan.noisy_costs, plan.cost_doubt)
    if plan.costs_of:
        yield "costs", f"those of {plan.costs_of}: no device was profiled, and no plan timed to choose one"
    if tried := tried_precisions_text(plan.tried_precisions):
        yield "precisions", tried
    if chosen := calibration_lines(plan.calibration_choices):
        yield "chosen on calibration samples", "; ".join(chosen)
    if why := why_feasible(plan):
        yield "why it is not proved optimal", why
    style = _STYLE_OF_OBJECTIVE.get(plan.objective.name, "significant4")
    yield f"objective: {plan.objective.name}", formatted(style, "objective", "value")
    yield "lower bound of the objective", formatted(style, "objective", "bound")
    yield "gap between them", formatted("percent", "objective", "gap")
    yield "solver", join([formatted("text", "solver", "name"), formatted("s", "solver", "runtime_s")])
    if plan.converted_from is not None:
        yield "converted from", formatted("text", "converted_from", "source")
        yield (
            f"the {_FORMS[plan.converted_from.converted_to]}'s answers differ from that one's by at most",
            Markup("{} on {} {}").format(
                formatted("significant4", "converted_from", "max_abs_difference"),
                formatted("count", "converted_from", "samples"),
                plan.converted_from.data,
            ),
        )
    if plan.measured is not None and plan.measured.accuracy is not None:
        low, high = share_bounds(plan.measured.accuracy * plan.measured.samples, plan.measured.samples)
        yield (
            "accuracy of the plan",
            Markup("{} on {} samples; {} to {} on all such samples (95 %)").format(
                formatted("percent", "measured", "accuracy"),
                formatted("count", "measured", "samples"),
                f"{low:.2%}",
                f"{high:.2%}",
            ),
        )
    if plan.measured is not None:
        chain = plan.measured.chain
        equal = "bit-equal" if chain.basic_bit_equal else "NOT bit-equal"
        yield "stages in a chain against the whole model", f"{equal} at basic optimization"
        yield (
            "integer kernels",
            Markup("{} in the stages, {} in the whole model").format(
                formatted("count", "measured", "chain", "integer_kernels"),
                formatted("count", "measured", "chain", "integer_kernels_whole"),
            ),
        )
        yield "transposes added by cutting", formatted("count", "measured", "chain", "added_transposes")
