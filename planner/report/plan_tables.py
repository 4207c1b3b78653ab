"""Values -> terminal tables."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.conversion.provenance import ConvertedFrom
from planner.formatting import MILLI, program_size, short_name, size_text
from planner.plan.manifest import Manifest
from planner.plan.records import Plan, Predicted
from planner.report.terminal_table import line, new_table
from planner.verification.sample_size import too_few_text
from profiling.inspection import Inspection, UnitFacts
from profiling.precision import Precision
from profiling.quantization.quantize import SCHEMES
from profiling.records.profile import Profile
from profiling.records.profile_diff import ProfileDiff

_MICRO = 1e6
_HEAVIEST = 10


def plan_table(plan: Plan, manifest: Manifest) -> RenderableType:
    """Return a plan's stages, cuts and costs as a person reads them."""
    cuts = [_cuts(plan)] if plan.cuts else [line("nothing crosses a link")]
    sizes = [line(text) for text in _compressed(plan, manifest)]
    few = [line(f"{too_few_text(one)}\n") for one in plan.too_few_samples]
    return Group(_stages(plan, manifest), *few, *cuts, _costs(plan), *sizes, *_checks(plan))


def no_plan_text(plan: Plan, unmet: tuple[str, ...], conflict: str) -> str:
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
    few = [too_few_text(one) for one in plan.too_few_samples if one.data == "evaluation"]
    advice = "loosen the budget, or give more calibration data so that the held-back quarter is larger"
    return f"verification failed: {'; '.join((*failures, *few))}. Nothing was delivered: {advice}"


def _stages(plan: Plan, manifest: Manifest) -> Table:
    used = [p for p in Precision if p in _usual(plan)]
    table = new_table(f"{plan.status} plan", ("stage", "device"), ("units", *used, "compute ms"))
    compute = dict(plan.predicted.compute_s) if plan.predicted else {}
    last = {stage.device: stage.number for stage in manifest.stages}
    for stage in manifest.stages:
        # A stage without units only switches an input or output for the link.
        counts = (str(stage.precisions.get(p, 0)) for p in used)
        # A device's seconds are those of all its stages, and stand behind the last one.
        seconds = f"{compute[stage.device] * MILLI:.2f}" if last[stage.device] == stage.number else "+"
        table.add_row(f"{stage.number:02d}", stage.device, str(stage.units), *counts, seconds)
    return table


def _cuts(plan: Plan) -> Table:
    table = new_table("on the links", ("tensor", "way", "wire"), ("size", "ms"))
    for cut in plan.cuts:
        way = " > ".join(cut.path)
        size = size_text(cut.size_bytes)
        table.add_row(short_name(cut.tensor), way, cut.wire, size, f"{cut.seconds * MILLI:.2f}")
    return table


def _usual(plan: Plan) -> set[Precision]:
    """Return the precisions that a table shows: the default ones, and others that are used."""
    return {Precision.FP32, Precision.INT8, *plan.precisions().values()}


def _costs(plan: Plan) -> Table:
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
        f"{predicted.latency_ratio_to_fp32:.3f}",
        f"{measured.latency_ratio_to_fp32:.3f}",
    )
    if len(predicted.compute_s) > 1:
        table.add_row(
            "all stages' time / fp32",
            f"{predicted.chain_ratio_to_fp32:.3f}",
            f"{measured.chain_ratio_to_fp32:.3f}",
        )
    table.add_row(
        "noise, relative rms",
        f"{predicted.noise_relative_rms:.4f}",
        f"{measured.noise_relative_rms:.4f}",
    )
    table.add_row("largest absolute error", "", f"{measured.max_abs_error:.4g}")
    if measured.top1_agreement is not None:
        table.add_row("same top-1 answer as fp32", "", f"{measured.top1_agreement:.2%}")
    if measured.accuracy is not None and measured.accuracy_fp32 is not None:
        table.add_row("accuracy (fp32 model)", "", f"{measured.accuracy:.2%} ({measured.accuracy_fp32:.2%})")
    if measured.metric is not None and measured.metric_fp32 is not None:
        table.add_row("metric (fp32 model)", "", f"{measured.metric:.4g} ({measured.metric_fp32:.4g})")
    table.add_row("evaluation samples", "", str(measured.samples))
    return table


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


