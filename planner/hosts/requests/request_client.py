"""Sends requests through running hosts and collects their answers; every request ends.

with RequestClient("deploy") as client:
answer = client.submit({"picture": picture}).result()
"""

import atexit
import logging
import threading
import time
import uuid
from concurrent.futures import Future
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from planner.errors import DataError, HostError, UsageError
from planner.hosts.connection_faults import connection_fault
from planner.hosts.deployment_record import DEPLOYMENT, Deployment
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.clock_offsets import ClockOffset, clock_answer, exchange
from planner.hosts.on_host.event_log import told_events
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.link_probe import probe_order
from planner.hosts.on_host.messages import (
    CLIENT_PREFIX,
    HEADER_BYTES,
    BadMessageError,
    TensorHeader,
    TensorSpec,
    checked_array,
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
)
from planner.hosts.on_host.outbox import Outbox, Outgoing, Sent, earlier
from planner.hosts.requests.pending_requests import Answer, PendingRequest, PendingRequests
from planner.hosts.requests.plan_watch import PlanWatch
from planner.hosts.requests.request_events import Event, ToldRequests, named_events
from planner.hosts.routing import spec_of, tensor_numbers
from planner.hosts.zenoh_config import CLIENT, KEYS
from planner.output.record_files import read_record
from planner.plan.host_status import HostStatus
from planner.plan.manifest import MANIFEST, SCENARIO, PlanStages
from planner.scenario.loader import parse_scenario
from profiling.arrays import Feeds

_LOG = logging.getLogger(__name__)
DEADLINE_S = 30.0
_TICK_S = 0.1
_CONNECT_S = 2.0
_PINGS, _PING_S, _STATUS_S, _PROBE_S = 8, 1.0, 3.0, 30.0


