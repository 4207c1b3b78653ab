"""A tensor that several devices get: said where their ways share a link, and only there."""

from dataclasses import dataclass

import pytest

from planner.report.tables.shared_links import shared_link_texts


@dataclass(frozen=True)
class Way:
    tensor: str
    path: tuple[str, ...]
    wire: str = "fp32"


@pytest.mark.parametrize(
    "ways",
    [
        [],
        [Way("a", ("camera", "gateway")), Way("b", ("camera", "gateway", "server"))],
        [Way("a", ("camera", "gateway")), Way("a", ("camera", "server"))],
        # In two forms it is sent twice.
        [Way("a", ("camera", "gateway")), Way("a", ("camera", "gateway", "server"), "int8")],
        # The same devices the other way round are another link.
        [Way("a", ("camera", "gateway")), Way("a", ("gateway", "camera"))],
    ],
)
def test_nothing_is_said_where_nothing_is_shared(ways):
    assert not list(shared_link_texts(ways))


def test_each_shared_link_is_named_with_who_gets_the_tensor():
    ways = [
        Way("net/add", ("camera", "gateway")),
        Way("net/add", ("camera", "gateway", "server")),
        Way("net/add", ("camera", "gateway", "server", "store")),
        Way("other", ("gateway", "server")),
    ]
    first, second = shared_link_texts(ways)
    assert "net/add goes over camera > gateway once, for gateway, server, store:" in first
    assert "net/add goes over gateway > server once, for server, store:" in second
