"""A plan as node data of Google's Model Explorer: one file for each quantity that it lays over a graph."""

from collections.abc import Iterator, Sequence

import onnx

from planner.formatting import MILLI
from planner.json_record import Record
from planner.plan.plan_record import Assignment, Plan
from planner.report.figure_style import colours_of, ink_on
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision

_SCALE = ("#ffffff", "#d55e00")  # from the least to the most
_COLOURS = (
    "#d0d7de", "#56b4e9", "#009e73", "#0072b2", "#e69f00", "#d55e00", "#f0e442", "#cc79a7", "#8c6bb1",
)  # fmt: skip
_PRECISIONS = dict(zip(Precision, _COLOURS, strict=True))


class NodeValue(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a node shows, under the format's own keys; without colours those of the gradient."""

    value: float | str
    bgColor: str = ""  # noqa: N815
    textColor: str = ""  # noqa: N815


class GradientStop(Record, frozen=True, kw_only=True):
    """The colour of the least (0) or of the greatest value (1)."""

    stop: int
    bgColor: str  # noqa: N815


class NodeData(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One file: node data of the graph that is shown. A node is known by the name of an output tensor."""

    name: str
    results: dict[str, NodeValue]
    gradient: tuple[GradientStop, ...] = ()


def model_explorer_files(plan: Plan, model: onnx.ModelProto) -> dict[str, NodeData]:
    """Return file name -> node data of a plan's whole model.

    Device and precision are of all nodes of a unit. Milliseconds and noise are of its last one alone, so that
    the sums over groups that the program shows are right.

    Parameters
    ----------
    model
        In mixed precision. What the quantization tool added belongs to no unit, and has no data.
    """
    devices = [device.name for device in parse_scenario(bytes(plan.scenario)).devices]
    colours = colours_of(devices)
    nodes = list(_nodes(plan, model))
    last = {a.unit: (tensor, a) for tensor, a in nodes}.values()
    return {
        "device.json": NodeData(
            name="device", results={t: _coloured(a.device, colours[a.device]) for t, a in nodes}
        ),
        "precision.json": NodeData(
            name="precision",
            results={t: _coloured(a.precision.value, _PRECISIONS[a.precision]) for t, a in nodes},
        ),
        "milliseconds.json": _scaled("ms", [(t, a.compute_s * MILLI) for t, a in last]),
        "noise.json": _scaled("noise power of weights", [(t, a.noise_power) for t, a in last]),
    }


def _nodes(plan: Plan, model: onnx.ModelProto) -> Iterator[tuple[str, Assignment]]:
    """Yield each node's first output and its unit's assignment, in running order."""
    unit_of = {node: assignment for assignment in plan.assignments for node in assignment.nodes}
    for node in model.graph.node:
        if node.name in unit_of and node.output:
            yield node.output[0], unit_of[node.name]


def _coloured(value: str, colour: str) -> NodeValue:
    return NodeValue(value=value, bgColor=colour, textColor=ink_on(colour))


def _scaled(name: str, values: Sequence[tuple[str, float]]) -> NodeData:
    stops = tuple(GradientStop(stop=stop, bgColor=colour) for stop, colour in enumerate(_SCALE))
    return NodeData(
        name=name, results={tensor: NodeValue(value=value) for tensor, value in values}, gradient=stops
    )
