"""A tensor is used if it is the expected one from the expected sender; whatever else comes is refused."""

import contextlib
import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.host_manifest import HostedPlan, HostManifest, RoutedTensor
from planner.hosts.on_host.incoming_tensors import checked_answer, checked_tensor
from planner.hosts.on_host.messages import BadMessageError, Refused, TensorHeader, TensorSpec, header_bytes

X, T = TensorSpec("x", "int8", (2,)), TensorSpec("t", "int8", (2,))
PLAN = HostedPlan(
    "p",
    ("x",),
    ("y",),
    (),
    {"x": RoutedTensor(X, None, (), (0,), False), "t": RoutedTensor(T, "server", (), (0,), False)},
    {"t": 0, "u": 1, "x": 2, "y": 3},
)
DEVICES, NEXT_HOP = ("camera", "server"), {"server": "server"}
SOURCE = HostManifest("ab", "camera", "camera", DEVICES, ("server",), NEXT_HOP, 4, None, (PLAN,))
ELSEWHERE = dataclasses.replace(SOURCE, source="other")
HEADER = TensorHeader("ab" * 16, 0, 2, 1.0)


@dataclass
class Message:
    sender: str
    header: bytes
    payload: bytes = b"\1\2"


def message(sender: str, tensor: str = "x", **changes: object) -> Message:
    header = dataclasses.replace(HEADER, number=PLAN.numbers[tensor])
    return Message(sender, header_bytes(dataclasses.replace(header, **changes)))


def test_a_client_gives_inputs_of_its_own_requests_to_the_source():
    came = checked_tensor(message("client-1"), SOURCE)
    assert (came.name, came.client, came.array.tolist()) == ("x", "client-1", [1, 2])
    for wrong in (message("server"), message("client-1", tensor="t")):
        with pytest.raises(Refused):
            checked_tensor(wrong, SOURCE)
    with pytest.raises(Refused):
        checked_tensor(message("client-1"), ELSEWHERE)


def test_a_neighbour_gives_what_the_plan_lets_it():
    came = checked_tensor(message("server", tensor="t"), ELSEWHERE)
    assert (came.name, came.client) == ("t", None)
    with pytest.raises(Refused, match="does not come from gateway"):
        checked_tensor(message("gateway", tensor="t"), ELSEWHERE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tensor": "u"}, "no tensor 'u'"),
        ({"plan": 1}, "no plan 1"),
        ({"number": 4}, "plan 'p' has no tensor 4"),
        ({"left_s": 0.0}, "deadline"),
        ({"left_s": 3601.0}, "deadline"),
    ],
)
def test_another_tensor_is_refused_with_what_is_wrong(changes, why):
    with pytest.raises(Refused, match=why):
        checked_tensor(message("client-1", **changes), SOURCE)


def test_answers_come_from_neighbours():
    assert checked_answer(message("server", tensor="y"), ELSEWHERE).number == 3
    for wrong in (message("client-1", tensor="y"), message("server", tensor="x")):
        with pytest.raises(Refused):
            checked_answer(wrong, ELSEWHERE)


@given(st.text(max_size=9), st.binary(max_size=99), st.binary(max_size=9))
def test_any_bytes_from_anybody_are_refused_or_bad(sender, header, payload):
    for check in (checked_tensor, checked_answer):
        with contextlib.suppress(Refused, BadMessageError):
            check(Message(sender, header, payload), SOURCE)