class RequestClient:
    """A connection to the source of a deployment.

    Close it, or use it in a `with` statement. One that is open when the process ends is closed then, and its
    requests fail.

    Parameters
    ----------
    folder
        What `plan deploy` wrote, or its `client` folder's parent on the source.
    deadline_s
        After which a request without an answer has failed.

    Raises
    ------
    OutputError
        If the folder is no deployment.
    HostError
        If the source cannot be reached.
    """

    def __init__(self, folder: str | PathLike[str], deadline_s: float = DEADLINE_S) -> None:
        folder = Path(folder)
        self.deployment = read_record(folder / DEPLOYMENT, Deployment)
        self.manifests = [
            read_record(folder / plan.folder / MANIFEST, PlanStages) for plan in self.deployment.plans
        ]
        self.scenario = parse_scenario((folder / CLIENT / SCENARIO).read_bytes())
        self._keys = folder / CLIENT / KEYS if self.deployment.encrypted else None
        self._numbers = [tensor_numbers(manifest) for manifest in self.manifests]
        self._told, self._told_lock = ToldRequests(len(self.deployment.hosts)), threading.Lock()
        self._deadline_s = deadline_s
        self._name = CLIENT_PREFIX + uuid.uuid4().hex[:12]
        self._requests = PendingRequests(self.deployment.most_requests)
        self._closed, self._source_is_there = threading.Event(), threading.Event()
        self._patience = time.monotonic() + _CONNECT_S
        try:
            self._network = Network(folder / CLIENT / NETWORK, self.deployment.deployment, self._name)
        except OSError as exc:
            raise HostError(f"{folder}: {exc}") from exc
        self._network.serve(self._take, [self.deployment.source])
        self._network.hear([self.deployment.source], self._hear)
        self._network.watch(self.deployment.source, self._source_changed)
        most_inputs = max((len(m.inputs) for m in self.manifests), default=1)
        most_messages = self.deployment.most_requests * most_inputs
        self._outbox = Outbox(
            self._network, self.deployment.source, self._sent, most_messages, self._is_wanted
        )
        self._clock = ClockOffset()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()
        atexit.register(self.close)
        self.watch: PlanWatch | None = None
        if self.deployment.followed is not None:
            ranges = [plan.range for plan in self.deployment.plans]
            self.watch = PlanWatch(self, ranges, self.deployment.followed, self.scenario.links)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; requests that have no answer yet fail."""
        atexit.unregister(self.close)
        self._closed.set()
        # All of them, in reverse order, whatever one of them raises.
        with ExitStack() as closing:
            closing.callback(self._network.close)
            closing.callback(self._outbox.close)
            closing.callback(self._requests.close)
            if self.watch is not None:
                closing.callback(self.watch.close)

    def submit(self, feeds: Feeds, plan: int | None = None) -> "Future[Answer]":
        """Send a request and return its future answer; waits while too many are on their way.

        A callback of a future runs in a thread that others' answers need: it should not submit where that
        may have to wait.

        Parameters
        ----------
        feeds
            Input name -> array of the model's shape and type.
        plan
            Which plan of the deployment it runs by; None for the one that suits the bandwidth.

        Raises
        ------
        DataError
            If an input is missing, or has another shape or type, or holds NaN.
        HostError
            If the client was closed.
        """
        self.check_plans()
        payloads = {}
        for port in self.manifests[plan or 0].inputs:
            _check_input(feeds, spec_of(port))
            # Copied: what is sent again is what was given, whatever becomes of the array.
            payloads[port.name] = tensor_bytes(feeds[port.name])
        self._requests.wait_for_room()
        # Chosen behind the wait for room, in which the bandwidth may have changed.
        if plan is None:
            plan = 0 if self.watch is None else self.watch.plan()
        now, outputs = time.monotonic(), len(self.manifests[plan].outputs)
        pending = PendingRequest(payloads, plan, outputs, now, now + self._deadline_s)
        self._send(pending, self._requests.begin(pending))
        return pending.future

    def check_plans(self) -> None:
        """Refuse requests where hosts serve nothing.

        Raises
        ------
        UsageError
            Saying what to do.
        """
        if not self.manifests:
            raise UsageError("these hosts measure links and answer no requests; deploy a plan")

    def _send(self, pending: PendingRequest, name: str) -> None:
        with self._told_lock:
            self._told.expect(name)
        # The outbox gives up before the request ends, and says whom it did not reach.
        deadline = earlier(pending.deadline)
        for port in self.manifests[pending.plan].inputs:
            number = self._numbers[pending.plan][port.name]
            header = TensorHeader(name, pending.plan, number, 0.0)
            self._outbox.put(Outgoing(TENSOR, header, pending.payloads[port.name], deadline))

    def _take(self, message: Incoming) -> None:
        try:
            if message.sender != self.deployment.source:
                raise BadMessageError(f"{message.sender} does not answer requests")
            if message.kind == ANSWER:
                self._take_answer(message)
            elif message.kind == FAILURE:
                told = failure(message.header)
                message.accept()
                self._failed(told.request, f"{told.device}: {told.reason}", told.is_lasting)
            else:
                raise BadMessageError(f"a client takes no {message.kind!r}")
        except BadMessageError as exc:
            message.refuse(str(exc))

    def _take_answer(self, message: Incoming) -> None:
        header = tensor_header(message.header)
        pending = self._requests.of(header.request)
        if pending is None:
            message.accept()  # of an earlier attempt
            return
        numbers = self._numbers[pending.plan]
        outputs = {numbers[port.name]: spec_of(port) for port in self.manifests[pending.plan].outputs}
        if header.plan != pending.plan or header.number not in outputs:
            raise BadMessageError(f"tensor {header.number} is not an output of the plan")
        spec = outputs[header.number]
        try:
            array = tensor_of(message.payload, spec)
        except BadMessageError as exc:
            self._failed(header.request, str(exc))
            raise
        message.accept()
        self._requests.answered(header.request, spec.name, array)

    def _is_wanted(self, message: Outgoing) -> bool:
        return message.header.request in self._requests

    def _sent(self, sent: Sent) -> None:
        if sent.reason is not None:
            self._failed(sent.message.header.request, sent.reason, sent.is_lasting)

    def _failed(self, name: str, reason: str, is_lasting: bool = False) -> None:  # noqa: FBT001, FBT002
        """Try a request again if there is time and it may help, else let it fail."""
        if self._requests.failed(name, reason, is_lasting=is_lasting):
            with self._told_lock:
                self._told.forget(name)

    def _source_changed(self, _: str, there: bool) -> None:  # noqa: FBT001 (a value, not a switch)
        """Try again what the source had, once it is back."""
        if there:
            self._source_is_there.set()
            return
        self._source_is_there.clear()
        for name in self._requests.names():
            self._failed(name, f"{self.deployment.source} has gone")

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_S):
            self._requests.end_late()
            for pending, name in self._requests.begin_again():
                try:
                    self._send(pending, name)
                except Exception as exc:  # noqa: BLE001  whatever it is, other requests need this thread
                    self._failed(name, f"it could not be sent again: {exc!r}", is_lasting=True)

    # What hosts tell ----------------------------------------------------------------------------------

    def _hear(self, sender: str, content: bytes) -> None:
        try:
            entries = told_events(content, len(self.deployment.hosts))
        except BadMessageError as exc:
            _LOG.warning("told by %s: %s", sender, exc)
            return
        with self._told_lock:
            self._told.take(entries)

    def events(self, answer: Answer) -> tuple[Event, ...]:
        """Return what hosts have told of a request so far; they do so soon after its answer, or not at all.

        Of many requests, the latest are known.
        """
        devices = [host.device for host in self.deployment.hosts]
        with self._told_lock:
            entries = self._told.of(answer.request)
        return named_events(entries, devices, self._numbers[answer.plan])

    @property
    def message_bytes(self) -> int:
        """What a message weighs on a link beside its tensor, without TCP's own."""
        return HEADER_BYTES + self._network.message_bytes

    def _connect(self) -> None:
        """Wait for the source, but only soon after this client was made: connections are made beside."""
        self._source_is_there.wait(max(0.0, self._patience - time.monotonic()))

    def status(self, device: str) -> HostStatus:
        """Return what a host tells of itself.

        Raises
        ------
        HostError
            If it cannot be reached, by way of the source.
        """
        return self._status(device, b"", _STATUS_S)

    def probe(self, device: str, neighbours: tuple[str, ...] = ()) -> HostStatus:
        """Let a host measure its connections to some neighbours, or all; return its status after that.

        Raises
        ------
        HostError
            If it cannot be reached, by way of the source.
        """
        return self._status(device, probe_order(neighbours), _PROBE_S)

    def _status(self, device: str, order: bytes, timeout_s: float) -> HostStatus:
        self._connect()
        reply = self._network.send(self.deployment.source, STATUS, device.encode(), order, timeout_s)
        if reply.outcome is not Outcome.ACCEPTED:
            source = self.deployment.source
            fault = reply.reason or f"{source} cannot be reached"
            raise HostError(fault if device == source else f"{device}: {fault}")
        try:
            return msgspec.json.decode(reply.data, type=HostStatus)
        except msgspec.MsgspecError as exc:
            raise HostError(f"{device}: tells a status that is not valid ({exc})") from exc

    def source_offset_s(self) -> float:
        """Return the source's clock minus this one's, in seconds.

        Raises
        ------
        HostError
            If the source does not answer.
        """
        self._connect()
        for _ in range(_PINGS):
            sent_ns = time.time_ns()
            reply = self._network.send(self.deployment.source, PING, b"", b"", _PING_S)
            received_ns = time.time_ns()
            if reply.outcome is Outcome.ACCEPTED:
                arrived_ns, answered_ns = clock_answer(reply.data)
                self._clock.add(exchange(sent_ns, arrived_ns, answered_ns, received_ns))
        if self._clock.best is None:
            source = self.deployment.source
            raise HostError(f"{source} cannot be reached{_because(reply.reason or self.fault(source))}")
        return self._clock.best.offset_s

    def fault(self, device: str) -> str | None:
        """Return why a host cannot be reached from here; None where everything is right up to its keys."""
        host = next(host for host in self.deployment.hosts if host.device == device)
        return connection_fault(Endpoint(host.address, host.port), self._keys)


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _check_input(feeds: Feeds, spec: TensorSpec) -> None:
    if spec.name not in feeds:
        raise DataError(f"input {spec.name!r} is missing")
    array = feeds[spec.name]
    if (str(array.dtype), tuple(array.shape)) != (spec.dtype, spec.shape):
        raise DataError(
            f"input {spec.name!r} is {array.dtype}{list(array.shape)}, not {spec.dtype}{list(spec.shape)}"
        )
    try:
        checked_array(array, spec)
    except BadMessageError as exc:
        raise DataError(f"input {exc}") from exc
