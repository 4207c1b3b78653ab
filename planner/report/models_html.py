"""The report of several models that were planned together: what they share, and links to each one's page."""

from collections.abc import Iterator
from importlib.metadata import version

from markupsafe import Markup

from planner.plan.models_record import ModelsPlan
from planner.report.html_page import Cells, render
from planner.report.html_values import FormattedValues, join
from planner.verification.noisy_costs import noisy_costs_text, of_costs_text


def models_page(record: ModelsPlan) -> str:
    """Return the page of a plan for several models as HTML."""
    formatted = FormattedValues(record)
    of_costs = of_costs_text(record.noisy_costs)
    return render(
        "models",
        {},
        title=f"{len(record.models)} models on the same devices: the {record.status} plan{of_costs}",
        lead=Markup(
            "A request takes {} in the mean over all models, when nothing else runs; the plan is proved to "
            "within {} of the best."
        ).format(formatted("ms", "latency_s"), formatted("percent", "objective", "gap"))
        + _noisy_sentence(record),
        models=list(_model_rows(record, formatted)),
        places=list(_place_rows(record, formatted)),
        proof=list(_proof_rows(record, formatted)),
        footer=f"splitquant {version('splitquant')}",
    )


def _noisy_sentence(record: ModelsPlan) -> str:
    text = noisy_costs_text(record.noisy_costs)
    return f" {text[0].upper()}{text[1:]}." if text else ""


def _model_rows(record: ModelsPlan, formatted: FormattedValues) -> Iterator[Cells]:
    for n, entry in enumerate(record.models):
        link = Markup('<a href="{}/report.html">{}</a>').format(entry.folder, entry.name)
        rate = (
            ("significant4", "requests_per_s") if entry.requests_per_s is not None else ("percent", "share")
        )
        yield (
            link,
            formatted(rate[0], "models", n, rate[1]),
            formatted("ms", "models", n, "latency_s"),
            formatted("noise", "models", n, "noise_relative_rms"),
            formatted("mJ", "models", n, "energy_j"),
        )


def _place_rows(record: ModelsPlan, formatted: FormattedValues) -> Iterator[Cells]:
    for name in dict.fromkeys((*record.memory_bytes, *record.busy_s)):
        yield (
            name,
            formatted("ms", "busy_s", name) if name in record.busy_s else "",
            formatted("percent", "utilisation", name) if name in record.utilisation else "",
            formatted("size", "memory_bytes", name) if name in record.memory_bytes else "",
        )


def _proof_rows(record: ModelsPlan, formatted: FormattedValues) -> Iterator[Cells]:
    yield "status", formatted("text", "status") + of_costs_text(record.noisy_costs)
    yield f"objective: {record.objective.name}", formatted("significant4", "objective", "value")
    yield "no plan can be below", formatted("significant4", "objective", "bound")
    yield (
        "requests per second that the busiest device or link can take",
        formatted("significant4", "throughput_per_s"),
    )
    if record.energy_j is not None:
        yield "energy of a request", formatted("mJ", "energy_j")
    yield "solver", join([formatted("text", "solver", "name"), formatted("s", "solver", "runtime_s")])
