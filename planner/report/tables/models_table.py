"""What several models share -> terminal tables."""

from rich.console import Group, RenderableType
from rich.table import Table

from planner.formatting import MILLI, program_size, size_text
from planner.plan.models_record import ModelsPlan
from planner.report.tables.table_style import line, new_table
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text


def models_table(record: ModelsPlan) -> RenderableType:
    """Return what several models share as a person reads it."""
    run = record.solver
    gap = f"{(record.objective.gap or 0.0):.4g}"
    of_costs = of_costs_text(record.noisy_costs)
    noisy = [line(text)] if (text := noisy_costs_text(record.noisy_costs)) else []
    mean = f"{(record.latency_s or 0.0) * MILLI:.2f} ms"
    return Group(
        _models(record, of_costs),
        *noisy,
        _places(record),
        line(f"latency of a request, in the mean over all models: {mean}"),
        line(
            f"{run.name}: {record.status}{of_costs}, gap {gap}, {run.runtime_s:.2f} s, "
            f"{program_size(run.variables, run.constraints)}"
        ),
    )


def _models(record: ModelsPlan, of_costs: str) -> Table:
    table = new_table(
        f"{record.status} plan of {len(record.models)} models{of_costs}",
        ("model",),
        ("requests", "latency ms", "noise, predicted"),
    )
    for entry in record.models:
        rate = f"{entry.share:.4g}" if entry.requests_per_s is None else f"{entry.requests_per_s:.4g} per s"
        table.add_row(entry.name, rate, f"{entry.latency_s * MILLI:.2f}", f"{entry.noise_relative_rms:.4f}")
    return table


def _places(record: ModelsPlan) -> Table:
    table = new_table("devices and links, all models", ("",), ("ms of a request", "of its time", "memory"))
    for name in dict.fromkeys((*record.memory_bytes, *record.busy_s)):
        used = record.utilisation.get(name)
        memory = record.memory_bytes.get(name)
        table.add_row(
            name,
            f"{record.busy_s.get(name, 0.0) * MILLI:.2f}",
            "" if used is None else f"{used:.2%}",
            "" if memory is None else size_text(memory),
        )
    return table
