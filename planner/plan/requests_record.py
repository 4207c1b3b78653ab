"""What requests through running hosts took, beside what the plan predicts."""

from planner.json_record import Record

COMPUTE, BANDWIDTH, LATENCY = "compute", "bandwidth", "latency"


class Percentiles(Record, frozen=True, kw_only=True):
    """Seconds that half, nine tenths and 99 of a hundred requests did not exceed."""

    p50_s: float
    p90_s: float
    p99_s: float


class PartTimes(Record, frozen=True, kw_only=True):
    """A part of a request: what a device computes, or a tensor on its way.

    Parameters
    ----------
    part
        `compute`, or the tensor's name.
    way
        The device, or the devices on the way.
    predicted_s
        None where the plan prices no such part: answers that go back to who asks.
    message_s
        What its messages have beside the tensor should take so long on the links; `predicted_s` leaves it
        out.
    """

    part: str
    way: tuple[str, ...]
    predicted_s: float | None
    message_s: float | None = None
    measured: Percentiles


class PlanRequests(Record, frozen=True, kw_only=True):
    """The requests that ran by one plan of several; fields as in `RequestsRecord`."""

    plan: str
    answered: int
    latency: Percentiles | None
    predicted_latency_s: float | None
    overhead: Percentiles | None = None
    parts: tuple[PartTimes, ...] = ()


class Deviation(Record, frozen=True, kw_only=True):
    """Something that was measured outside of what was planned for.

    Parameters
    ----------
    what
        `compute` in seconds, `bandwidth` in Mbit/s, or `latency` in seconds.
    where
        The device, or the ends of the link.
    low, high
        What was planned for: the same value twice, or a range.
    """

    what: str
    where: tuple[str, ...]
    low: float
    high: float
    measured: float


class RawInput(Record, frozen=True, kw_only=True):
    """An input that a plan prices with its `wire_bytes`, but that crosses as a tensor.

    Parameters
    ----------
    counted_bytes, sent_bytes
        Of one sample: in the plan, and between hosts.
    """

    tensor: str
    counted_bytes: int
    sent_bytes: int


class RequestsRecord(Record, frozen=True, kw_only=True):
    """A run of requests.

    Parameters
    ----------
    latency, predicted_latency_s
        From a request's last input at the source to its last output at the sink; where the prediction depends
        on a bandwidth that changed meanwhile, the median of the predictions.
    overhead
        Of the latency, the time in which no stage ran and no tensor was on its way; plans leave it out.
    round_trip
        From sending it to having the answer, where it was asked.
    retried
        Requests that were sent again because a host was lost.
    failures
        Reason -> how many requests ended with it.
    message_bytes
        What a message weighs on a link beside its tensor, without TCP's own.
    incomplete_events
        Answered requests of which hosts did not tell everything in time; times are those of the others.
    plans, parts
        What each of several plans answered; of a single plan it stands here.
    deviations
        What was measured outside of what was planned for.
    """

    deployment: str
    plan: str
    requests: int
    answered: int
    retried: int
    failures: dict[str, int]
    seconds: float
    requests_per_s: float
    latency: Percentiles | None
    predicted_latency_s: float | None
    predicted_per_s: float | None
    round_trip: Percentiles | None
    overhead: Percentiles | None = None
    message_bytes: int | None = None
    incomplete_events: int = 0
    parts: tuple[PartTimes, ...] = ()
    plans: tuple[PlanRequests, ...] = ()
    deviations: tuple[Deviation, ...] = ()
