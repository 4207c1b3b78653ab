"""A host: takes tensors, runs stages, hands results on. Every request ends: answered, or with a reason."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from planner.hosts.on_host.clock_offsets import ClockOffset, exchange
from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage, HostManifest
from planner.hosts.on_host.messages import (
    Array,
    BadMessageError,
    Event,
    Failure,
    TensorHeader,
    failure,
    tensor_bytes,
    tensor_header,
    tensor_of,
)
from planner.hosts.on_host.network import (
    ANSWER,
    FAILURE,
    PING,
    STATUS,
    TENSOR,
    Incoming,
    Network,
    Outcome,
    Refused,
)
from planner.hosts.on_host.open_requests import OpenRequest, OpenRequests
from planner.hosts.on_host.outbox import Outbox, Outgoing, Sent
from planner.hosts.on_host.stage_runtime import StageRuntime
from planner.hosts.on_host.status import LinkSeen, resident_mib

_LOG = logging.getLogger(__name__)
_TICK_S = 0.2  # how late a deadline may be noticed
_PING_S, _PINGS_AT_ONCE = 2.0, 4
_LONGEST_S = 3600.0  # what a request may ask for at most
_ROOM = 4  # times the requests that the source lets in: what a host keeps at most
_CLIENT = "client-"


@dataclass(frozen=True)
class _Ready:
    """A stage that can run."""

    request: OpenRequest
    stage: HostedStage


class Host:
    """Serves the stages of one device.

    Parameters
    ----------
    stages
        (plan's index, stage's number) -> the open stage.
    """

    def __init__(
        self, manifest: HostManifest, network: Network, stages: Mapping[tuple[int, int], StageRuntime]
    ) -> None:
        self._manifest, self._network, self._stages = manifest, network, stages
        self._device = manifest.device
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._requests = OpenRequests(_ROOM * manifest.most_requests)
        # At the source: requests that have been let in, and messages of those that wait for it.
        self._let_in: dict[str, tuple[str, float, set[str]]] = {}
        self._waiting: list[tuple[float, Incoming]] = []
        self._ready: queue.Queue[_Ready | None] = queue.Queue()
        self._links = {name: LinkSeen() for name in manifest.neighbours}
        self._offsets = {name: ClockOffset() for name in manifest.neighbours}
        self._present: dict[str, bool] = dict.fromkeys(manifest.neighbours, False)
        self._outboxes: dict[str, Outbox] = {}
        self._counts = {"answered": 0, "failed": 0, "refused": 0}
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._compute, self._tick, self._ping)
        ]

    def start(self) -> None:
        """Begin to take messages."""
        for thread in self._threads:
            thread.start()
        for neighbour in self._manifest.neighbours:
            self._network.watch(neighbour, partial(self._neighbour_changed, neighbour))
        self._network.serve(self.take)

    def close(self) -> None:
        """End; requests that are open end at their deadlines elsewhere."""
        self._closed.set()
        self._ready.put(None)
        with self._lock:
            outboxes = list(self._outboxes.values())
        for outbox in outboxes:
            outbox.close()
        self._network.close()

    def take(self, message: Incoming) -> None:
        """Take a message that came in, answering it now or, where too many requests are open, later."""
        try:
            if message.kind == TENSOR:
                self._take_tensor(message)
            elif message.kind in {ANSWER, FAILURE}:
                self._pass_on(message)
            elif message.kind == PING:
                message.accept(json.dumps([time.time_ns()] * 2).encode())
            elif message.kind == STATUS:
                # It may ask a neighbour, and this thread must not wait.
                threading.Thread(target=self._tell_status, args=(message,), daemon=True).start()
            else:
                raise Refused(f"{message.kind!r} is no kind of message")
        except (Refused, BadMessageError) as exc:
            with self._lock:
                self._counts["refused"] += 1
            _LOG.warning("refused from %s: %s", message.sender, exc)
            message.refuse(f"{self._device}: {exc}")

    # Tensors ------------------------------------------------------------------------------------------

    def _take_tensor(self, message: Incoming) -> None:
        header = tensor_header(message.header)
        plan = self._plan(header)
        routed = plan.tensors.get(header.tensor)
        if routed is None:
            raise Refused(f"no tensor {header.tensor!r} comes here")
        if header.spec != routed.spec:
            raise Refused(f"{header.tensor!r} is {header.dtype}{list(header.shape)}, not {routed.spec}")
        self._check_sender(message.sender, header, plan, routed.sender)
        array = tensor_of(message.payload, routed.spec)
        with self._lock:
            if self._requests.has_ended(header.request):
                message.accept()  # a copy of something that is over
                return
            request = self._requests.get(header.request)
            if request is None:
                if not self._has_room(message, header):
                    return
                request = self._open(header, plan)
            message.accept()
            if header.tensor in request.seen:
                return
            received = Event("received", self._device, header.tensor, message.sender, time.time_ns())
            request.events.update(dict.fromkeys((*header.events, received)))
            self._took(request, plan, header.tensor, array, message.payload)

    def _plan(self, header: TensorHeader) -> HostedPlan:
        if header.plan >= len(self._manifest.plans):
            raise Refused(f"there is no plan {header.plan}")
        if not 0 < header.left_s <= _LONGEST_S:
            raise Refused("its deadline has passed, or is more than an hour away")
        return self._manifest.plans[header.plan]

    def _check_sender(
        self, sender: str, header: TensorHeader, plan: HostedPlan, expected: str | None
    ) -> None:
        asks = self._manifest.is_source and sender.startswith(_CLIENT) and sender == header.client
        if asks and header.tensor in plan.inputs:
            return
        if expected is None or sender != expected:
            raise Refused(f"{header.tensor!r} does not come from {sender}")

    def _has_room(self, message: Incoming, header: TensorHeader) -> bool:
        """Return whether a new request fits; at the source it waits until it does."""
        if not self._manifest.is_source:
            if self._requests.is_full:
                raise Refused("too many requests are open")
            return True
        if len(self._let_in) < self._manifest.most_requests:
            return True
        if len(self._waiting) >= _ROOM * self._manifest.most_requests:
            raise Refused("too many requests wait")
        self._waiting.append((time.monotonic() + header.left_s, message))
        return False

    def _open(self, header: TensorHeader, plan: HostedPlan) -> OpenRequest:
        deadline = time.monotonic() + header.left_s
        request = OpenRequest(header.request, header.client, header.plan, deadline)
        self._requests.add(request)
        if self._manifest.is_source:
            self._let_in[request.name] = (request.client, deadline, set(plan.outputs))
        return request

    def _took(
        self, request: OpenRequest, plan: HostedPlan, name: str, array: Array, payload: bytes | None
    ) -> None:
        """Use a tensor that has come or arisen: for stages here, for neighbours, as an answer."""
        routed = plan.tensors[name]
        for stage in request.take(name, array, plan):
            self._ready.put(_Ready(request, stage))
        header = self._header(request, name, array)
        if (routed.receivers or routed.is_answer) and payload is None:
            payload = tensor_bytes(array)
        for receiver in routed.receivers:
            request.handed_to.add(receiver)
            self._outbox(receiver).put(Outgoing(TENSOR, header, payload or b"", request.deadline))
        if routed.is_answer:
            self._answer(header, payload or b"", request.deadline)
        if request.is_complete(plan):
            self._requests.end(request.name)

    def _header(self, request: OpenRequest, name: str, array: Array) -> TensorHeader:
        return TensorHeader(
            request.name,
            request.client,
            request.plan,
            name,
            str(array.dtype),
            tuple(array.shape),
            0.0,
            tuple(request.events),
        )

    # Stages -------------------------------------------------------------------------------------------

    def _compute(self) -> None:
        """Run what is ready, one stage at a time, as the plan was measured."""
        while not self._closed.is_set():
            ready = self._ready.get()
            if ready is None:
                return
            request, stage = ready.request, ready.stage
            if request.deadline <= time.monotonic() or self._requests.has_ended(request.name):
                continue
            try:
                self._run(request, stage)
            except MemoryError:
                self._fail(
                    request.name, request.client, f"stage {stage.number} needs more memory than there is"
                )
            except Exception as exc:  # noqa: BLE001 (the request ends with it, the host goes on)
                self._fail(request.name, request.client, f"stage {stage.number} failed: {exc}")

    def _run(self, request: OpenRequest, stage: HostedStage) -> None:
        feeds = {spec.name: request.arrays[spec.name] for spec in stage.inputs}
        started = Event("started", self._device, str(stage.number), "", time.time_ns())
        outputs = self._stages[request.plan, stage.number].run(feeds)
        finished = Event("finished", self._device, str(stage.number), "", time.time_ns())
        plan = self._manifest.plans[request.plan]
        with self._lock:
            request.events.update({started: None, finished: None})
            for spec in stage.outputs:
                array = outputs[spec.name]
                if (str(array.dtype), tuple(array.shape)) != (spec.dtype, spec.shape):
                    raise ValueError(f"{spec.name!r} came out as {array.dtype}{list(array.shape)}")
                self._took(request, plan, spec.name, array, None)

    # Ends of requests ---------------------------------------------------------------------------------

    def _pass_on(self, message: Incoming) -> None:
        """Hand an answer, or a failure, on towards the source and from there to who asked."""
        if message.sender not in self._manifest.neighbours:
            raise Refused(f"{message.sender} is no neighbour")
        if message.kind == FAILURE:
            told = failure(message.header)
            message.accept()
            with self._lock:
                self._tell_failure(told)
            return
        header = tensor_header(message.header)
        plan = self._plan(header)
        if header.tensor not in plan.outputs:
            raise Refused(f"{header.tensor!r} is no output")
        message.accept()
        received = Event("received", self._device, header.tensor, message.sender, time.time_ns())
        deadline = time.monotonic() + header.left_s
        with self._lock:
            self._answer(replace(header, events=(*header.events, received)), message.payload, deadline)

    def _answer(self, header: TensorHeader, payload: bytes, deadline: float) -> None:
        if not self._manifest.is_source:
            next_hop = self._manifest.next_hop[self._manifest.source]
            self._outbox(next_hop).put(Outgoing(ANSWER, header, payload, deadline))
            return
        client, _, missing = self._let_in.get(header.request, (None, 0.0, set()))
        if client is None or header.tensor not in missing:
            return  # it has ended, or comes twice
        self._outbox(client).put(Outgoing(ANSWER, header, payload, deadline))
        missing.discard(header.tensor)
        if not missing:
            self._counts["answered"] += 1
            self._let_out(header.request)

    def _fail(self, request: str, client: str, reason: str) -> None:
        """End a request without an answer."""
        with self._lock:
            self._tell_failure(Failure(request, client, self._device, reason))

    def _tell_failure(self, told: Failure) -> None:
        self._requests.end(told.request)
        deadline = time.monotonic() + _FAILURE_S
        if not self._manifest.is_source:
            next_hop = self._manifest.next_hop[self._manifest.source]
            self._outbox(next_hop).put(Outgoing(FAILURE, told, b"", deadline))
        elif told.request in self._let_in:
            client = self._let_in[told.request][0]
            self._outbox(client).put(Outgoing(FAILURE, told, b"", deadline))
            self._counts["failed"] += 1
            self._let_out(told.request)

    def _let_out(self, request: str) -> None:
        """Forget a request at the source, and let the next one in."""
        self._let_in.pop(request, None)
        while self._waiting and len(self._let_in) < self._manifest.most_requests:
            deadline, message = self._waiting.pop(0)
            if deadline <= time.monotonic():
                message.refuse(f"{self._device}: other requests took too long")
                continue
            self.take(message)

    # What goes on beside ------------------------------------------------------------------------------

    def _outbox(self, receiver: str) -> Outbox:
        if receiver not in self._outboxes:
            done = partial(self._sent, receiver)
            most = _ROOM * self._manifest.most_requests * _MOST_TENSORS
            self._outboxes[receiver] = Outbox(self._network, receiver, done, most)
        return self._outboxes[receiver]

    def _sent(self, receiver: str, sent: Sent) -> None:
        header = sent.message.header
        if sent.reason is None:
            if receiver in self._links:
                with self._lock:
                    self._links[receiver].add(len(sent.message.payload), sent.seconds)
            return
        _LOG.warning("request %s: %s", header.request, sent.reason)
        if isinstance(header, TensorHeader) and not receiver.startswith(_CLIENT):
            self._fail(header.request, header.client, sent.reason)

    def _neighbour_changed(self, neighbour: str, there: bool) -> None:  # noqa: FBT001 (a value, not a switch)
        with self._lock:
            was_there = self._present[neighbour]
            self._present[neighbour] = there
            lost = self._requests.handed_to(neighbour) if was_there and not there else []
            for request in lost:
                self._fail(request.name, request.client, f"{neighbour} has gone while it worked on it")
        _LOG.info("%s is %s", neighbour, "there" if there else "gone")

    def _tick(self) -> None:
        """End what is too late."""
        while not self._closed.wait(_TICK_S):
            now = time.monotonic()
            with self._lock:
                for request in self._requests.pop_late(now):
                    self._fail(request.name, request.client, _late(request, self._manifest))
                late = [name for name, (_, deadline, _) in self._let_in.items() if deadline <= now]
                for name in late:
                    self._fail(name, self._let_in[name][0], "no answer came in time")
                if any(deadline <= now for deadline, _ in self._waiting):
                    self._let_out("")

    def _ping(self) -> None:
        """Look how far the neighbours' clocks are apart."""
        pause_s = 0.0
        while not self._closed.wait(pause_s):
            pause_s = _PING_S
            for neighbour in self._manifest.neighbours:
                if not self._present[neighbour]:
                    continue
                for _ in range(_PINGS_AT_ONCE):
                    self._ping_once(neighbour)

    def _ping_once(self, neighbour: str) -> None:
        sent_ns = time.time_ns()
        reply = self._network.send(neighbour, PING, b"", b"", _PING_S)
        received_ns = time.time_ns()
        if reply.outcome is Outcome.ACCEPTED:
            arrived_ns, answered_ns = json.loads(reply.data)
            with self._lock:
                self._offsets[neighbour].add(exchange(sent_ns, arrived_ns, answered_ns, received_ns))

    def _tell_status(self, message: Incoming) -> None:
        """Answer with this host's status, or with that of the host that is asked for."""
        device = message.header.decode(errors="replace")
        if device in {"", self._device}:
            message.accept(json.dumps(self.status()).encode())
            return
        next_hop = self._manifest.next_hop.get(device)
        if next_hop is None:
            message.refuse(f"{self._device}: knows no host {device!r}")
            return
        reply = self._network.send(next_hop, STATUS, device.encode(), b"", _STATUS_S)
        if reply.outcome is Outcome.ACCEPTED:
            message.accept(reply.data)
        else:
            message.refuse(reply.reason or f"{next_hop} cannot be reached")

    def status(self) -> dict[str, object]:
        """Return what this host tells of itself, for JSON."""
        with self._lock:
            links = {
                name: {
                    "there": self._present[name],
                    **seen.record(),
                    "round_trip_s": None if (best := self._offsets[name].best) is None else best.round_trip_s,
                    "clock_offset_s": None if best is None else best.offset_s,
                    "queue": len(self._outboxes[name]) if name in self._outboxes else 0,
                }
                for name, seen in self._links.items()
            }
            return {
                "device": self._device,
                "deployment": self._manifest.deployment,
                "plans": [plan.name for plan in self._manifest.plans],
                "stages": len(self._stages),
                "up_s": time.monotonic() - self._began,
                "open": len(self._let_in) if self._manifest.is_source else len(self._requests),
                "ready": self._ready.qsize(),
                **self._counts,
                "memory_mib": resident_mib(),
                "links": links,
            }


_FAILURE_S = 10.0  # how long a host tries to tell that a request failed
_STATUS_S = 3.0
_MOST_TENSORS = 16  # of one request that wait for one neighbour


def _late(request: OpenRequest, manifest: HostManifest) -> str:
    plan = manifest.plans[request.plan]
    waiting = sorted(plan.tensors.keys() - request.seen)
    return f"its time was over while {manifest.device} waited for {waiting[0] if waiting else 'nothing'!r}"
