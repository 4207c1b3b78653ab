"""Where hosts listen, from what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import UsageError
from planner.hosts.endpoints import (
    FIRST_PORT,
    Endpoint,
    check_encryptable,
    parse_endpoints,
    with_defaults,
)


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


@pytest.mark.parametrize(
    ("host", "text"),
    [
        *((host, "at which others reach it") for host in ("0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]")),
        *((host, "only IPv6") for host in ("[10.0.0.5]",)),
        ("[fe80::1%eth0]", "zone"),
        *(
            (host, "neither an address nor a name")
            for host in (
                " 127.0.0.1", "127.0.0.1 ", "foo bar", "a/b", "h#iface=eth0", "h?rel=0", "tls/h", "[host]",
                "ümlaut", "300.1.1.1", "1.2.3", "5", "-h", "h-", "a..b", ".a", "a.", "a" * 254, "h\n", "h,i",
            )
        ),
    ],
)  # fmt: skip
def test_what_others_could_not_connect_to_is_refused(host, text):
    with pytest.raises(UsageError, match=text):
        parse_endpoints([f"a={host}:7500"])


@pytest.mark.parametrize(
    "host", ["board", "my_board", "a-1.b2.local", "xn--mlaut-jva", "3com.example", "a" * 253]
)
def test_names_of_hosts_are_taken(host):
    assert parse_endpoints([f"a={host}"])["a"].host == host


def test_keys_for_an_ipv6_address_are_refused_as_they_cannot_be_checked():
    check_encryptable("a", Endpoint("board", 1))
    check_encryptable("a", Endpoint("10.0.0.1", 1))
    with pytest.raises(UsageError, match=r"--host a=\[::1\]:1: with --keys, write a name"):
        check_encryptable("a", Endpoint("::1", 1))


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
