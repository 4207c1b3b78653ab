"""Requests and hosts for the terminal."""

import shlex
from collections.abc import Sequence

from rich.console import Group, RenderableType

from planner.formatting import short_name
from planner.plan.host_status import HostStatus
from planner.plan.requests_record import (
    BANDWIDTH,
    Deviation,
    PartTimes,
    Percentiles,
    RawInput,
    RequestsRecord,
)
from planner.report.tables.table_style import PlainTable, line, new_table

_MILLI = 1e3
_PERCENT = 100.0
_MBIT = 8e-6
_UNKNOWN = "-"


def requests_table(record: RequestsRecord) -> RenderableType:
    """Return what requests took, beside what the plan predicts."""
    table = new_table(
        "measured beside predicted, ms", ("part", "where"), ("predicted", "p50", "p90", "p99", "p50 off by")
    )
    if record.latency is not None:
        table.add_row("latency of one request", "", *_cells(record.predicted_latency_s, record.latency))
    _add_parts(table, record.parts, record.overhead)
    for plan in record.plans:
        if plan.latency is not None:
            name = f"{plan.plan}: latency of one request"
            table.add_row(name, "", *_cells(plan.predicted_latency_s, plan.latency))
            _add_parts(table, plan.parts, plan.overhead)
    if record.round_trip is not None:
        table.add_row("there and back", "", *_cells(None, record.round_trip))
    return Group(table, *(line(text) for text in _summary(record)))


def _add_parts(table: PlainTable, parts: Sequence[PartTimes], overhead: Percentiles | None) -> None:
    for part in parts:
        table.add_row(short_name(part.part), " > ".join(part.way), *_cells(part.predicted_s, part.measured))
    if overhead is not None:
        table.add_row("overhead", "hosts", *_cells(None, overhead))


def deviation_lines(deviations: Sequence[Deviation], folder: str) -> list[str]:
    """Return what was measured outside of what was planned for, and what to do about it."""
    if not deviations:
        return []
    return [*map(_deviation_line, deviations), f"next: plan replan {shlex.quote(folder)} --measured"]


def raw_input_lines(inputs: Sequence[RawInput]) -> list[str]:
    """Return why predictions do not hold for inputs that the plan prices as they arose."""
    return [
        f"{short_name(one.tensor)} crosses as {one.sent_bytes} bytes; the plan counts wire_bytes, "
        f"{one.counted_bytes}: leave that out and plan again for predictions that hold here"
        for one in inputs
    ]


def _deviation_line(deviation: Deviation) -> str:
    factor, unit = (1.0, "Mbit/s") if deviation.what == BANDWIDTH else (_MILLI, "ms")
    low, high, measured = (
        f"{value * factor:.4g}" for value in (deviation.low, deviation.high, deviation.measured)
    )
    planned = low if low == high else f"{low} to {high}"
    return f"{' > '.join(deviation.where)}: {deviation.what} is {measured} {unit}, planned for {planned}"


def _cells(predicted_s: float | None, measured: Percentiles) -> list[str]:
    off = _UNKNOWN if not predicted_s else f"{_PERCENT * (measured.p50_s / predicted_s - 1):+.1f}%"
    values = (predicted_s, measured.p50_s, measured.p90_s, measured.p99_s)
    return [_UNKNOWN if value is None else f"{value * _MILLI:.2f}" for value in values] + [off]


def _summary(record: RequestsRecord) -> list[str]:
    lines = [
        f"{record.answered} of {record.requests} requests answered, {record.requests_per_s:.1f} per second"
        + (f"; {record.retried} were sent again" if record.retried else "")
    ]
    lines += [f"{plan.answered} of them by {plan.plan}" for plan in record.plans]
    if record.predicted_per_s is not None:
        lines.append(
            f"as planned, with its links, the pipeline handles {record.predicted_per_s:.1f} per second"
        )
    lines += _message_lines(record)
    return lines + [f"{count} failed: {reason}" for reason, count in record.failures.items()]


def _message_lines(record: RequestsRecord) -> list[str]:
    """Return what messages weigh that predictions leave out, and how many requests have no times."""
    lines = []
    parts = [*record.parts, *(part for plan in record.plans for part in plan.parts)]
    longest_s = max((part.message_s for part in parts if part.message_s is not None), default=None)
    if longest_s is not None:
        lines.append(
            f"a message has {record.message_bytes} bytes beside its tensor, which predictions leave out: "
            f"{longest_s * _MILLI:.2f} ms of a crossing at most"
        )
    if record.incomplete_events:
        lines.append(
            f"hosts did not tell everything of {record.incomplete_events} of them: they have no times here"
        )
    return lines


def hosts_table(hosts: Sequence[tuple[str, HostStatus | None]], source: str) -> RenderableType:
    """Return who is there and what each does; None for a host that does not answer.

    Parameters
    ----------
    source
        The device where requests begin and end: it alone counts those that are answered and failed.
    """
    table = new_table("hosts", ("host", "plan"), ("stages", "open", "answered", "failed", "refused", "MiB"))
    columns = ("Mbit/s", "round trip ms", "clock ms", "queue", "messages")
    links = new_table("connections, and messages sent", ("from", "to"), columns)
    for name, status in hosts:
        if status is None:
            table.add_row(name, "not reached", *[_UNKNOWN] * 6)
            continue
        ends = (status.answered, status.failed) if name == source else (_UNKNOWN, _UNKNOWN)
        counts = (status.stages, status.open, *ends, status.refused)
        memory = _UNKNOWN if status.memory_mib is None else f"{status.memory_mib:.0f}"
        table.add_row(name, ", ".join(status.plans), *map(str, counts), memory)
        for other, link in status.links.items():
            links.add_row(
                name,
                other if link.there else f"{other} (gone)",
                _scaled(link.bytes_per_s, _MBIT, 1),
                _scaled(link.round_trip_s, _MILLI, 2),
                _scaled(link.clock_offset_s, _MILLI, 2),
                str(link.queue),
                str(link.messages),
            )
    return Group(table, links)


def _scaled(value: float | None, factor: float, digits: int) -> str:
    return _UNKNOWN if value is None else f"{value * factor:.{digits}f}"