def _compressed(plan: Plan, manifest: Manifest) -> Iterator[str]:
    """Yield what weights and files weigh plain and compressed, where the scenario counts them compressed."""
    if plan.predicted is not None:
        for device, packed in plan.predicted.compressed_bytes.items():
            plain = plan.predicted.weight_bytes[device]
            yield f"weights of {device}: {size_text(plain)}, compressed {size_text(packed)}"
    for stage in manifest.stages:
        if stage.compressed_bytes is not None and stage.size_bytes is not None:
            packed_file = size_text(stage.compressed_bytes)
            yield f"{stage.file}: {size_text(stage.size_bytes)}, compressed {packed_file}"


def _quantization(plan: Plan) -> list[str]:
    """Return a line for what differs from int8's default on some device."""
    schemes = {name: SCHEMES[label] for name, label in plan.quantization.items()}
    reduced = [name for name, scheme in schemes.items() if scheme.reduce_range]
    symmetric = [name for name, scheme in schemes.items() if scheme.symmetric]
    lines = []
    if reduced:
        where = "" if len(reduced) == len(schemes) else f" on {', '.join(reduced)}"
        lines.append(
            f"int8 weights use 7 bits{where}, for processors whose 8-bit products overflow (no VNNI)"
        )
    if symmetric:
        lines.append(f"int8 activations are symmetric on {', '.join(symmetric)}")
    return lines


def conversion_lines(made: ConvertedFrom | None) -> list[str]:
    """Return what a person has to know of the conversion that gave the ONNX model, if there was one."""
    if made is None:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    samples = f"{made.samples} {made.data}" if made.samples > 1 else f"a sample of {made.data}"
    lines = [
        f"converted from {made.source} to opset {made.opset} ({versions}); on {samples} the answers differ "
        f"by at most {made.max_abs_difference:.2g} (relative rms {made.relative_rms_difference:.2g})"
    ]
    if made.channels_first:
        names = ", ".join(made.channels_first)
        lines.append(f"channels come first in {names}; data may have them last, as the source does")
    doubts = [f"warning: {made.doubt}"] if made.doubt else []
    return [*lines, *doubts, *made.notes]


def _checks(plan: Plan) -> list[Text]:
    lines = conversion_lines(plan.converted_from)
    if plan.objective.gap is not None:
        run = plan.solver
        peak = "" if run.peak_mib is None else f"; peak memory {run.peak_mib:.0f} MiB"
        size = program_size(run.variables, run.constraints)
        lines.append(
            f"{run.name}: {plan.status}, gap {plan.objective.gap:.2g}, {run.runtime_s:.2f} s, {size}{peak}"
        )
    if plan.loop:
        pairs = [(one.predicted_chain_ratio_to_fp32, one.measured_chain_ratio_to_fp32) for one in plan.loop]
        told = ", ".join(f"{predicted:.3f} > {measured:.3f}" for predicted, measured in pairs)
        lines.append(f"plans timed in place, time / fp32 predicted > measured: {told}")
    lines += _quantization(plan)
    if plan.measured is not None:
        chain = plan.measured.chain
        default = (
            "bit-equal"
            if chain.default_bit_equal
            else f"{chain.default_relative_difference:.2g} relative difference"
        )
        lines += [
            f"stages in a chain against the whole model: {_equality(chain.basic_bit_equal)} at basic "
            f"optimization, {default} at default",
            f"integer kernels: {chain.integer_kernels} in the stages, {chain.integer_kernels_whole} in the "
            f"whole model; transposes added by cutting: {chain.added_transposes}",
        ]
    return [line(text) for text in lines]


def _equality(bits_agree: bool) -> str:  # noqa: FBT001
    return "bit-equal" if bits_agree else "NOT bit-equal"


