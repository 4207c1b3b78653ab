"""graph.json: the model's units and the tensors between them, for whoever draws a plan or walks it."""

import msgspec

from planner.json_record import Record

GRAPH = "graph.json"
GRAPH_FORMAT = 1


class GraphUnit(Record, frozen=True, kw_only=True):
    """A unit and the operators that it consists of."""

    unit: str
    operators: tuple[str, ...]


class GraphTensor(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A tensor between units.

    Parameters
    ----------
    source
        The unit that writes it; None for an input of the model.
    targets
        The units that read it.
    is_output
        Whether it is an output of the model.
    size_bytes
        As the fp32 model computes it.
    """

    tensor: str
    source: str | None = msgspec.field(name="from", default=None)
    targets: tuple[str, ...] = msgspec.field(name="to", default=())
    is_output: bool = False
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int = msgspec.field(name="bytes")


class UnitGraph(Record, frozen=True, kw_only=True):
    """The graph that a plan places, units in the order in which they run."""

    format: int
    units: tuple[GraphUnit, ...]
    tensors: tuple[GraphTensor, ...]
