"""What of a plan is minimised and limited."""

from dataclasses import dataclass
from enum import StrEnum


class CostMetric(StrEnum):
    """What of a plan can be limited and minimised; all but memory are per request.

    With several models a request is one of any model: see `several_models`.
    """

    LATENCY = "latency"  # seconds, everything in sequence
    MAKESPAN = "makespan"  # seconds, with stages that overlap where the graph allows
    PERIOD = "period"  # seconds between requests in a pipeline: the largest load of a device or link
    ENERGY = "energy"  # joules, of a device or of all
    MEMORY = "memory"  # bytes, of a device
    TRAFFIC = "traffic"  # bytes, over a link or over all
    NOISE = "noise"  # power relative to the outputs'
    MONEY = "money"


_OF_MODELS = frozenset({CostMetric.LATENCY, CostMetric.MAKESPAN, CostMetric.NOISE})


@dataclass(frozen=True, slots=True)
class Quantity:
    """A metric of the whole plan, or of a part of it.

    Parameters
    ----------
    of
        Index of a device or link; None for all.
    model
        Index of a model, of latency, makespan and noise; None for all models.
    """

    metric: CostMetric
    of: int | None = None
    model: int | None = None

    @property
    def is_of_models(self) -> bool:
        """Whether each model has it for itself, so that it may name one."""
        return self.metric in _OF_MODELS


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
