"""A host: takes tensors, runs stages, hands results on. Every request ends: answered, or with a reason."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from planner.hosts.on_host.admission import Admission, Admitted
from planner.hosts.on_host.clock_offsets import clock_bytes
from planner.hosts.on_host.event_log import EventKind
from planner.hosts.on_host.event_teller import EventTeller
from planner.hosts.on_host.host_manifest import HostManifest
from planner.hosts.on_host.incoming_tensors import (
    CheckedTensor,
    check_neighbour,
    checked_answer,
    checked_tensor,
)
from planner.hosts.on_host.messages import (
    CLIENT_PREFIX,
    REPEATED,
    BadMessageError,
    Busy,
    Failure,
    Refused,
    TensorHeader,
    checked_array,
    failure,
    tensor_bytes,
)
from planner.hosts.on_host.neighbours import Neighbours
from planner.hosts.on_host.network import (
    ANSWER,
    FAILURE,
    PING,
    STATUS,
    TENSOR,
    Incoming,
    Network,
)
from planner.hosts.on_host.open_requests import OpenRequest, OpenRequests
from planner.hosts.on_host.outbox import Outbox, Outgoing, Sent
from planner.hosts.on_host.stage_runtime import StageRuntime
from planner.hosts.on_host.stage_worker import Computed, NotComputed, Ready, StageWorker
from planner.hosts.on_host.status import StatusAnswers, resident_mib

_LOG = logging.getLogger(__name__)
_TICK_S = 0.05  # how late a deadline may be noticed
_PING_S = 2.0
_ROOM = 4  # times the requests that the source lets in: what a host keeps at most
_FAILURE_S = 10.0  # how long a host tries to tell that a request failed
_MOST_TENSORS = 16  # of one request that wait for one neighbour


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
        self._manifest, self._network, self._stages = manifest, network, len(stages)
        self._device = manifest.device
        self._began = time.monotonic()
        self._lock = threading.RLock()
        room = _ROOM * manifest.most_requests
        self._requests = OpenRequests(room)
        self._admission: Admission[Incoming] = Admission(manifest.most_requests, room)
        self._neighbours = Neighbours(manifest.neighbours, network.message_bytes)
        self._events = EventTeller(
            network, manifest, self._lock, lambda name: self._requests.get(name) is not None
        )
        self._worker = StageWorker(stages, self._feeds, self._stage_ended)
        self._statuses = StatusAnswers(
            network, self._device, manifest.next_hop, self.status, partial(self._neighbours.probe, network)
        )
        self._outboxes: dict[str, Outbox] = {}
        self._counts = {"answered": 0, "failed": 0, "refused": 0}
        self._closed, self._wake = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._tick, self._ping)]

    def start(self) -> None:
        """Begin to take messages."""
        self._worker.start()
        self._statuses.start()
        self._events.start()
        for thread in self._threads:
            thread.start()
        for neighbour in self._manifest.neighbours:
            self._network.watch(neighbour, self._neighbour_changed)
        senders = list(self._manifest.neighbours)
        if self._manifest.is_source:
            senders.append(f"{CLIENT_PREFIX}$*")
            self._network.watch(f"{CLIENT_PREFIX}$*", self._client_changed)
        self._network.serve(self.take, senders)

    def close(self) -> None:
        """End; requests that are open end at their deadlines elsewhere."""
        self._closed.set()
        self._wake.set()
        self._worker.close()
        self._events.close()
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
            elif message.kind == ANSWER:
                self._pass_on(message)
            elif message.kind == FAILURE:
                check_neighbour(message, self._manifest)
                told = failure(message.header)
                self._fail(told, message.sender)
                message.accept()
            elif message.kind == PING:
                message.accept(clock_bytes(now_ns := time.time_ns(), now_ns))
            elif message.kind == STATUS:
                self._statuses.put(message)
            else:
                raise Refused(f"{message.kind!r} is no kind of message")
        except Busy as exc:
            message.postpone(f"{self._device}: {exc}")
        except (Refused, BadMessageError) as exc:
            with self._lock:
                self._counts["refused"] += 1
            _LOG.warning("refused from %s: %s", message.sender, exc)
            message.refuse(f"{self._device}: {exc}")

    # Tensors ------------------------------------------------------------------------------------------

    def _take_tensor(self, message: Incoming) -> None:
        tensor = checked_tensor(message, self._manifest)
        with self._lock:
            told = self._use(tensor, message)
        # Only now: who sends it again if this host ends before does no harm.
        if told is not None:
            message.accept(told)

    def _use(self, came: CheckedTensor, message: Incoming) -> bytes | None:
        """Use a tensor, unless its request has to wait; return what its acceptance says, or None."""
        header = came.header
        if self._requests.has_ended(header.request):
            # A copy of something that is over. Who sends it need not know that it has failed here: it may
            # have been lost and come back since.
            if self._requests.has_failed(header.request):
                self._tell_failed(header.request, message.sender, "it has failed before")
            return REPEATED
        request = self._requests.get(header.request)
        if request is None and self._manifest.is_source and came.client is None:
            # From before this host was started: who asks has sent it again, under another name.
            self._tell_failed(header.request, message.sender, "nobody asks for it any more")
            return REPEATED
        if request is None:
            if not self._is_let_in(came, message):
                return None
            request = self._opened(came)
        if request.plan != header.plan or came.client not in {None, request.client}:
            raise Refused("another request has that name")
        if came.name in request.seen:
            return REPEATED
        kind, now_ns = EventKind.RECEIVED, time.time_ns()
        self._events.tensor(kind, request.name, header.number, message.sender, now_ns)
        self._took(request, came.name, came.array, message.payload)
        return b""

    def _opened(self, came: CheckedTensor) -> OpenRequest:
        header = came.header
        deadline = time.monotonic() + header.left_s
        request = OpenRequest(header.request, came.client, header.plan, deadline)
        self._requests.add(request)
        if came.client is not None:
            self._events.asked(request.name, came.client)
        return request

    def _is_let_in(self, came: CheckedTensor, message: Incoming) -> bool:
        """Return whether a new request can begin; at the source it waits until it can."""
        if came.client is None:
            if self._requests.is_full:
                raise Busy("too many requests are open")
            return True
        name, client, left_s = came.header.request, came.client, came.header.left_s
        # Nobody waits any more for attempts before this one: they would only take its room.
        for earlier in self._admission.earlier_attempts(name, client):
            self._fail(Failure(earlier, self._device, "it was sent again"))
        for waiting in self._admission.pop_waiting_attempts(name, client):
            waiting.postpone(f"{self._device}: it was sent again")
        missing = {(came.header.plan, came.plan.numbers[output]) for output in came.plan.outputs}
        return self._admission.admit(name, Admitted(client, time.monotonic() + left_s, missing), message)

    def _took(self, request: OpenRequest, name: str, array: Any, payload: bytes) -> None:
        """Use a tensor that has come or arisen: for stages here, for neighbours, as an answer."""
        plan = self._manifest.plans[request.plan]
        for stage in request.take(name, array, plan):
            self._worker.put(Ready(request, stage))
        routed = plan.tensors[name]
        header = TensorHeader(request.name, request.plan, plan.numbers[name], 0.0)
        for receiver in routed.receivers:
            request.handed_to.add(receiver)
            self._outbox(receiver).put(Outgoing(TENSOR, header, payload, request.deadline))
        if routed.is_answer:
            self._answer(header, payload, request.deadline)
        if request.is_complete(plan):
            self._requests.end(request.name)

    # Stages -------------------------------------------------------------------------------------------

    def _feeds(self, ready: Ready) -> dict[str, Any] | None:
        request = ready.request
        with self._lock:
            if request.deadline <= time.monotonic() or self._requests.get(request.name) is not request:
                return None
            return {spec.name: request.arrays[spec.name] for spec in ready.stage.inputs}

    def _stage_ended(self, ready: Ready, result: Computed | NotComputed) -> None:
        if isinstance(result, Computed):
            try:
                checked = [checked_array(result.outputs[spec.name], spec) for spec in ready.stage.outputs]
            except BadMessageError as exc:
                result = NotComputed(f"stage {ready.stage.number} gave no result: {exc}", is_lasting=True)
        request = ready.request
        if isinstance(result, NotComputed):
            self._fail(Failure(request.name, self._device, result.reason, result.is_lasting))
            return
        payloads = [tensor_bytes(array) for array in checked]
        with self._lock:
            if self._requests.get(request.name) is not request:
                return  # it has failed meanwhile
            number, started_ns, finished_ns = ready.stage.number, result.started_ns, result.finished_ns
            self._events.stage(request.name, number, started_ns, finished_ns)
            for spec, array, payload in zip(ready.stage.outputs, checked, payloads):
                self._took(request, spec.name, array, payload)

    # Ends of requests ---------------------------------------------------------------------------------

    def _pass_on(self, message: Incoming) -> None:
        """Hand an answer on towards the source, and from there to who asked."""
        header = checked_answer(message, self._manifest)
        came_ns, deadline = time.time_ns(), time.monotonic() + header.left_s
        with self._lock:
            kind, sender = EventKind.RECEIVED, message.sender
            is_new = self._events.tensor(kind, header.request, header.number, sender, came_ns)
            self._answer(header, message.payload, deadline)
        message.accept(b"" if is_new else REPEATED)

    def _answer(self, header: TensorHeader, payload: bytes, deadline: float) -> None:
        if not self._manifest.is_source:
            next_hop = self._manifest.next_hop[self._manifest.source]
            self._outbox(next_hop).put(Outgoing(ANSWER, header, payload, deadline))
            return
        admitted = self._admission.get(header.request)
        if admitted is None or (header.plan, header.number) not in admitted.missing:
            return  # it has ended, or comes twice
        self._outbox(admitted.client).put(Outgoing(ANSWER, header, payload, deadline))
        admitted.missing.discard((header.plan, header.number))
        if not admitted.missing:
            self._counts["answered"] += 1
            self._admission.leave(header.request)
            self._requests.forget(header.request)
            self._wake.set()

    def _fail(self, told: Failure, teller: str | None = None) -> None:
        """End a request without an answer; tell its client, by way of the source, and who works on it."""
        with self._lock:
            if self._requests.has_failed(told.request):
                return
            handed_to = self._requests.fail(told.request)
            self._events.forget_request(told.request)
            if self._manifest.is_source:
                self._leave(told)
            else:
                handed_to = handed_to | {self._manifest.next_hop[self._manifest.source]}
            for neighbour in sorted(handed_to - {teller}):
                self._outbox(neighbour).put(_failure_message(told))

    def _tell_failed(self, request: str, sender: str, reason: str) -> None:
        self._outbox(sender).put(_failure_message(Failure(request, self._device, reason)))

    def _leave(self, told: Failure) -> None:
        admitted = self._admission.leave(told.request)
        if admitted is not None:
            self._outbox(admitted.client).put(_failure_message(told))
            self._counts["failed"] += 1
            self._wake.set()

    # What goes on beside ------------------------------------------------------------------------------

    def _outbox(self, receiver: str) -> Outbox:
        if receiver not in self._outboxes:
            most = _ROOM * self._manifest.most_requests * _MOST_TENSORS
            sent = partial(self._sent, receiver)
            self._outboxes[receiver] = Outbox(self._network, receiver, sent, most, self._is_wanted)
        return self._outboxes[receiver]

    def _is_wanted(self, message: Outgoing) -> bool:
        """Return whether a message still has to go: a tensor does not if its request has failed meanwhile.

        An answer does: a neighbour that goes when all is done tells of a failure that is none.
        """
        with self._lock:
            return message.kind != TENSOR or not self._requests.has_failed(message.header.request)

    def _sent(self, receiver: str, sent: Sent) -> None:
        header = sent.message.header
        if sent.reason is None:
            self._neighbours.accepted(receiver, sent.size_bytes, sent.seconds)
        else:
            _LOG.warning("request %s: %s", header.request, sent.reason)
        if isinstance(header, Failure) or receiver.startswith(CLIENT_PREFIX):
            return
        if sent.reason is not None:
            self._fail(Failure(header.request, self._device, sent.reason, sent.is_lasting))
        elif sent.sent_ns is not None:
            with self._lock:
                kind = EventKind.SENT
                self._events.tensor(kind, header.request, header.number, receiver, sent.sent_ns)

    def _neighbour_changed(self, neighbour: str, there: bool) -> None:  # noqa: FBT001 (a value, not a switch)
        with self._lock:
            if self._neighbours.changed(neighbour, there):
                reason = f"{neighbour} has gone while it worked on it"
                for request in self._requests.lost_with(neighbour, self._manifest.plans):
                    self._fail(Failure(request.name, self._device, reason), neighbour)
        _LOG.info("%s is %s", neighbour, "there" if there else "gone")

    def _client_changed(self, client: str, there: bool) -> None:  # noqa: FBT001 (a value, not a switch)
        """Drop what belongs to a client that has gone."""
        if there:
            return
        with self._lock:
            self._events.forget_client(client)
            outbox = self._outboxes.pop(client, None)
            waiting = self._admission.pop_waiting_of(client)
            for name in self._admission.of_client(client):
                self._admission.leave(name)
                self._fail(Failure(name, self._device, "its client has gone"))
            self._wake.set()
        if outbox is not None:
            outbox.close()
        for message in waiting:
            message.refuse(f"{self._device}: its client has gone")

    def _tick(self) -> None:
        """End what is too late, and let in what waits."""
        while not self._closed.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            self._end_late()
            while waiting := self._let_in():
                for message in waiting:
                    self.take(message)

    def _let_in(self) -> list[Incoming]:
        with self._lock:
            return self._admission.pop_waiting()

    def _end_late(self) -> None:
        now = time.monotonic()
        with self._lock:
            for request in self._requests.late(now):
                self._fail(Failure(request.name, self._device, self._late(request)))
            for name in self._admission.late(now):
                self._fail(Failure(name, self._device, "no answer came in time"))
            waited = self._admission.pop_late_waiting(now)
        for message in waited:
            message.refuse(f"{self._device}: other requests took too long")

    def _late(self, request: OpenRequest) -> str:
        absent = self._neighbours.absent(request.handed_to)
        if absent:
            return f"{absent[0]} is not there"
        plan = self._manifest.plans[request.plan]
        missing = sorted(plan.tensors.keys() - request.seen)
        return f"its time was over while {self._device} waited for {missing[0]!r}"

    def _ping(self) -> None:
        while not self._closed.wait(_PING_S):
            self._neighbours.ping(self._network)

    def status(self) -> dict[str, object]:
        """Return what this host tells of itself, for JSON."""
        with self._lock:
            return {
                "device": self._device,
                "deployment": self._manifest.deployment,
                "plans": [plan.name for plan in self._manifest.plans],
                "stages": self._stages,
                "up_s": time.monotonic() - self._began,
                "open": len(self._admission) if self._manifest.is_source else len(self._requests),
                "ready": len(self._worker),
                **self._counts,
                "memory_mib": resident_mib(),
                "links": self._neighbours.record(self._queue),
            }

    def _queue(self, neighbour: str) -> int:
        return len(self._outboxes[neighbour]) if neighbour in self._outboxes else 0


def _failure_message(told: Failure) -> Outgoing:
    return Outgoing(FAILURE, told, b"", time.monotonic() + _FAILURE_S)
