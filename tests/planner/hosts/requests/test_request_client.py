"""A client and a source whose answers the test writes down: what becomes of each request."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from hosted_plans import DEVICES, OUTPUTS, SIZE, hosted_plan, hosted_samples
from running_hosts import RunningHosts

from planner.errors import DataError, HostError, OutputError
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.messages import (
    ATTEMPT,
    Failure,
    TensorHeader,
    failure_bytes,
    header_bytes,
    tensor_bytes,
    tensor_header,
)
from planner.hosts.on_host.network import ANSWER, FAILURE, STATUS, TENSOR, Incoming, Network, Outcome
from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import RequestClient
from planner.hosts.routing import tensor_numbers

LONG_S = 30.0  # far more than a request takes on a busy machine
[SAMPLE] = hosted_samples(1)
ANSWERS = {name: np.full((1, SIZE), n + 0.5, np.float32) for n, name in enumerate(OUTPUTS)}


@dataclass(frozen=True)
class Tensor:
    """An input of a request, as it came to the source."""

    client: str
    header: TensorHeader
    payload: bytes


class Source:
    """The first device of a deployment, which computes nothing."""

    def __init__(self, deployed: RunningHosts) -> None:
        self.forget()
        self.status = b"no status"
        name = deployed.deployment.deployment
        self._network = Network(deployed.folder / "camera" / NETWORK, name, "camera")
        self._network.serve(self._take)

    def close(self) -> None:
        self._network.close()

    def forget(self) -> None:
        """Begin as if nothing had come."""
        self.requests: Queue[list[Tensor]] = Queue()
        self._parts: defaultdict[str, list[Tensor]] = defaultdict(list)

    def request(self) -> list[Tensor]:
        """Return the inputs of the next request of which all came."""
        return self.requests.get(timeout=LONG_S)

    def answer(self, to: Tensor, number: int, payload: bytes) -> Outcome:
        header = header_bytes(TensorHeader(to.header.request, to.header.plan, number, 0.0))
        return self._network.send(to.client, ANSWER, header, payload, LONG_S).outcome

    def fail(self, to: Tensor, reason: str, *, is_lasting: bool) -> None:
        told = failure_bytes(Failure(to.header.request, "camera", reason, is_lasting))
        assert self._network.send(to.client, FAILURE, told, b"", LONG_S).outcome is Outcome.ACCEPTED

    def _take(self, message: Incoming) -> None:
        if message.kind == TENSOR:
            header = tensor_header(message.header)
            parts = self._parts[header.request]
            parts.append(Tensor(message.sender, header, message.payload))
            if len(parts) == len(SAMPLE):
                self.requests.put(parts)
            message.accept()
        elif message.kind == STATUS and message.header == b"camera":
            message.accept(self.status)
        else:
            message.refuse("is not known here")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> RunningHosts:
    folder = tmp_path_factory.mktemp("client")
    return RunningHosts(hosted_plan(folder / "plan"), folder / "deploy", DEVICES)


@pytest.fixture(scope="module")
def network(deployed) -> Iterator[Source]:
    found = Source(deployed)
    yield found
    found.close()


@pytest.fixture
def source(network) -> Source:
    network.forget()
    return network


@pytest.fixture
def client(deployed, source) -> Iterator[RequestClient]:
    with RequestClient(deployed.folder, LONG_S) as found:
        yield found


def numbers(client: RequestClient) -> dict[str, int]:
    return tensor_numbers(client.manifests[0])


def answer_all(client: RequestClient, source: Source, to: Tensor) -> None:
    for name, array in ANSWERS.items():
        assert source.answer(to, numbers(client)[name], tensor_bytes(array)) is Outcome.ACCEPTED


def check(answer: Answer, attempts: int) -> None:
    assert answer.attempts == attempts
    assert {name: array.tobytes() for name, array in answer.outputs.items()} == {
        name: array.tobytes() for name, array in ANSWERS.items()
    }


def test_every_input_is_sent_and_the_answer_is_whole_once_every_output_came(client, source):
    future = client.submit(SAMPLE)
    tensors = source.request()
    known = numbers(client)
    assert {one.header.number: one.payload for one in tensors} == {
        known[name]: array.tobytes() for name, array in SAMPLE.items()
    }
    first, *rest = ANSWERS
    to = tensors[0]
    assert source.answer(to, known[first], tensor_bytes(ANSWERS[first])) is Outcome.ACCEPTED
    assert not future.done()
    for name in rest:
        assert source.answer(to, known[name], tensor_bytes(ANSWERS[name])) is Outcome.ACCEPTED
    check(future.result(LONG_S), 1)


def test_a_failure_that_may_pass_is_tried_again_and_answers_to_the_first_attempt_count_no_more(
    client, source
):
    future = client.submit(SAMPLE)
    first = source.request()[0]
    source.fail(first, "is starting", is_lasting=False)
    again = source.request()[0]
    assert again.header.request != first.header.request
    assert again.header.request[:ATTEMPT] == first.header.request[:ATTEMPT]
    for number in [numbers(client)[name] for name in OUTPUTS]:
        assert source.answer(first, number, tensor_bytes(SAMPLE["x"])) is Outcome.ACCEPTED
    assert not future.done()
    answer_all(client, source, again)
    check(future.result(LONG_S), 2)


def test_what_is_sent_again_is_what_was_given(client, source):
    feeds = {name: array.copy() for name, array in SAMPLE.items()}
    future = client.submit(feeds)
    tensor, *_ = source.request()
    for array in feeds.values():
        array += 1
    feeds.clear()
    source.fail(tensor, "not now", is_lasting=False)
    tensors = source.request()
    known = numbers(client)
    assert {one.header.number: one.payload for one in tensors} == {
        known[name]: array.tobytes() for name, array in SAMPLE.items()
    }
    answer_all(client, source, tensors[0])
    check(future.result(LONG_S), attempts=2)


def test_one_that_cannot_be_sent_again_fails_and_others_are(client, source, monkeypatch):
    futures, tensors = [], []
    for _ in range(2):
        futures.append(client.submit(SAMPLE))
        tensors.append(source.request()[0])
    send, failing = client._send, tensors[0].header.request[:ATTEMPT]

    def breaks(pending, name):
        if pending.request == failing:
            raise MemoryError("no memory")
        send(pending, name)

    monkeypatch.setattr(client, "_send", breaks)
    for tensor in tensors:
        source.fail(tensor, "not now", is_lasting=False)
    with pytest.raises(HostError, match="sent again"):
        futures[0].result(LONG_S)
    answer_all(client, source, source.request()[0])
    check(futures[1].result(LONG_S), attempts=2)


def test_a_failure_that_lasts_ends_the_request_with_its_device_and_reason(client, source):
    future = client.submit(SAMPLE)
    source.fail(source.request()[0], "is broken", is_lasting=True)
    with pytest.raises(HostError, match="^camera: is broken$"):
        future.result(LONG_S)
    assert source.requests.empty()


def test_a_tensor_that_is_no_output_is_refused_and_the_request_goes_on(client, source):
    future = client.submit(SAMPLE)
    to = source.request()[0]
    for number in (numbers(client)["x"], 99):
        assert source.answer(to, number, tensor_bytes(SAMPLE["x"])) is Outcome.REFUSED
    answer_all(client, source, to)
    check(future.result(LONG_S), 1)


def test_an_output_of_another_size_is_refused_and_the_request_tried_again(client, source):
    future = client.submit(SAMPLE)
    to = source.request()[0]
    assert source.answer(to, numbers(client)["y"], bytes(7)) is Outcome.REFUSED
    answer_all(client, source, source.request()[0])
    check(future.result(LONG_S), 2)


def test_answers_of_several_requests_are_not_mixed_whatever_their_order(client, source):
    marked = [np.full((1, SIZE), n, np.float32) for n in range(3)]
    futures = [client.submit({"x": array, "w": array}) for array in marked]
    requests = {one.payload: one for one, _ in (source.request() for _ in futures)}
    for n in (2, 0, 1):
        payload = tensor_bytes(marked[n])
        for name in OUTPUTS:
            outcome = source.answer(requests[bytes(payload)], numbers(client)[name], payload)
            assert outcome is Outcome.ACCEPTED
    for n, future in enumerate(futures):
        assert {float(array.max()) for array in future.result(LONG_S).outputs.values()} == {n}


def test_a_request_that_nobody_answers_fails_after_the_deadline_with_what_was_told_before(deployed, source):
    with RequestClient(deployed.folder, 5.0) as client:
        future = client.submit(SAMPLE)
        source.fail(source.request()[0], "is starting", is_lasting=False)
        source.request()
        with pytest.raises(HostError, match=r"^no answer within 5 s; before, camera: is starting$"):
            future.result(LONG_S)


def test_requests_wait_while_as_many_as_the_deployment_allows_are_on_their_way(client, source):
    most = client.deployment.most_requests
    futures = [client.submit(SAMPLE) for _ in range(most)]
    first = source.request()[0]
    further: Queue = Queue()
    thread = threading.Thread(target=lambda: further.put(client.submit(SAMPLE)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    answer_all(client, source, first)
    futures.append(further.get(timeout=LONG_S))
    thread.join()
    for _ in range(most):
        answer_all(client, source, source.request()[0])
    for future in futures:
        check(future.result(LONG_S), 1)


def test_closing_ends_what_is_on_its_way(deployed, source):
    with RequestClient(deployed.folder, LONG_S) as client:
        future = client.submit(SAMPLE)
        source.request()
    with pytest.raises(HostError, match="the client was closed"):
        future.result(0)


def test_closing_ends_what_waits_for_its_next_attempt(deployed, source):
    with RequestClient(deployed.folder, LONG_S) as client:
        future = client.submit(SAMPLE)
        source.fail(source.request()[0], "out of order", is_lasting=False)
    with pytest.raises(HostError, match="the client was closed"):
        future.result(0)


def test_a_closed_client_takes_no_request(deployed, source):
    with RequestClient(deployed.folder, LONG_S) as client:
        pass
    for _ in range(2 * client.deployment.most_requests):
        with pytest.raises(HostError, match="the client was closed"):
            client.submit(SAMPLE)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"x": None}, "input 'x' is missing"),
        ({"x": SAMPLE["x"].astype(np.float64)}, "input 'x' is float64"),
        ({"w": SAMPLE["w"][:, 1:]}, rf"input 'w' is float32\[1, {SIZE - 1}\], not float32\[1, {SIZE}\]"),
        ({"w": np.full((1, SIZE), np.nan, np.float32)}, "input 'w' holds NaN"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_and_nothing_is_sent(client, source, changed, text):
    feeds = {name: array for name, array in (SAMPLE | changed).items() if array is not None}
    with pytest.raises(DataError, match=text):
        client.submit(feeds)
    assert source.requests.empty()


def test_a_status_that_is_none_or_of_a_stranger_is_an_error_with_the_device(client, source):
    with pytest.raises(HostError, match="^camera: tells a status that is not valid"):
        client.status("camera")
    with pytest.raises(HostError, match="^server: is not known here$"):
        client.status("server")


def test_a_folder_whose_source_is_not_there_is_told(tmp_path):
    absent = RunningHosts(hosted_plan(tmp_path / "plan"), tmp_path / "deploy", DEVICES)
    with RequestClient(absent.folder, 0.5) as client:
        with pytest.raises(HostError, match="camera cannot be reached"):
            client.source_offset_s()
        with pytest.raises(HostError, match="camera"):
            client.submit(SAMPLE).result(LONG_S)


def test_a_folder_that_is_no_deployment_is_refused(tmp_path: Path):
    with pytest.raises(OutputError, match="deploy.json"):
        RequestClient(tmp_path)
