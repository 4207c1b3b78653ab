"""A plan and its manifest -> terminal tables, and sentences about it."""

import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.conversion.provenance import ConvertedFrom
from planner.devices.calibration_choices import calibration_lines
from planner.devices.cost_origins import cost_origins_text
from planner.devices.tried_precisions import tried_precisions_text
from planner.formatting import MILLI, RUNTIME_TITLES, counted, names_text, program_size, short_name, size_text
from planner.plan.manifest import Manifest
from planner.plan.plan_record import BudgetVerdict, LoopRound, Measured, Plan, Predicted, WireFormat
from planner.refinement.outcome import ModelsOutcome, Outcome
from planner.report.feasible_text import title_status, why_feasible
from planner.report.tables.shared_links import shared_link_texts
from planner.report.tables.table_style import line, new_table
from planner.scenario.loader import parse_scenario
from planner.verification.budget_margins import (
    budget_value_text,
    interval_text,
    larger_error_text,
    plan_verdicts,
    verdict_clause,
)
from planner.verification.cost_doubt import cost_doubt_text
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text
from planner.verification.sample_size import few_sample_texts, samples_note_text, too_few_text
from profiling.precision import Precision
from profiling.quantization.qdq_model import SCHEMES
from profiling.stage_session import runtime_of_model

_ADDED = "+: counted in the device's later stage, as its seconds are of all its stages"


def plan_table(plan: Plan, manifest: Manifest) -> RenderableType:
    """Return a plan's stages, cuts and costs as a person reads them."""
    cuts: list[RenderableType] = [_cuts_table(plan)] if plan.cuts else [line("nothing crosses a link")]
    cuts += map(line, (*shared_link_texts(plan.cuts), *_raw_input_lines(plan)))
    texts = [*_compressed_lines(plan, manifest), *_budget_lines(plan)]
    sizes: list[RenderableType] = [*map(line, texts), *([""] if texts and plan.single_device else [])]
    doubts = [cost_doubt_text(plan.cost_doubt)] if plan.cost_doubt else []
    doubts += [noisy] if (noisy := noisy_costs_text(plan.noisy_costs)) else []
    doubts += [note] if (note := samples_note_text(plan.measured)) else []
    doubts += few_sample_texts(plan)
    few = [part for doubt in doubts for part in (line(doubt), "")]
    single = [_single_device_table(plan)] if plan.single_device else []
    costs: list[RenderableType] = [_costs_table(plan), *sizes, *single]
    formats = [line(text) for text in _format_stage_lines(plan, manifest)]
    added: list[RenderableType] = [line(_ADDED), ""] if _has_added(manifest) else []
    head = [_stages_table(plan, manifest), *added, *formats]
    return Group(*head, *few, *cuts, *costs, *_check_lines(plan))


def _has_added(manifest: Manifest) -> bool:
    """Return whether a device has several stages, whose seconds stand together."""
    devices = [stage.device for stage in manifest.stages]
    return len(set(devices)) < len(devices)


def reproduced_text(name: str, before: Plan, after: Plan) -> str:
    """Return whether planning again with the costs of an earlier plan gave that plan."""
    moved = sum(
        (one.device, one.precision) != (other.device, other.precision)
        for one, other in zip(before.assignments, after.assignments, strict=True)
    )
    what = f"{counted(moved, 'unit')} moved" if moved else "the same plan"
    return f"with the costs of {name}, no device profiled, no plan timed to choose one: {what}"


def undelivered_text(outcome: Outcome) -> str:
    """Return in one line why an outcome has no plan, or which budgets its plan broke; "" for neither."""
    if outcome.built is None:
        return _no_plan_text(outcome.plan, outcome.failures, outcome.conflict)
    return broken_text(outcome.plan, outcome.failures) if outcome.failures else ""


def undelivered_models_text(outcome: ModelsOutcome) -> str:
    """Return the same for several models."""
    failures = "; ".join(outcome.failures)
    if not outcome.outcomes:
        unmet = f"infeasible: even without quantization noise the held-back data show {failures}"
        return unmet if failures else outcome.conflict
    return f"verification failed: {failures}. Nothing was delivered" if failures else ""


def _no_plan_text(plan: Plan, unmet: tuple[str, ...], conflict: str) -> str:
    """Return why there is no plan, in one line.

    Parameters
    ----------
    unmet
        Error budgets that even fp32 breaks, as sentences.
    conflict
        Budgets that cannot hold together, as a sentence.
    """
    if unmet:
        conflict = f"infeasible: even without quantization noise the held-back data show {'; '.join(unmet)}"
    return "; ".join((conflict, *map(too_few_text, plan.too_few_samples)))


