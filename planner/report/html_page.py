"""What the pages of plans and comparisons share: their frame, and the units behind their figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from profiling.graph.operator_graph import OperatorGraph

LEGEND = (
    "Square boxes compute in fp32, round ones in int8, those with small corners in int16. "
    "Red lines cross a link."
)
Cells = Sequence[Any]


def units_data(graph: OperatorGraph) -> list[dict[str, object]]:
    """Return what a page's script shows of each unit."""
    return [
        {
            "name": unit.name,
            "operators": " ".join(unit.op_types),
            "nodes": unit.nodes,
            "bytes": output_bytes(graph, unit.index),
        }
        for unit in graph.units
    ]


def output_bytes(graph: OperatorGraph, unit: int) -> int:
    """Return the bytes that a unit hands on in the source model's types."""
    return sum(graph.tensors[name].size_bytes for name in graph.units[unit].outputs)


def render(template: str, data: Mapping[str, object], **parts: object) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    data
        What its script knows.
    parts
        What its template asks for.
    """
    environment = Environment(
        loader=PackageLoader("planner.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Without `<` no text can end the script element, or open a comment in it.
    text = Markup(msgspec.json.encode(data).decode().replace("<", "\\u003c"))
    return environment.get_template(f"{template}.html.jinja").render(data=text, **parts)
