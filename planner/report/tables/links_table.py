"""Links as hosts measured them: for the terminal, and as YAML for a scenario."""

import json
from collections.abc import Sequence

from rich.console import RenderableType

from planner.plan.measured_costs import MeasuredLink
from planner.report.tables.table_style import new_table
from planner.scenario.link_schema import LinkSpec

_UNKNOWN = "-"
_DIGITS = 4  # no measurement of a network is better than that


def links_table(links: Sequence[LinkSpec], measured: Sequence[MeasuredLink]) -> RenderableType:
    """Return the links of a scenario beside what hosts measured."""
    table = new_table("links", ("from", "to"), ("Mbit/s", "in the scenario", "latency ms", "in the scenario"))
    by_ends = {(link.source, link.target): link for link in measured}
    for link in links:
        seen = by_ends.get((link.source, link.target))
        table.add_row(
            link.source,
            link.target,
            _cell(None if seen is None else seen.bandwidth_mbit_per_s),
            f"{link.bandwidth_mbit_per_s:g}",
            _cell(None if seen is None else seen.latency_ms),
            f"{link.latency_ms:g}",
        )
    return table


def links_yaml(links: Sequence[LinkSpec]) -> str:
    """Return links as the YAML of a scenario's `links`; JSON is YAML, whatever a name holds."""
    lines = [json.dumps(_rounded(link), ensure_ascii=False) for link in links]
    return "links:\n" + "".join(f"  - {line}\n" for line in lines)


def _rounded(link: LinkSpec) -> dict[str, object]:
    content: dict[str, object] = link.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for key in ("bandwidth_mbit_per_s", "latency_ms"):
        if key in content:
            content[key] = float(f"{getattr(link, key):.{_DIGITS}g}")
    return content


def _cell(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.{_DIGITS}g}"
