"""The answer of `plan solve` -> terminal tables."""

from rich.console import Group, RenderableType
from rich.table import Table

from planner.formatting import MILLI, program_size, short_name
from planner.problem_io.solution import Answer
from planner.report.tables.table_style import new_table

_MOST_CUTS = 20  # that a terminal shows; --json has all


def answer_table(answer: Answer) -> RenderableType:
    """Return a solve's answer as a person reads it: devices, crossings, and how good it is."""
    tables = [_devices_table(answer)]
    if answer.cuts:
        tables.append(_cuts_table(answer))
    if answer.models:
        tables.append(_models_table(answer))
    return Group(*tables, _objective_table(answer))


def _devices_table(answer: Answer) -> Table:
    precisions = sorted({placed.precision for placed in answer.assignments})
    name = f"{answer.status} answer" + (", interrupted" if answer.solver.interrupted else "")
    table = new_table(name, ("device",), ("units", *precisions, "busy ms"))
    busy = answer.costs.busy_s if answer.costs else {}
    for device, seconds in busy.items():
        on_device = [placed.precision for placed in answer.assignments if placed.device == device]
        counts = [str(on_device.count(precision)) for precision in precisions]
        if on_device or seconds:
            table.add_row(device, str(len(on_device)), *counts, f"{seconds * MILLI:.6g}")
    return table


def _models_table(answer: Answer) -> Table:
    table = new_table("models", ("model", "stages"), ("requests", "latency ms", "noise power"))
    for row in answer.models:
        requests = (
            f"{row.share * 100:.4g} %" if row.requests_per_s is None else f"{row.requests_per_s:.6g} per s"
        )
        stages = " > ".join(row.stages)
        table.add_row(row.model, stages, requests, f"{row.latency_s * MILLI:.6g}", f"{row.noise_power:.4g}")
    return table


def _cuts_table(answer: Answer) -> Table:
    table = new_table("on the links", ("tensor", "way", "wire"), ("bytes", "ms"))
    for cut in answer.cuts[:_MOST_CUTS]:
        route = " > ".join(cut.path)
        table.add_row(
            short_name(cut.tensor), route, cut.wire, f"{cut.size_bytes:.6g}", f"{cut.seconds * MILLI:.6g}"
        )
    if len(answer.cuts) > _MOST_CUTS:
        table.add_row(f"... {len(answer.cuts) - _MOST_CUTS} more", "", "", "", "")
    return table


def _objective_table(answer: Answer) -> Table:
    table = new_table("objective", ("",), ("",))
    goal, run = answer.objective, answer.solver
    table.add_row(goal.name, f"{goal.value:.9g}")
    table.add_row("proved bound", f"{goal.bound:.9g}")
    table.add_row("gap", f"{(goal.gap or 0.0) * 100:.4g} %")
    if answer.costs is not None and answer.costs.utilisation is not None:
        table.add_row("busiest device or link works", f"{answer.costs.utilisation * 100:.4g} % of the time")
    size = program_size(run.variables, run.constraints)
    table.add_row(run.name, f"{run.runtime_s:.2f} s, {size}")
    if run.peak_mib is not None:
        table.add_row("peak memory", f"{run.peak_mib:.0f} MiB")
    return table
