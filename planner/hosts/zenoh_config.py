"""The engine's configuration of each host: where it listens, whom it trusts, and who may do what.

The keys are Zenoh's own (its DEFAULT_CONFIG.json5 describes them). Nothing is discovered: hosts know their
neighbours by address.
"""

from collections.abc import Mapping, Sequence

from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.messages import CLIENT_PREFIX, DEPLOYMENT, ROOT

CLIENT, CLIENT_PATTERN = "client", f"{CLIENT_PREFIX}$*"
KEYS = "keys"
CA, CERTIFICATE, KEY = "ca.pem", "certificate.pem", "key.pem"
# A cut link is noticed after the lease: long enough for a slow one, whose batches take half a second.
_LEASE_MS, _KEEP_ALIVES = 4000, 4
_RETRY_MS = {"period_init_ms": 100, "period_max_ms": 1000, "period_increase_factor": 2}
_FOREVER = -1
_SLACK_BYTES = 2**19  # headers, beyond the largest tensor
_WAIT_US = 60_000_000  # a slow link may take so long before its queue has room for a blocking message


def host_config(
    name: str,
    listen: Endpoint | None,
    connect: Sequence[Endpoint],
    largest_bytes: int,
    access_control: Mapping[str, object] | None,
    keys: str = KEYS,
) -> dict[str, object]:
    """Return the configuration of a host or client.

    Parameters
    ----------
    largest_bytes
        Of a tensor: messages that are much larger are not read.
    access_control
        From `access_control`, with keys; None for a connection without encryption.
    keys
        Folder of the keys, from where the configuration lies.
    """
    protocol = "tcp" if access_control is None else "tls"
    link: dict[str, object] = {
        "protocols": [protocol],
        "tx": {
            "lease": _LEASE_MS,
            "keep_alive": _KEEP_ALIVES,
            "queue": {"congestion_control": {"block": {"wait_before_close": _WAIT_US}}},
        },
        "rx": {"max_message_size": largest_bytes + _SLACK_BYTES},
    }
    if access_control is not None:
        link["tls"] = {
            "root_ca_certificate": f"{keys}/{CA}",
            **{f"{side}_certificate": f"{keys}/{CERTIFICATE}" for side in ("listen", "connect")},
            **{f"{side}_private_key": f"{keys}/{KEY}" for side in ("listen", "connect")},
            "enable_mtls": True,
            "verify_name_on_connect": True,
        }
    config: dict[str, object] = {
        "mode": "peer",
        "metadata": {"name": name},
        "listen": {
            "endpoints": [] if listen is None else [f"{protocol}/{listen.address}"],
            "timeout_ms": 0,
            "exit_on_failure": True,
        },
        "connect": {
            "endpoints": [f"{protocol}/{endpoint.address}" for endpoint in connect],
            # In the background, however late the other one starts.
            "timeout_ms": _FOREVER,
            "exit_on_failure": False,
            "retry": _RETRY_MS,
        },
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        # Between hosts on one machine too, tensors go over the connection that is measured and encrypted.
        # Besides, the engine keeps its shared memory when a connection ends.
        "transport": {"link": link, "shared_memory": {"enabled": False}},
    }
    if access_control is not None:
        config["access_control"] = dict(access_control)
    return config


def access_control(pattern: str, deployment: str, others: Mapping[str, str]) -> dict[str, object]:
    """Return rules by which a host exchanges messages with its neighbours only, each under its own name.

    Parameters
    ----------
    pattern
        What the host's name in keys matches.
    others
        Common names of its neighbours' certificates -> what their names in keys match.
    """
    rules: list[dict[str, object]] = []
    subjects, policies = [], []
    for number, (other, other_pattern) in enumerate(others.items()):
        subjects.append({"id": f"subject-{number}", "cert_common_names": [other]})
        first_own = len(rules)
        # What is said to us, and about them, comes in; the mirror image goes out.
        for flow, receiver, sender in (
            ("ingress", pattern, other_pattern),
            ("egress", other_pattern, pattern),
        ):
            for what, messages, keys in _permitted(deployment, receiver, sender):
                rules.append(
                    {
                        "id": f"{other}-{flow}-{what}",
                        "permission": "allow",
                        "flows": [flow],
                        "messages": messages,
                        "key_exprs": keys,
                    }
                )
        own = [rule["id"] for rule in rules[first_own:]]
        policies.append({"rules": own, "subjects": [f"subject-{number}"]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    }


def _permitted(deployment: str, receiver: str, sender: str) -> list[tuple[str, list[str], list[str]]]:
    """Return what may go from a sender to a receiver: (word, kinds of message, keys)."""
    root, which = f"{ROOT}/{deployment}", f"{ROOT}/{DEPLOYMENT}"
    return [
        ("query", ["query"], [f"{root}/{receiver}/{sender}/*", f"{which}/{receiver}/{sender}"]),
        ("reply", ["reply"], [f"{root}/{sender}/{receiver}/*", f"{which}/{sender}/{receiver}"]),
        ("declare", ["declare_queryable"], [f"{root}/{sender}/*/*", f"{which}/{sender}/*"]),
        ("alive", ["liveliness_token"], [f"{root}/alive/{sender}"]),
        ("watch", ["declare_liveliness_subscriber", "liveliness_query"], [f"{root}/alive/{receiver}"]),
    ]
