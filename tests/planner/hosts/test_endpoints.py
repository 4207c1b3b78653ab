"""Where hosts listen, from what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import UsageError
from planner.hosts.endpoints import FIRST_PORT, Endpoint, parse_endpoints, with_defaults


@pytest.mark.parametrize(
    ("text", "endpoint", "address"),
    [
        ("a=10.0.0.5", Endpoint("10.0.0.5", FIRST_PORT), "10.0.0.5:7447"),
        ("a=10.0.0.5:80", Endpoint("10.0.0.5", 80), "10.0.0.5:80"),
        ("a=board.local:65535", Endpoint("board.local", 65535), "board.local:65535"),
        ("a=[fe80::1]", Endpoint("fe80::1", FIRST_PORT), "[fe80::1]:7447"),
        ("a=[::1]:7500", Endpoint("::1", 7500), "[::1]:7500"),
    ],
)
def test_an_address_is_read_and_written(text, endpoint, address):
    assert parse_endpoints([text]) == {"a": endpoint}
    assert endpoint.address == address


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=", "=10.0.0.5", "a=10.0.0.5:", "a=10.0.0.5:0", "a=h:65536", "a=h:x", "a=::1", "a=h:1:2"],
)
def test_another_form_is_refused_with_the_right_one(text):
    with pytest.raises(UsageError, match=r"NAME=ADDRESS"):
        parse_endpoints([text])


def test_a_device_has_one_address_and_an_address_one_device():
    with pytest.raises(UsageError, match="a has an address already"):
        parse_endpoints(["a=h:1", "a=h:2"])
    with pytest.raises(UsageError, match="a listens at h:1, too"):
        with_defaults(parse_endpoints(["a=h:1", "b=h:1"]), ["a", "b"])


def test_a_device_that_the_plan_does_not_use_is_named():
    with pytest.raises(UsageError, match="--host c: the plan uses a, b"):
        with_defaults(parse_endpoints(["c=h"]), ["a", "b"])


@given(st.lists(st.integers(FIRST_PORT, FIRST_PORT + 5), max_size=4, unique=True), st.integers(0, 4))
def test_default_ports_are_free_and_each_its_own(taken, more):
    given_endpoints = {f"g{n}": Endpoint("127.0.0.1", port) for n, port in enumerate(taken)}
    names = [*given_endpoints, *(f"d{n}" for n in range(more))]
    found = with_defaults(given_endpoints, names)
    assert list(found) == names
    assert len({endpoint.port for endpoint in found.values()}) == len(names)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known(host):
    assert Endpoint(host, 1).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "localhost.example", "127.0.0.1.example"])
def test_others_are_no_loopback(host):
    assert not Endpoint(host, 1).is_loopback
