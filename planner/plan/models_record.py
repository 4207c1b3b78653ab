"""models.json: what several models that were planned together share, beside each model's own plan folder."""

import msgspec

from planner.json_record import Record
from planner.plan.plan_record import NoisyCosts, Objective, SolverRun

MODELS_FORMAT = 1


class ModelEntry(Record, frozen=True, kw_only=True):
    """One of the models; what it costs is for one of its own requests.

    Parameters
    ----------
    folder
        Its plan folder, beside models.json.
    share
        Of the requests of all models.
    """

    name: str
    folder: str
    share: float
    requests_per_s: float | None = None
    latency_s: float
    makespan_s: float | None = None
    energy_j: float | None = None
    noise_relative_rms: float
    memory_bytes: dict[str, int]


class ModelsPlan(Record, frozen=True, kw_only=True):
    """What all models share: means over their requests, and what devices and links bear.

    Parameters
    ----------
    latency_s, energy_j, money, traffic_bytes
        Means over the requests of all models.
    busy_s
        Device or link -> seconds for a request of any model, in the mean; its inverse at the largest is
        `throughput_per_s`.
    utilisation
        Device or link -> share of its time for which it works; empty where no requests per second are given.
    memory_bytes
        Device -> weights of all models, and inputs and outputs of each model's largest unit.
    """

    format: int
    status: str
    objective: Objective
    solver: SolverRun
    requests_per_s: float | None = None
    latency_s: float | None = None
    energy_j: float | None = None
    energy_device_j: dict[str, float] = msgspec.field(default_factory=dict)
    money: float = 0.0
    throughput_per_s: float | None = None
    busy_s: dict[str, float] = msgspec.field(default_factory=dict)
    utilisation: dict[str, float] = msgspec.field(default_factory=dict)
    memory_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    traffic_bytes: dict[str, float] = msgspec.field(default_factory=dict)
    models: tuple[ModelEntry, ...] = ()
    noisy_costs: tuple[NoisyCosts, ...] = ()
