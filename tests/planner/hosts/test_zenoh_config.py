"""What a configuration permits: a host's own messages with its neighbours, and nothing else."""

import json
import re

import pytest

from planner.hosts.endpoints import Endpoint
from planner.hosts.zenoh_config import CLIENT, CLIENT_PATTERN, access_control, host_config

HASH = "ab12"
NEIGHBOURS = {"server": "server", CLIENT: CLIENT_PATTERN}


def allows(rules: dict, subject: str, flow: str, message: str, key: str) -> bool:
    """Return what the rules say of a message between this host and a subject, as the engine reads them."""
    ids = {one["id"] for one in rules["subjects"] if subject in one["cert_common_names"]}
    own = {rule for one in rules["policies"] if ids & set(one["subjects"]) for rule in one["rules"]}
    return any(
        rule["id"] in own
        and flow in rule["flows"]
        and message in rule["messages"]
        and any(
            re.fullmatch(expr.replace("$*", "[^/]*").replace("/*", "/[^/]+"), key)
            for expr in rule["key_exprs"]
        )
        for rule in rules["rules"]
    )


@pytest.mark.parametrize(
    ("subject", "flow", "message", "key", "is_allowed"),
    [
        ("server", "ingress", "query", "splitquant/ab12/camera/server/tensor", True),
        ("server", "egress", "query", "splitquant/ab12/server/camera/tensor", True),
        ("server", "egress", "reply", "splitquant/ab12/camera/server/tensor", True),
        ("server", "ingress", "reply", "splitquant/ab12/server/camera/tensor", True),
        ("server", "ingress", "query", "splitquant/deployment/camera/server", True),
        ("server", "ingress", "query", "splitquant/ab12/camera/other/tensor", False),
        ("server", "ingress", "query", "splitquant/ab12/camera/client-1/tensor", False),
        ("server", "ingress", "query", "splitquant/ffff/camera/server/tensor", False),
        ("server", "ingress", "put", "splitquant/ab12/camera/server/tensor", False),
        ("server", "egress", "query", "splitquant/ab12/other/camera/tensor", False),
        ("server", "ingress", "liveliness_token", "splitquant/ab12/alive/server", True),
        ("server", "ingress", "liveliness_token", "splitquant/ab12/alive/other", False),
        (CLIENT, "ingress", "query", "splitquant/ab12/camera/client-77/tensor", True),
        (CLIENT, "ingress", "query", "splitquant/ab12/camera/server/tensor", False),
        (CLIENT, "egress", "query", "splitquant/ab12/client-77/camera/answer", True),
        ("other", "ingress", "query", "splitquant/ab12/camera/other/tensor", False),
    ],
)
def test_a_host_exchanges_messages_with_its_neighbours_each_under_its_own_name(
    subject, flow, message, key, is_allowed
):
    rules = access_control("camera", HASH, NEIGHBOURS)
    assert rules["default_permission"] == "deny"
    assert allows(rules, subject, flow, message, key) is is_allowed


@pytest.mark.parametrize("names", [("cam", "cam-2"), ("cam-2", "cam"), ("client", "client-2")])
def test_a_neighbour_may_not_speak_for_one_whose_name_begins_like_its_own(names):
    rules = access_control("hub", HASH, {name: name for name in names})
    for subject in names:
        for sender in names:
            key = f"splitquant/ab12/hub/{sender}/tensor"
            assert allows(rules, subject, "ingress", "query", key) is (subject == sender)


def test_what_one_end_may_send_the_other_may_take():
    camera, server = (
        access_control("camera", HASH, {"server": "server"}),
        access_control("server", HASH, {"camera": "camera"}),
    )
    for one, other in ((camera, server), (server, camera)):
        sent = {(tuple(r["messages"]), *r["key_exprs"]) for r in one["rules"] if r["flows"] == ["egress"]}
        taken = {(tuple(r["messages"]), *r["key_exprs"]) for r in other["rules"] if r["flows"] == ["ingress"]}
        assert sent == taken


def test_keys_make_a_connection_encrypted_and_checked_on_both_sides():
    rules = access_control("camera", HASH, {})
    config = host_config("camera", Endpoint("10.0.0.5", 7447), [Endpoint("h", 1)], 100, rules)
    assert config["listen"]["endpoints"] == ["tls/10.0.0.5:7447"]
    assert config["connect"]["endpoints"] == ["tls/h:1"]
    assert config["transport"]["link"]["protocols"] == ["tls"]
    tls = config["transport"]["link"]["tls"]
    assert tls["enable_mtls"]
    assert tls["verify_name_on_connect"]
    assert config["access_control"] == rules


def test_nothing_is_discovered_and_large_messages_are_not_read():
    config = host_config("camera", None, [], 1000, None)
    assert config["listen"]["endpoints"] == []
    assert "access_control" not in config
    assert not any(way["enabled"] for way in config["scouting"].values())
    assert 1000 < config["transport"]["link"]["rx"]["max_message_size"] < 2**20
    assert config["connect"]["exit_on_failure"] is False
    assert config["transport"]["shared_memory"] == {"enabled": False}


@pytest.mark.parametrize("rules", [None, access_control("camera", HASH, NEIGHBOURS)], ids=["open", "keys"])
def test_the_engine_reads_every_key(rules, tmp_path):
    zenoh = pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")
    path = tmp_path / "zenoh.json5"
    path.write_text(json.dumps(host_config("camera", Endpoint("127.0.0.1", 1), [], 10, rules)))
    read = zenoh.Config.from_file(str(path))
    assert json.loads(read.get_json("transport/link/tx/lease")) == 4000