def broken_text(plan: Plan, failures: tuple[str, ...]) -> str:
    """Return which budgets the evaluation data broke, in one line, and what may help."""
    few = [] if plan.budget_verdicts else [few for few in plan.too_few_samples if few.data == "evaluation"]
    advice = "loosen the budget, or give more calibration data so that the held-back quarter is larger"
    causes = "; ".join((*failures, *map(too_few_text, few), *_no_loss(plan)))
    return f"verification failed: {causes}. Nothing was delivered: {advice}"


def _no_loss(plan: Plan) -> Iterator[str]:
    """Yield how much one answer is, where that is more than the budget on accuracy allows."""
    measured, limit = plan.measured, json.loads(bytes(plan.scenario)).get("budget", {}).get("accuracy_drop")
    if measured is None or limit is None or measured.accuracy is None or measured.accuracy_fp32 is None:
        return
    lost = round((measured.accuracy_fp32 - measured.accuracy) * measured.samples)
    if lost > 0 and limit * measured.samples < 1:
        yield (
            f"accuracy_drop {limit:g} allows no lost answer, since one of {measured.samples} is "
            f"{1 / measured.samples:.2g}; the plan lost {lost}"
        )


def _stages_table(plan: Plan, manifest: Manifest) -> Table:
    used = [p for p in Precision if p in _shown_precisions(plan)]
    runtimes = [runtime_of_model(Path(stage.file)) for stage in manifest.stages]
    names = ("stage", "device", *(("runtime",) if len(set(runtimes)) > 1 else ()))
    title = f"{title_status(plan)} plan{_doubt_text(plan)}"
    table = new_table(title, names, ("units", *used, "compute ms"))
    compute = dict(plan.predicted.compute_s) if plan.predicted else {}
    last = {stage.device: stage.number for stage in manifest.stages}
    for stage, runtime in zip(manifest.stages, runtimes, strict=True):
        # A stage without units only switches an input or output for the link.
        counts = (str(stage.precisions.get(p, 0)) for p in used)
        # A device's seconds are those of all its stages, and stand behind the last one.
        seconds = f"{compute[stage.device] * MILLI:.2f}" if last[stage.device] == stage.number else "+"
        at = (f"{stage.number:02d}", stage.device, RUNTIME_TITLES[runtime])[: len(names)]
        table.add_row(*at, str(stage.units), *counts, seconds)
    return table


def _format_stage_lines(plan: Plan, manifest: Manifest) -> Iterator[str]:
    """Yield what each stage without units is there for."""
    cut = {one.tensor for one in plan.cuts}
    for stage in manifest.stages:
        if not stage.units:
            ends = (port.name for port in (*stage.inputs, *stage.outputs) if port.name in cut)
            names = names_text(list(dict.fromkeys(map(short_name, ends))), most=2) or "tensors"
            yield f"stage {stage.number:02d} has no units: it only brings {names} into another format"


def _raw_input_lines(plan: Plan) -> Iterator[str]:
    """Yield which inputs are priced as they arose, which hosts do not do."""
    for cut in plan.cuts:
        if cut.wire is WireFormat.RAW:
            yield (
                f"{short_name(cut.tensor)} counts its wire_bytes, {size_text(cut.size_bytes)}, on the links: "
                "hosts of plan deploy send tensors whole; for these, leave wire_bytes out"
            )


def _doubt_text(plan: Plan) -> str:
    """Return what follows a plan's status, so that it never stands alone where costs are in doubt."""
    return of_costs_text(plan.noisy_costs, plan.cost_doubt)


def _cuts_table(plan: Plan) -> Table:
    table = new_table("on the links", ("tensor", "way", "wire"), ("size", "ms"))
    for cut in plan.cuts:
        route = " > ".join(cut.path)
        size = size_text(cut.size_bytes)
        table.add_row(short_name(cut.tensor), route, cut.wire, size, f"{cut.seconds * MILLI:.2f}")
    return table


def _single_device_table(plan: Plan) -> Table:
    """Return what everything on one device would cost."""
    title = "all on one device instead, predicted"
    table = new_table(title, ("device", "precision", "breaks"), ("latency ms",))
    for row in plan.single_device:
        table.add_row(row.device, row.precision_text, row.broken_text, f"{row.latency_s * MILLI:.2f}")
    return table


def _shown_precisions(plan: Plan) -> set[Precision]:
    """Return the precisions that a table shows: the default ones, and others that are used."""
    return {Precision.FP32, Precision.INT8, *plan.precisions().values()}


