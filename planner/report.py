"""Values -> terminal tables."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.output import Manifest
from planner.plan import Cut, Plan, Wire
from profiling.profile import Profile

_MILLI = 1e3
_KIBI = 1024
_MEBI = 2**20


def plan_table(plan: Plan, manifest: Manifest) -> RenderableType:
    """Return a plan's stages, cuts and costs as a person reads them."""
    return Group(_stages(plan, manifest), _costs(plan), *_checks(plan))


def no_plan_text(unmet: tuple[str, ...]) -> str:
    """Return why there is no plan, in one or two lines."""
    budget = "; ".join(unmet)
    if budget:
        return f"infeasible: even without quantization noise the held-back data show {budget}"
    return (
        "infeasible: no assignment keeps all budgets at once "
        "(noise, memory_mib, latency_ms, precisions and links). Loosen one with --set and try again"
    )


def _stages(plan: Plan, manifest: Manifest) -> Table:
    table = Table(title=f"{plan.status} plan", title_justify="left", pad_edge=False)
    for column, justify in (
        ("stage", "left"),
        ("device", "left"),
        ("units", "right"),
        ("fp32", "right"),
        ("int8", "right"),
        ("compute ms", "right"),
        ("sends", "left"),
    ):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    compute = plan.predicted.compute_s if plan.predicted else {}
    counts = _precision_counts(plan)
    waiting = list(plan.cuts)
    raw = [cut for cut in waiting if cut.source == manifest.source and _is_input(cut, manifest)]
    unsent = [cut for cut in raw if cut.wire is not Wire.UINT8]
    if unsent:
        table.add_row("", manifest.source, "", "", "", "", _sends(unsent))
    shown: set[str] = set()
    for stage in manifest.stages:
        fp32, int8 = counts.get(stage.device, (0, 0)) if stage.units else (0, 0)
        given = {port.name.removesuffix("_QuantizeLinear_Output") for port in stage.outputs}
        sent = [c for c in waiting if c.source == stage.device and c.tensor in given and c not in unsent]
        seconds = compute.get(stage.device, 0.0) if stage.device not in shown and stage.units else None
        shown |= {stage.device} if stage.units else set()
        table.add_row(
            f"{stage.number:02d}",
            stage.device,
            str(stage.units),
            str(fp32),
            str(int8),
            "" if seconds is None else f"{seconds * _MILLI:.2f}",
            _sends(sent),
        )
    return table


def _precision_counts(plan: Plan) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for assignment in plan.assignments:
        fp32, int8 = counts.get(assignment.device, (0, 0))
        is_int8 = assignment.precision == "int8"
        counts[assignment.device] = (fp32 + (not is_int8), int8 + is_int8)
    return counts


def _is_input(cut: Cut, manifest: Manifest) -> bool:
    return any(port.name == cut.tensor for port in manifest.inputs)


def _sends(cuts: list[Cut]) -> str:
    return "\n".join(
        f"{_short(cut.tensor)} -> {' -> '.join(cut.path[1:])}: {size_text(cut.size_bytes)} {cut.wire}, "
        f"{cut.seconds * _MILLI:.1f} ms"
        for cut in cuts
    )


def _costs(plan: Plan) -> Table:
    table = Table(pad_edge=False)
    for column in ("", "predicted", "measured"):
        table.add_column(column, justify="left" if not column else "right")
    predicted, measured = plan.predicted, plan.measured
    if predicted is None or measured is None:
        return table
    table.add_row("latency of one request", f"{predicted.latency_s * _MILLI:.2f} ms", "")
    table.add_row("  of it on links", f"{predicted.transfer_s * _MILLI:.2f} ms", "")
    table.add_row(
        "whole model's time / fp32",
        f"{predicted.latency_ratio_to_fp32:.3f}",
        f"{measured.latency_ratio_to_fp32:.3f}",
    )
    table.add_row(
        "noise, relative rms",
        f"{predicted.noise_relative_rms:.4f}",
        f"{measured.noise_relative_rms:.4f}",
    )
    table.add_row("largest absolute error", "", f"{measured.max_abs_error:.4g}")
    table.add_row("same top-1 answer as fp32", "", f"{measured.top1_agreement:.2%}")
    if measured.accuracy is not None and measured.accuracy_fp32 is not None:
        table.add_row("accuracy (fp32 model)", "", f"{measured.accuracy:.2%} ({measured.accuracy_fp32:.2%})")
    table.add_row("evaluation samples", "", str(measured.samples))
    return table


def _checks(plan: Plan) -> list[Text]:
    lines = []
    if plan.objective.gap is not None:
        lines.append(
            f"{plan.solver.name}: {plan.status}, gap {plan.objective.gap:.2g}, {plan.solver.runtime_s:.2f} s"
        )
    if plan.scheme != "int8":
        lines.append("int8 weights use 7 bits: 8-bit products overflow on this processor (no VNNI)")
    if plan.measured is not None:
        chain = plan.measured.chain
        default = (
            "bit-equal"
            if chain.default_bit_equal
            else f"{chain.default_relative_difference:.2g} relative difference (a float cut changes fusion)"
        )
        lines += [
            f"stages in a chain against the whole model: bit-equal at basic optimization, "
            f"{default} at default",
            f"integer kernels: {chain.integer_kernels} in the stages, {chain.integer_kernels_whole} in the "
            f"whole model; transposes added by cutting: {chain.added_transposes}",
        ]
    return [Text(line) for line in lines]


def size_text(size_bytes: int) -> str:
    """Return bytes for a person: 196 KiB."""
    if size_bytes < _KIBI:
        return f"{size_bytes} B"
    if size_bytes < _MEBI:
        return f"{size_bytes / _KIBI:.1f} KiB"
    return f"{size_bytes / _MEBI:.2f} MiB"


def _short(name: str) -> str:
    """Return the part of a converter's long tensor name that tells it from others."""
    last = name.split(";")[-1]
    return last if len(last) <= 40 else "..." + last[-37:]  # noqa: PLR2004


def profile_table(profile: Profile) -> RenderableType:
    """Return a profile's seconds and noise in short."""
    latency = profile.latency
    table = Table(title=f"profile of {profile.device}", title_justify="left", pad_edge=False)
    for column in ("precision", "whole run ms", "units ms", "unattributed ms"):
        table.add_column(column, justify="left" if column == "precision" else "right")
    for precision, wall_s in latency.wall_s.items():
        units = sum(row.seconds for row in latency.units if row.precision == precision)
        table.add_row(
            precision,
            *(f"{s * _MILLI:.3f}" for s in (wall_s, units, latency.unattributed_s[precision])),
        )
    measured = sum(row.measured for row in latency.switches)
    noise = sum(r.power for r in profile.noise.tensors) + sum(r.power for r in profile.noise.units)
    return Group(
        table,
        Text(f"{latency.processor}, {latency.threads} threads, {latency.samples} runs"),
        Text(f"switches: {measured} measured, {len(latency.switches) - measured} fitted from bytes"),
        Text(f"noise with everything in int8, predicted: {noise**0.5:.4f} relative rms"),
    )
