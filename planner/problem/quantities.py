"""What of a plan is minimised and limited."""

from dataclasses import dataclass
from enum import StrEnum


class CostMetric(StrEnum):
    """What of a plan can be limited and minimised; all but memory are per request."""

    LATENCY = "latency"  # seconds, everything in sequence
    MAKESPAN = "makespan"  # seconds, with stages that overlap where the graph allows
    PERIOD = "period"  # seconds between requests in a pipeline: the largest load of a device or link
    ENERGY = "energy"  # joules, of a device or of all
    MEMORY = "memory"  # bytes, of a device
    TRAFFIC = "traffic"  # bytes, over a link or over all
    NOISE = "noise"  # power relative to the outputs'
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A metric of the whole plan, or of one device or link: `of` is its index."""

    metric: CostMetric
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget."""

    quantity: Quantity
    at_most: float


@dataclass(frozen=True, slots=True)
class ObjectiveTerm:
    """A part of the objective, which is the sum of weight times quantity."""

    quantity: Quantity
    weight: float = 1.0