def _costs_table(plan: Plan) -> Table:
    table = new_table("costs and errors", ("",), ("predicted", "measured"))
    predicted, measured = plan.predicted, plan.measured
    if predicted is None or measured is None:
        return table
    table.add_row("latency of one request", f"{predicted.latency_s * MILLI:.2f} ms", "")
    table.add_row("  of it on links", f"{predicted.transfer_s * MILLI:.2f} ms", "")
    for name, value in _other_costs(plan.objective.name, predicted):
        table.add_row(name, value, "")
    table.add_row(
        "whole model's time / fp32",
        "" if predicted.latency_ratio_to_fp32 is None else f"{predicted.latency_ratio_to_fp32:.3f}",
        f"{measured.latency_ratio_to_fp32:.3f}",
    )
    if len(predicted.compute_s) > 1:
        table.add_row(
            "all stages' time / fp32",
            f"{predicted.chain_ratio_to_fp32:.3f}",
            f"{measured.chain_ratio_to_fp32:.3f}",
        )
    table.add_row(
        "relative RMS error",
        # Of indices that flip nothing is predicted.
        "" if measured.indices else f"{predicted.noise_relative_rms:.4f}",
        f"{measured.noise_relative_rms:.4f}",
    )
    for name, value in errors_of_outputs(measured):
        table.add_row(name, "", value)
    table.add_row("largest absolute error", "", f"{measured.max_abs_error:.4g}")
    if measured.top1_agreement is not None:
        table.add_row("same top-1 answer as fp32", "", f"{measured.top1_agreement:.2%}")
    if measured.accuracy is not None and measured.accuracy_fp32 is not None:
        table.add_row("accuracy (fp32 model)", "", f"{measured.accuracy:.2%} ({measured.accuracy_fp32:.2%})")
    if measured.metric is not None and measured.metric_fp32 is not None:
        table.add_row("metric (fp32 model)", "", f"{measured.metric:.4g} ({measured.metric_fp32:.4g})")
    made_up = " (see the note)" if measured.samples_note else ""
    table.add_row("evaluation samples", "", f"{measured.samples}{made_up}")
    return table


def errors_of_outputs(measured: Measured) -> Iterator[tuple[str, str]]:
    """Yield what is said of each output's error, and of outputs of whole numbers."""
    for output, error in measured.errors_by_output:
        yield f"  of {short_name(output)}", f"{error:.4f}"
    for output, share in measured.equal_values.items():
        yield f"  equal values of {short_name(output)}", f"{share:.2%}"


def _other_costs(objective: str, predicted: Predicted) -> Iterator[tuple[str, str]]:
    """Yield what else is predicted, where the scenario speaks of it."""
    if objective != "latency" and predicted.makespan_s is not None:
        yield "with stages that overlap", f"{predicted.makespan_s * MILLI:.2f} ms"
    if objective != "latency" and predicted.throughput_per_s is not None:
        yield "requests per second, pipelined", f"{predicted.throughput_per_s:.4g}"
    if predicted.money:
        yield "money for one request", f"{predicted.money:.3g}"
    for device, joules in predicted.energy_device_j.items():
        yield f"energy of {device}", f"{joules * MILLI:.3g} mJ"


def _compressed_lines(plan: Plan, manifest: Manifest) -> Iterator[str]:
    """Yield what weights and files weigh plain and compressed, where the scenario counts them compressed."""
    if plan.predicted is not None:
        for device, packed in plan.predicted.compressed_bytes.items():
            plain = plan.predicted.weight_bytes[device]
            yield f"weights of {device}: {size_text(plain)}, compressed {size_text(packed)}"
    for stage in manifest.stages:
        if stage.compressed_bytes is not None and stage.size_bytes is not None:
            packed_file = size_text(stage.compressed_bytes)
            yield f"{stage.file}: {size_text(stage.size_bytes)}, compressed {packed_file}"


def _budget_lines(plan: Plan) -> Iterator[str]:
    """Yield what limited memory is made of, and where an error budget's value may be for all samples."""
    budget = parse_scenario(bytes(plan.scenario)).budget
    if plan.predicted is not None:
        for device, limit_mib in budget.memory_mib.items():
            memory = plan.predicted.memory_bytes.get(device, 0)
            plain = plan.predicted.weight_bytes.get(device)
            weights = plan.predicted.compressed_bytes.get(device, plain)
            if memory and weights is not None:
                yield (
                    f"memory of {device}: {size_text(memory)} of {size_text(round(limit_mib * 2**20))}, "
                    f"{size_text(weights)} for weights and {size_text(memory - weights)} for inputs and "
                    "outputs of the largest unit"
                )
    if larger := larger_error_text(plan):
        yield larger
    yield from map(_verdict_line, plan_verdicts(plan))


def _verdict_line(verdict: BudgetVerdict) -> str:
    value = budget_value_text(verdict.budget, verdict.value)
    text = f"{verdict.budget} is {value}, limit {verdict.limit:g}"
    if interval := interval_text(verdict):
        text += f"; on all such samples {interval} (95 % confidence)"
    return f"{text}: {verdict_clause(verdict)}"


