"""What lies between the stages of a request: links, and what no stage does on the way.

A stage is what a device runs in one piece. A unit of a device without stages (`Device.contiguous`) stands
for itself: it runs as soon as its tensors have come, beside whatever else runs there. A source or a sink
waits for nothing; where transfers block its device it sends, or receives, one tensor after another.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.problem.lone_switches import lone_switches
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.problem.units import Option

# A contiguous device by its number, a unit that stands for itself by `unit_stage`, a source or a sink by
# None, or by `blocked_end` where transfers block its device.
Stage = int | None


def unit_stage(problem: PlacementProblem, vertex: int) -> int:
    """Return the stage of a unit on a device without stages."""
    return len(problem.devices) + vertex


def blocked_end(device: int) -> int:
    """Return the stage of the sources, or of the sinks, of a device that transfers block."""
    return -1 - device


def blocked_device(end: int) -> int:
    """Return the device of a `blocked_end`."""
    return -1 - end


def end_stage(problem: PlacementProblem, device: int) -> Stage:
    """Return the stage of the sources, or of the sinks, of a device."""
    return blocked_end(device) if is_blocked(problem, device) else None


def is_blocked(problem: PlacementProblem, device: int) -> bool:
    """Return whether a stage of a device takes its transfers besides; units that stand alone do not."""
    return problem.devices[device].transfers_block and problem.devices[device].contiguous


def sent_links(problem: PlacementProblem, form: WireForm, source: int, target: int) -> tuple[int, ...]:
    """Return the links of a route that keep its first device from computing."""
    if not is_blocked(problem, source):
        return ()
    home = problem.physical_device(source)
    return tuple(x for x in form.routes[source][target] or () if problem.links[x].source == home)


def received_links(problem: PlacementProblem, form: WireForm, source: int, target: int) -> tuple[int, ...]:
    """Return the links of a route that keep its last device from computing."""
    if not is_blocked(problem, target):
        return ()
    home = problem.physical_device(target)
    return tuple(x for x in form.routes[source][target] or () if problem.links[x].target == home)


def free_seconds(problem: PlacementProblem, form: WireForm, source: int, target: int) -> float:
    """Return the seconds of a route on links that block neither of its ends; infinite if there is none."""
    blocking = {
        *sent_links(problem, form, source, target),
        *received_links(problem, form, source, target),
    }
    if not blocking:
        return form.seconds(source, target)
    return sum(form.link_s[x] for x in form.routes[source][target] or () if x not in blocking)


@dataclass(frozen=True, slots=True)
class StageWays:
    """What a request waits for besides its stages' own seconds.

    Parameters
    ----------
    between_s
        (stage, stage, model) -> seconds from the end of one to where the other can begin.
    stage_s
        Contiguous device -> seconds of transfers in its stage.
    sent_s, received_s
        `blocked_end` -> seconds of what its sources send, and of what its sinks receive.
    """

    between_s: dict[tuple[Stage, Stage, int], float]
    stage_s: dict[int, float]
    sent_s: dict[int, float]
    received_s: dict[int, float]


def stage_ways(problem: PlacementProblem, chosen: Sequence[Option], forms: Sequence[int]) -> StageWays:
    """Return what lies between the stages of a choice.

    Parameters
    ----------
    chosen
        Vertex -> its option.
    forms
        Flow -> the form in which it exists, and crosses links.
    """
    ways = _Ways(problem, chosen)
    for flow, form in zip(problem.flows, forms, strict=True):
        ways.add(flow, form)
    return ways.result()


class _Ways:
    """The sums under construction."""

    def __init__(self, problem: PlacementProblem, chosen: Sequence[Option]) -> None:
        self._problem, self._chosen = problem, chosen
        pairs = zip(problem.vertices, chosen, strict=True)
        running = {option.device for vertex, option in pairs if not vertex.is_terminal}
        self._running = {d for d in running if problem.devices[d].contiguous}
        self._between: defaultdict[tuple[Stage, Stage, int], float] = defaultdict(float)
        self._lone: defaultdict[tuple[int, tuple[Stage, Stage, int]], float] = defaultdict(float)
        self._stage_s: defaultdict[int, float] = defaultdict(float)
        self._sent: defaultdict[int, float] = defaultdict(float)
        self._received: defaultdict[int, float] = defaultdict(float)

    def result(self) -> StageWays:
        between = dict(self._between)
        for (device, way), seconds in self._lone.items():
            if device not in self._running:
                between[way] += self._problem.devices[device].start_s + seconds
        return StageWays(between, dict(self._stage_s), dict(self._sent), dict(self._received))

    def add(self, flow: Flow, number: int) -> None:
        self._add_blocking(flow, flow.forms[number])
        model = self._problem.flow_model(flow)
        start, home = self._stage(flow.producer), self._chosen[flow.producer].device
        pooled: set[tuple[Stage, int, bool]] = set()
        for v in flow.consumers:
            end, device = self._stage(v), self._chosen[v].device
            is_due = self._problem.vertices[v].is_terminal
            if self._stands_alone(flow.producer) or self._stands_alone(v):
                # Each such tensor is on its way for itself.
                seconds = self._seconds(flow, number, v)
                key = (start, end, model)
                self._between[key] = max(self._between[key], seconds)
            elif self._is_end(flow.producer) or is_due or device != home:
                pooled.add((end, device, is_due))
        for end, device, is_due in pooled:
            self._pool(flow, number, (start, end, model), home, device, is_due=is_due)

    def _pool(
        self, flow: Flow, number: int, way: tuple[Stage, Stage, int], home: int, device: int, *, is_due: bool
    ) -> None:
        """Add a tensor to what goes from stage to stage, one after another."""
        problem = self._problem
        self._between[way] += free_seconds(problem, flow.forms[number], home, device)
        self._between[way] += sum(end_changes(problem, flow, number, home, device, is_due=is_due))
        for at, seconds in lone_switches(problem, flow, number, home, device, is_due=is_due):
            if problem.devices[at].contiguous:
                self._lone[at, way] += seconds

    def _seconds(self, flow: Flow, number: int, consumer: int) -> float:
        """Return the seconds from a stage's end to its tensor's reader, where one of both stands alone."""
        problem, form = self._problem, flow.forms[number]
        home, device = self._chosen[flow.producer].device, self._chosen[consumer].device
        both_units = not (self._is_end(flow.producer) or self._is_end(consumer))
        seconds = free_seconds(problem, form, home, device)
        made = self._chosen[flow.producer].format
        if not problem.devices[home].contiguous:
            seconds += sending_s(flow, number, made, home, device, seam=both_units)
        if not problem.devices[device].contiguous:
            asks = made, self._chosen[consumer].format
            seconds += receiving_s(flow, number, asks, home, device, seam=both_units)
        for at, changed_s in lone_switches(
            problem, flow, number, home, device, is_due=self._is_end(consumer)
        ):
            if problem.devices[at].contiguous and at not in self._running:
                seconds += problem.devices[at].start_s + changed_s
        return seconds

    def _add_blocking(self, flow: Flow, form: WireForm) -> None:
        """Add the transfers that keep the devices of both ends from computing, once for each stage."""
        problem, home = self._problem, self._chosen[flow.producer].device
        sent: set[int] = set()
        received: dict[tuple[int, bool], set[int]] = {}
        for v in flow.consumers:
            device = self._chosen[v].device
            sent |= {*sent_links(problem, form, home, device)}
            links = received.setdefault((device, self._is_end(v)), set())
            links |= {*received_links(problem, form, home, device)}
        self._pay(home, sent, form, self._sent if self._is_end(flow.producer) else None)
        for (device, is_due), links in received.items():
            self._pay(device, links, form, self._received if is_due else None)

    def _pay(
        self, device: int, links: set[int], form: WireForm, ends: defaultdict[int, float] | None
    ) -> None:
        seconds = sum(form.link_s[x] for x in sorted(links))
        if not links:
            return
        if ends is None:
            self._stage_s[device] += seconds
        else:
            ends[blocked_end(device)] += seconds

    def _stage(self, vertex: int) -> Stage:
        device = self._chosen[vertex].device
        if self._is_end(vertex):
            return end_stage(self._problem, device)
        return unit_stage(self._problem, vertex) if self._stands_alone(vertex) else device

    def _is_end(self, vertex: int) -> bool:
        return self._problem.vertices[vertex].is_terminal

    def _stands_alone(self, vertex: int) -> bool:
        device = self._chosen[vertex].device
        return not self._is_end(vertex) and not self._problem.devices[device].contiguous


def end_changes(
    problem: PlacementProblem, flow: Flow, number: int, source: int, target: int, *, is_due: bool
) -> Iterator[float]:
    """Yield the seconds in which a source or a sink on a device without stages changes a tensor."""
    if problem.vertices[flow.producer].is_terminal and not problem.devices[source].contiguous:
        yield sending_s(flow, number, FLOAT, source, target, seam=False)
    if is_due and not problem.devices[target].contiguous:
        yield receiving_s(flow, number, (FLOAT, FLOAT), source, target, seam=False)


def sending_s(flow: Flow, number: int, asks: int, source: int, target: int, *, seam: bool) -> float:
    """Return the seconds in which a producer that stands alone makes a tensor ready for a reader.

    Parameters
    ----------
    number
        The form in which the tensor exists, and crosses links.
    asks
        The format for which the producer asks.
    seam
        Whether units are at both of its ends.
    """
    form, seconds = flow.forms[number], 0.0
    if form.format not in (FLOAT, asks) and not flow.converts_at_consumer:
        seconds += flow.quantize_s[form.format][source]
    if source != target:
        seconds += flow.leave_s[form.format][source] if flow.leave_s and seam else 0.0
        seconds += form.encode_s[source] if form.encode_s else 0.0
    return seconds


def receiving_s(
    flow: Flow, number: int, asks: tuple[int, int], source: int, target: int, *, seam: bool
) -> float:
    """Return the seconds in which a reader that stands alone makes a tensor ready for itself.

    Parameters
    ----------
    asks
        The formats for which the producer and the reader ask.
    """
    form, seconds = flow.forms[number], 0.0
    if form.format != FLOAT:
        if flow.converts_at_consumer and asks[0] != form.format:
            seconds += flow.quantize_s[form.format][target]
        if asks[1] != form.format:
            seconds += flow.dequantize_s[form.format][target]
    if source != target:
        seconds += flow.enter_s[form.format][target] if flow.enter_s and seam else 0.0
        seconds += form.decode_s[target] if form.decode_s else 0.0
    return seconds
