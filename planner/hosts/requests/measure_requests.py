"""Sends samples through running hosts, and says what they took beside what the plan predicts."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import networkx as nx
import numpy as np

from planner.errors import HostError
from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import RequestClient
from planner.hosts.requests.request_events import Event, expected_events, is_complete
from planner.hosts.requests.request_times import RequestTimes, Span, SpanKind, request_times
from planner.plan.manifest import PlanStages
from planner.plan.plan_record import Cut
from planner.plan.requests_record import COMPUTE, PartTimes, Percentiles, PlanRequests, RequestsRecord
from planner.scenario.link_schema import LinkSpec
from profiling.arrays import Feeds
from profiling.progress import Progress

_EVENTS_S, _POLL_S = 3.0, 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request ended: with an answer, or with a reason.

    Parameters
    ----------
    bandwidth
        Of the links that are followed, as it was known when the request was sent.
    """

    answer: Answer | None
    reason: str = ""
    bandwidth: float | None = None


def send_all(
    client: RequestClient, samples: Sequence[Feeds], progress: Progress, rate_per_s: float | None = None
) -> Iterator[Ended]:
    """Send samples and yield how each ended, in their order.

    Parameters
    ----------
    rate_per_s
        How many are sent in a second; one after the other, each when the one before has ended, if None.
    """
    pending: deque[tuple[Future[Answer], float | None]] = deque()
    began = time.monotonic()
    for number, feeds in enumerate(samples):
        if rate_per_s is not None:
            time.sleep(max(0.0, began + number / rate_per_s - time.monotonic()))
        bandwidth = None if client.watch is None else client.watch.bandwidth
        pending.append((client.submit(feeds), bandwidth))
        while pending and (rate_per_s is None or pending[0][0].done()):
            yield _ended(*pending.popleft())
            progress("requests", number + 1, len(samples))
    while pending:
        yield _ended(*pending.popleft())


def _ended(future: "Future[Answer]", bandwidth: float | None) -> Ended:
    try:
        return Ended(future.result(), bandwidth=bandwidth)
    except HostError as exc:
        return Ended(None, str(exc), bandwidth)


def clock_offsets(client: RequestClient) -> dict[str, float]:
    """Return device -> its clock minus the source's, in seconds, of those that can be reached."""
    source = client.deployment.source
    offsets, queue = {source: 0.0}, deque([source])
    known = {host.device for host in client.deployment.hosts}
    while queue:
        device = queue.popleft()
        try:
            seen = client.status(device).offsets_s
        except HostError:
            continue
        for neighbour, offset_s in seen.items():
            if neighbour in known and neighbour not in offsets:
                offsets[neighbour] = offsets[device] + offset_s
                queue.append(neighbour)
    return offsets


@dataclass(frozen=True, slots=True)
class Told:
    """What hosts told of a request, and whether that is everything that its times need."""

    events: tuple[Event, ...]
    is_complete: bool


def told_of(client: RequestClient, answers: Sequence[Answer], within_s: float = _EVENTS_S) -> list[Told]:
    """Return what hosts tell of each of some requests within a time: they do so soon after the answer.

    Some of it may get lost, where hosts or links do, or where other things need the room.
    """
    links: nx.DiGraph = nx.DiGraph((link.source, link.target) for link in client.scenario.links)
    expected = [expected_events(manifest, links) for manifest in client.manifests]
    ends_s = time.monotonic() + within_s
    found = [Told((), is_complete=False)] * len(answers)
    missing = list(range(len(answers)))
    while missing:
        for number in missing:
            events = client.events(answers[number])
            found[number] = Told(events, is_complete(events, expected[answers[number].plan]))
        missing = [number for number in missing if not found[number].is_complete]
        if time.monotonic() >= ends_s:
            break
        time.sleep(_POLL_S if missing else 0.0)
    return found


def requests_record(
    client: RequestClient, ended: Sequence[Ended], seconds: float, offsets_s: Mapping[str, float]
) -> tuple[RequestsRecord, list[RequestTimes]]:
    """Return what requests took beside what their plans predict, and each request's own times.

    Times are those of the requests of which hosts told everything.

    Parameters
    ----------
    seconds
        From the first request to the last answer.
    """
    answered = [(one.answer, one.bandwidth) for one in ended if one.answer is not None]
    answers = [answer for answer, _ in answered]
    runs = [
        _Run(answer.plan, bandwidth, _times(told, client.manifests[answer.plan], offsets_s))
        for (answer, bandwidth), told in zip(answered, told_of(client, answers), strict=True)
    ]
    plans = tuple(
        _plan_requests(client, number, [run for run in runs if run.plan == number])
        for number in range(len(client.manifests))
    )
    only = plans[0] if len(plans) == 1 else None
    times = _known(runs)
    record = RequestsRecord(
        deployment=client.deployment.deployment,
        plan=", ".join(plan.name for plan in client.deployment.plans),
        requests=len(ended),
        answered=len(answers),
        retried=sum(answer.attempts > 1 for answer in answers),
        failures=dict(Counter(one.reason for one in ended if one.answer is None)),
        seconds=seconds,
        requests_per_s=len(answers) / seconds if seconds else 0.0,
        latency=percentiles([one.latency_s for one in times]),
        predicted_latency_s=None if only is None else only.predicted_latency_s,
        overhead=None if only is None else only.overhead,
        predicted_per_s=None if only is None else client.deployment.plans[0].costs.throughput_per_s,
        round_trip=percentiles([answer.seconds for answer in answers]),
        message_bytes=client.message_bytes,
        incomplete_events=len(runs) - len(times),
        parts=() if only is None else only.parts,
        plans=() if only is not None else plans,
    )
    return record, times