def _quantization_lines(plan: Plan) -> list[str]:
    """Return a line for what differs from int8's default on some device."""
    schemes = {name: SCHEMES[label] for name, label in plan.quantization.items()}
    reduced = [name for name, scheme in schemes.items() if scheme.reduce_range]
    symmetric = [name for name, scheme in schemes.items() if scheme.symmetric]
    lines = []
    if reduced:
        devices = "" if len(reduced) == len(schemes) else f" on {', '.join(reduced)}"
        lines.append(
            f"int8 weights use 7 bits{devices}, for processors whose 8-bit products overflow (no VNNI)"
        )
    if symmetric:
        lines.append(f"int8 activations are symmetric on {', '.join(symmetric)}")
    return lines + calibration_lines(plan.calibration_choices)


def conversion_lines(made: ConvertedFrom | None) -> list[str]:
    """Return what a person has to know of the conversion that gave the model, if there was one."""
    if made is None:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    lines = [f"converted from {made.source} to {_converted_form(made)} ({versions}); {_difference(made)}"]
    if made.flex_operators:
        lines.append(
            f"needs TensorFlow's own operators, which LiteRT runs with the Flex delegate only: "
            f"{', '.join(made.flex_operators)}"
        )
    if made.channels_first:
        names = ", ".join(made.channels_first)
        lines.append(f"channels come first in {names}; data may have them last, as the source does")
    doubts = [f"warning: {made.doubt}"] if made.doubt else []
    return [*lines, *doubts, *made.notes]


def _converted_form(made: ConvertedFrom) -> str:
    if made.converted_to != "tflite":
        return f"opset {made.opset}"
    return "TFLite" if made.quantization == "none" else f"TFLite with quantization {made.quantization}"


def _difference(made: ConvertedFrom) -> str:
    if not made.samples:
        return "its answers are not compared, as it does not run here"
    samples = f"{made.samples} {made.data}" if made.samples > 1 else f"a sample of {made.data}"
    return (
        f"on {samples} the answers differ by at most {made.max_abs_difference:.2g} "
        f"(relative RMS error {made.relative_rms_difference:.2g})"
    )


def _check_lines(plan: Plan) -> list[Text]:
    origins = cost_origins_text(parse_scenario(bytes(plan.scenario)))
    lines = [*([origins] if origins else []), *conversion_lines(plan.converted_from)]
    if plan.objective.gap is not None:
        run = plan.solver
        peak = "" if run.peak_mib is None else f"; peak memory {run.peak_mib:.0f} MiB"
        size = program_size(run.variables, run.constraints)
        lines.append(
            f"{run.name}: {plan.status}{_doubt_text(plan)}, gap {plan.objective.gap:.2g}, "
            f"{run.runtime_s:.2f} s, {size}{peak}"
        )
    if why := why_feasible(plan):
        lines.append(f"feasible, not optimal{_doubt_text(plan)}: {why}")
    if plan.loop:
        lines.append("plans timed in place, all stages' time / fp32: " + "; ".join(map(_timed, plan.loop)))
    lines += [tried] if (tried := tried_precisions_text(plan.tried_precisions)) else []
    lines += _quantization_lines(plan)
    if plan.measured is not None and (read := plan.measured.detector) is not None:
        names = ", ".join(short_name(name) for name in (read.boxes, read.scores, read.classes) if name)
        lines.append(f"metric coco_ap: outputs read as {read.form}, boxes {read.box_format}, from {names}")
    if plan.measured is not None:
        lines += chain_lines(plan.measured)
    return [line(text) for text in lines]


def chain_lines(measured: Measured) -> list[str]:
    """Return whether the stages in a chain are the whole model, and what cutting cost."""
    chain = measured.chain
    default = (
        "bit-equal"
        if chain.default_bit_equal
        else f"{chain.default_relative_difference:.2g} relative difference"
    )
    return [
        f"stages in a chain against the whole model: {_equality(chain.basic_bit_equal)} at basic "
        f"optimization, {default} at default",
        f"integer kernels: {chain.integer_kernels} in the stages, {chain.integer_kernels_whole} in the "
        f"whole model; transposes added by cutting: {chain.added_transposes}",
    ]


def _timed(plan: LoopRound) -> str:
    predicted, measured = plan.predicted_chain_ratio_to_fp32, plan.measured_chain_ratio_to_fp32
    ratios = f"predicted {predicted:.3f} before, measured {measured:.3f}"
    return f"{ratios} (delivered)" if plan.delivered else ratios


def _equality(bits_agree: bool) -> str:  # noqa: FBT001
    return "bit-equal" if bits_agree else "NOT bit-equal"
