"""At the source: so many requests at once, each with all of its messages, and everybody's turn comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hosts.on_host.admission import Admission, Admitted
from planner.hosts.on_host.messages import Busy, Refused


def asked(client: str = "c", deadline: float = 10.0) -> Admitted:
    return Admitted(client, deadline, {(0, 1)})


@given(
    most=st.integers(1, 3),
    messages=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=40),
    leaves=st.lists(st.integers(0, 9), max_size=40),
)
def test_every_message_is_let_in_once_and_never_too_many_requests_are(most, messages, leaves):
    admission = Admission(most, 100)
    came, went = [], []
    leaving = iter(leaves)

    def let_in() -> None:
        while waited := admission.pop_waiting():
            assert len({name for name, _ in waited}) == 1  # all of one request, together
            went.extend(waited)

    for message in messages:
        name = str(message[0])
        came.append(message)
        if admission.admit(name, asked(), message):
            went.append(message)
        assert len(admission) <= most
        admission.leave(str(next(leaving, 99)))
        let_in()
    while len(admission):
        admission.leave(next(str(n) for n in range(10) if admission.get(str(n))))
        let_in()
        assert len(admission) <= most
    assert sorted(came) == sorted(went)
    assert admission.waiting == 0


def test_two_inputs_of_each_waiting_request_come_in_together_however_they_came():
    admission = Admission(2, 100)
    for name in "ab":
        assert admission.admit(name, asked(), f"{name}1")
    for part in "12":
        for name in "cd":
            assert not admission.admit(name, asked(), f"{name}{part}")
    admission.leave("a")
    admission.leave("b")
    assert [admission.pop_waiting() for _ in range(3)] == [["c1", "c2"], ["d1", "d2"], []]


def test_who_waits_is_let_in_before_who_comes():
    admission = Admission(1, 100)
    admission.admit("a", asked(), 1)
    assert not admission.admit("b", asked(), 2)
    admission.leave("a")
    assert not admission.admit("c", asked(), 3)
    assert admission.pop_waiting() == [2]


def test_so_many_messages_wait_and_no_more():
    admission = Admission(1, 2)
    for n in range(3):
        admission.admit(str(n), asked(), n)
    with pytest.raises(Busy):
        admission.admit("3", asked(), 3)
    with pytest.raises(Busy):
        admission.admit("1", asked(), 1)


def test_a_name_that_another_client_waits_with_is_refused():
    admission = Admission(1, 9)
    admission.admit("a", asked(), 1)
    admission.admit("b", asked("one"), 2)
    with pytest.raises(Refused):
        admission.admit("b", asked("two"), 3)


def test_late_requests_and_those_of_a_client_that_left_are_found():
    admission = Admission(2, 9)
    for name, client, deadline in (
        ("a", "one", 1.0),
        ("b", "two", 5.0),
        ("c", "one", 1.0),
        ("d", "two", 9.0),
    ):
        admission.admit(name, asked(client, deadline), name)
    assert admission.late(0.5) == []
    assert admission.late(1.0) == ["a"]
    assert admission.of_client("two") == ["b"]
    assert admission.pop_late_waiting(1.0) == ["c"]
    assert admission.pop_waiting_of("two") == ["d"]
    assert admission.waiting == 0


def test_earlier_attempts_at_a_request_are_known_by_the_first_letters_of_its_name():
    admission: Admission[str] = Admission(1, 8)
    first, second, third = ("a" * 24 + number * 8 for number in "123")
    assert admission.admit(first, Admitted("c", 1.0, {(0, 1)}), "m1")
    assert not admission.admit(second, Admitted("c", 1.0, {(0, 1)}), "m2")
    assert admission.earlier_attempts(second, "c") == [first]
    assert admission.earlier_attempts(second, "another") == []
    assert admission.earlier_attempts("b" * 32, "c") == []
    assert admission.pop_waiting_attempts(third, "another") == []
    assert admission.pop_waiting_attempts(second, "c") == []
    assert admission.pop_waiting_attempts(third, "c") == ["m2"]