def profile_table(profile: Profile) -> RenderableType:
    """Return a profile's seconds and noise in short."""
    latency = profile.latency
    columns = ("whole run ms", "units ms", "unattributed ms")
    table = new_table(f"profile of {profile.device}", ("precision",), columns)
    for precision, wall_s in latency.wall_s.items():
        units = sum(row.seconds for row in latency.units if row.precision == precision)
        table.add_row(
            precision,
            *(f"{s * MILLI:.3f}" for s in (wall_s, units, latency.unattributed_s[precision])),
        )
    measured = sum(row.measured for row in latency.switches)
    lines = [
        f"{latency.processor}, {latency.threads} threads, {latency.samples} runs that spread by "
        f"{latency.spread:.1%}",
        f"switches: {measured} measured, {len(latency.switches) - measured} fitted from bytes",
    ]
    for noise in profile.noise:
        power = sum(row.power for row in noise.tensors) + sum(row.power for row in noise.units)
        lines.append(f"noise with everything in {noise.scheme}, predicted: {power**0.5:.4f} relative rms")
    if latency.noisy:
        lines.append("the machine was busy while this was measured: better measure again")
    return Group(table, *map(line, lines))


def diff_table(diff: ProfileDiff) -> RenderableType:
    """Return what differs between two profiles of one model."""
    lines = [f"{name}: {old} > {new}" for name, (old, new) in diff.settings.items()]
    lines += [f"whole run in {precision}: {change:+.1%}" for precision, change in diff.whole.items()]
    lines.append(
        f"{diff.units} unit times; beyond the change of the whole fp32 run they differ by "
        f"{diff.median_change:.1%} in the median"
    )
    if not diff.changes:
        return Group(*map(line, lines), line("no unit changed beyond its spread"))
    columns = ("before us", "after us", "change", "beyond spread")
    table = new_table(f"{len(diff.changes)} changed beyond their spread", ("unit", "precision"), columns)
    for change in diff.changes[:_HEAVIEST]:
        table.add_row(
            short_name(change.unit),
            change.precision,
            *(f"{seconds * _MICRO:.1f}" for seconds in (change.before_s, change.after_s)),
            f"{change.change:+.1%}",
            f"{change.beyond:.1%}",
        )
    if len(diff.changes) > _HEAVIEST:
        lines.append(f"the {_HEAVIEST} largest of {len(diff.changes)} changes are shown; --json has all")
    return Group(*map(line, lines), table)


_NOT_TRIED = (
    "not tried out in int8, since the model does not run on made-up numbers: plan inspect SCENARIO.yaml "
    "takes the scenario's samples"
)


def inspection_table(found: Inspection) -> RenderableType:
    """Return what a model is made of as a person reads it."""
    ends = new_table(f"{found.model}, opset {found.opset}", ("", "name", "type", "shape"), ("size",))
    for kind, rows in (("input", found.inputs), ("output", found.outputs)):
        for end in rows:
            shape = " x ".join(map(str, end.shape)) or "scalar"
            ends.add_row(kind, end.name, end.dtype, shape, size_text(end.size_bytes))
    operators = ", ".join(f"{count} {op}" for op, count in found.operators.items())
    return Group(
        ends,
        line(f"operators: {operators}"),
        "",
        _quantizable(found),
        *([] if found.tried_out else [line(_NOT_TRIED)]),
        line(
            f"weights: {size_text(found.weight_bytes)}, with all that can be in int8 "
            f"{size_text(found.weight_bytes_int8)}"
        ),
        "",
        _heaviest(found),
    )


def _quantizable(found: Inspection) -> Table:
    groups: dict[str, list[str]] = {}
    for unit in found.units:
        kind = "counts as int8, stays as it came" if unit.quantized else unit.obstacle
        groups.setdefault(kind or "can be quantized", []).append(unit.name)
    table = new_table(f"{len(found.units)} units", ("", "such as"), ("units",))
    for kind, names in sorted(groups.items(), key=lambda item: -len(item[1])):
        table.add_row(kind, short_name(names[0]), str(len(names)))
    return table


def _heaviest(found: Inspection) -> Table:
    def weight(unit: UnitFacts) -> tuple[float, int]:
        return (unit.fp32_s or 0.0, unit.weight_bytes)

    table = new_table(
        "heaviest units (time here, one thread, profiler included)",
        ("unit", "operators", "int8"),
        ("ms", "weights", "output"),
    )
    for unit in sorted(found.units, key=weight, reverse=True)[:_HEAVIEST]:
        table.add_row(
            short_name(unit.name),
            " ".join(unit.op_types),
            "already" if unit.quantized else "no" if unit.obstacle else "yes",
            "-" if unit.fp32_s is None else f"{unit.fp32_s * MILLI:.3f}",
            size_text(unit.weight_bytes),
            size_text(unit.output_bytes),
        )
    return table
