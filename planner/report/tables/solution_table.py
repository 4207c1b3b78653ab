"""The answer of `plan solve` -> terminal tables."""

from rich.console import Group, RenderableType
from rich.table import Table

from planner.formatting import MILLI, program_size, short_name
from planner.problem_io.solution import Answer, limit_texts
from planner.report.tables.shared_links import shared_link_texts
from planner.report.tables.table_style import line, new_table

_MOST_CUTS, _MOST_UNITS = 20, 40  # that a terminal shows; --json has all
_NO_GAP = 1e-9  # a smaller one is rounding


def answer_table(answer: Answer) -> RenderableType:
    """Return a solve's answer as a person reads it: devices, units, crossings, and how good it is."""
    tables: list[RenderableType] = [_devices_table(answer), _units_table(answer)]
    if answer.cuts:
        # Tensors of several models may have one name.
        shared = () if answer.models else shared_link_texts(answer.cuts[:_MOST_CUTS])
        tables += [_cuts_table(answer), *map(line, shared)]
    if answer.models:
        tables.append(_models_table(answer))
    if answer.limits:
        tables.append(_limits_table(answer))
    return Group(*tables, _objective_table(answer))


def _devices_table(answer: Answer) -> Table:
    """Return what each device does; energy and memory where the problem counts them."""
    precisions = sorted({placed.precision for placed in answer.assignments})
    name = f"{answer.status} answer" + (", interrupted" if answer.solver.interrupted else "")
    costs = answer.costs
    busy, energy, memory = (costs.busy_s, costs.energy_j, costs.memory_bytes) if costs else ({}, {}, {})
    counted = [(head, by_device) for head, by_device in (("energy J", energy), ("memory bytes", memory))]
    counted = [(head, by_device) for head, by_device in counted if any(by_device.values())]
    heads = ("units", *precisions, "busy ms", *(head for head, _ in counted))
    table = new_table(name, ("device",), heads)
    for device, seconds in busy.items():
        on_device = [placed.precision for placed in answer.assignments if placed.device == device]
        counts = [str(on_device.count(precision)) for precision in precisions]
        used = [f"{by_device.get(device, 0.0):.6g}" for _, by_device in counted]
        if on_device or seconds:
            table.add_row(device, str(len(on_device)), *counts, f"{seconds * MILLI:.6g}", *used)
    return table


def _units_table(answer: Answer) -> Table:
    """Return where each unit runs."""
    models = ("model",) if answer.models else ()
    table = new_table("units", ("unit", "device", "precision", *models), ())
    for placed in answer.assignments[:_MOST_UNITS]:
        model = (placed.model or "",) if models else ()
        table.add_row(short_name(placed.unit), placed.device, placed.precision, *model)
    if len(answer.assignments) > _MOST_UNITS:
        table.add_row(
            f"... {len(answer.assignments) - _MOST_UNITS} more: --json", "", "", *("" for _ in models)
        )
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


def _limits_table(answer: Answer) -> Table:
    """Return how much of each limit the answer uses."""
    table = new_table("limits", ("limit",), ("used", "at most", "share"))
    for use in answer.limits:
        share = f"{use.used / use.at_most:.1%}" if use.at_most else "-"
        table.add_row(*limit_texts(use), share)
    return table


def _objective_table(answer: Answer) -> Table:
    table = new_table("objective", ("",), ("",))
    table.show_header = False
    goal, run = answer.objective, answer.solver
    table.add_row(goal.name, goal.amount_text(goal.value))
    table.add_row("proved bound", goal.amount_text(goal.bound))
    gap = goal.gap or 0.0
    table.add_row("gap", "0 %" if gap < _NO_GAP else f"{gap * 100:.4g} %")
    if answer.costs is not None and answer.costs.utilisation is not None:
        table.add_row("busiest device or link works", f"{answer.costs.utilisation * 100:.4g} % of the time")
    size = program_size(run.variables, run.constraints)
    if run.time_limit_ended:
        table.add_row("ended by", "the time limit")
        size = size if run.variables else "no program was built"
    table.add_row(run.name, f"{run.runtime_s:.2f} s, {size}")
    if run.peak_mib is not None:
        table.add_row("peak memory", f"{run.peak_mib:.0f} MiB")
    return table