@dataclass(frozen=True, slots=True)
class _Run:
    """A request that was answered, by which plan and at which bandwidth of the links that are followed.

    Parameters
    ----------
    times
        None where hosts did not tell everything.
    """

    plan: int
    bandwidth: float | None
    times: RequestTimes | None


def _times(told: Told, manifest: PlanStages, offsets_s: Mapping[str, float]) -> RequestTimes | None:
    return request_times(told.events, manifest, offsets_s) if told.is_complete else None


def _known(runs: Sequence[_Run]) -> list[RequestTimes]:
    return [run.times for run in runs if run.times is not None]


def _plan_requests(client: RequestClient, number: int, runs: Sequence[_Run]) -> PlanRequests:
    """Return what the requests by one plan took."""
    costs = client.deployment.plans[number].costs
    predicted = [costs.latency_s(run.bandwidth) for run in runs]
    known = [latency_s for latency_s in predicted if latency_s is not None]
    return PlanRequests(
        plan=client.deployment.plans[number].name,
        answered=len(runs),
        latency=percentiles([times.latency_s for times in _known(runs)]),
        predicted_latency_s=float(np.median(known)) if known else None,
        overhead=percentiles([times.overhead_s for times in _known(runs)]),
        parts=tuple(_parts(client, number, runs)),
    )


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Return the percentiles of some seconds; None of none."""
    if not values:
        return None
    p50, p90, p99 = np.percentile(values, (50, 90, 99)).tolist()
    return Percentiles(p50_s=p50, p90_s=p90, p99_s=p99)


def _parts(client: RequestClient, number: int, runs: Sequence[_Run]) -> Iterator[PartTimes]:
    """Yield what each device computed and what crossed, in the order of the first request."""
    times = _known(runs)
    manifest, compute_s = client.manifests[number], client.deployment.plans[number].costs.compute_s
    for device in dict.fromkeys(stage.device for stage in manifest.stages):
        sums = [sum(span.seconds for span in _of(one, SpanKind.STAGE, device)) for one in times]
        measured = percentiles(sums)
        if measured is not None:
            predicted_s = compute_s.get(device)
            yield PartTimes(part=COMPUTE, way=(device,), predicted_s=predicted_s, measured=measured)
    for cut in manifest.cuts:
        all_seconds = [_crossing_s(one, cut, manifest.cuts) for one in times]
        crossed = percentiles([seconds for seconds in all_seconds if seconds is not None])
        if crossed is not None:
            predicted = [_predicted_crossing_s(client, cut, run.bandwidth) for run in runs]
            own = [_own_crossing_s(client, cut, run.bandwidth) for run in runs]
            yield PartTimes(
                part=cut.tensor,
                way=cut.path,
                predicted_s=float(np.median(predicted)),
                message_s=float(np.median(own)),
                measured=crossed,
            )


def _predicted_crossing_s(client: RequestClient, cut: Cut, bandwidth: float | None) -> float:
    """Return the seconds that a cut's tensor should be on its links.

    Parameters
    ----------
    bandwidth
        Of the links that are followed; None for the scenario's own.
    """
    if client.deployment.followed is None:
        return cut.seconds
    return sum(
        link.latency_s + cut.size_bytes / bytes_per_s for link, bytes_per_s in _links(client, cut, bandwidth)
    )


def _own_crossing_s(client: RequestClient, cut: Cut, bandwidth: float | None) -> float:
    """Return the seconds that what a message weighs beside a cut's tensor should take on its links."""
    return sum(client.message_bytes / bytes_per_s for _, bytes_per_s in _links(client, cut, bandwidth))


def _links(client: RequestClient, cut: Cut, bandwidth: float | None) -> Iterator[tuple[LinkSpec, float]]:
    """Yield a cut's links, each with its bytes per second."""
    hops, followed = set(zip(cut.path, cut.path[1:], strict=False)), client.deployment.followed
    for link in client.scenario.links:
        if (link.source, link.target) in hops:
            own = link.bandwidth_bytes_per_s
            yield link, own if followed is None else followed.bytes_per_s(link, bandwidth)


def _of(times: RequestTimes, kind: SpanKind, device: str) -> Iterator[Span]:
    return (span for span in times.spans if span.kind is kind and span.device == device)


def _crossing_s(times: RequestTimes, cut: Cut, cuts: Sequence[Cut]) -> float | None:
    """Return the seconds that a cut's tensor was on its links; None where it was not seen on all of them.

    Parameters
    ----------
    cuts
        All of the plan: a tensor may have the name of another one with an ending.
    """
    hops = set(zip(cut.path, cut.path[1:], strict=False))
    spans = [
        span
        for span in times.spans
        if span.kind is SpanKind.LINK
        and (span.device, span.other) in hops
        and _crosses_as(span.subject, cut.tensor)
        and all(
            len(other.tensor) <= len(cut.tensor) for other in cuts if _crosses_as(span.subject, other.tensor)
        )
    ]
    return sum(span.seconds for span in spans) if {(s.device, s.other) for s in spans} == hops else None


def _crosses_as(name: str, tensor: str) -> bool:
    """Return whether a tensor may cross under a name: its own, or with what its conversion adds to it."""
    return name == tensor or name.startswith(f"{tensor}_")
