"""The engine between hosts (Eclipse Zenoh): queries that are answered when a message is accepted.

Keys are `splitquant/DEPLOYMENT/RECEIVER/SENDER/KIND`, so that access control can hold each device to what is
its own. A query that nobody takes ends at once, one that is cut off ends when the connection does. A receiver
declares every key that a neighbour sends under: the engine then sends a number instead of the key's text. An
acceptance would still carry it all, so it comes under a short key of its own. Under
`splitquant/deployment/RECEIVER/SENDER` a host tells its deployment, so that two that do not belong together
say so instead of not finding each other.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import errno
import json
import logging
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import zenoh

from planner.hosts.on_host.engine_calls import EngineCalls
from planner.hosts.on_host.messages import ACCEPTED, DEPLOYMENT, EVENTS, ROOT
from planner.hosts.on_host.own_keys import check_own_keys, handed_over

_LOG = logging.getLogger(__name__)
TENSOR, ANSWER, FAILURE, STATUS, PING = KINDS = "tensor", "answer", "failure", "status", "ping"
_ALIVE = "alive"
# What the engine adds to a message's header and content on its way, without TCP's own; a test counts it. More
# than 49,152 bytes are sent in pieces, for some bytes each.
_MESSAGE_BYTES, _ENCRYPTED_BYTES = 33, 22


class Outcome(Enum):
    """What became of a message.

    BUSY and UNREACHABLE may be another one if it is sent again, REFUSED would not.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    BUSY = "busy"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Reply:
    """The answer to a message: bytes if it was accepted, a reason if not."""

    outcome: Outcome
    data: bytes = b""

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return self.data.decode(errors="replace")


class Incoming:
    """A message that came in; it is answered once, now or later."""

    def __init__(self, query: Any, sender: str, kind: str, calls: EngineCalls) -> None:
        self._query, self.sender, self.kind, self._calls = query, sender, kind, calls
        self.header = b"" if query.attachment is None else query.attachment.to_bytes()
        self.payload = b"" if query.payload is None else query.payload.to_bytes()

    def accept(self, data: bytes = b"") -> None:
        """Tell the sender that it was taken."""
        self._end(lambda query: query.reply(ACCEPTED, data))

    def refuse(self, reason: str) -> None:
        """Tell the sender that it is not taken."""
        self._end(lambda query: query.reply_err(_REFUSED + reason.encode(errors="replace")))

    def postpone(self, reason: str) -> None:
        """Tell the sender that it may be taken later."""
        self._end(lambda query: query.reply_err(_BUSY + reason.encode(errors="replace")))

    def _end(self, reply: Callable[[Any], None]) -> None:
        query, self._query = self._query, None
        if query is None:
            return
        with self._calls.entered() as is_open:
            if not is_open:
                return
            try:
                reply(query)
            except zenoh.ZError:  # the sender has gone, and asks again if it comes back
                pass
            finally:
                query.drop()


class Network:
    """A host's or client's connection to its neighbours.

    Parameters
    ----------
    config
        Zenoh's own configuration: endpoints, keys, access control.
    deployment
        Hash of what was deployed together.
    name
        Of the device, or of the client.

    Attributes
    ----------
    message_bytes
        What a message weighs on its way, beside its header and content.

    Raises
    ------
    OSError
        If the configuration is refused, or nothing can be listened on.
    """

    def __init__(self, config: Path, deployment: str, name: str) -> None:
        self.deployment, self.name = deployment, name
        try:
            opened = _configuration(config)
            self._session = zenoh.open(opened)
        except zenoh.ZError as exc:
            raise OSError(_listen_fault(str(exc), name) or f"{config}: {_PLACE.sub('', str(exc))}") from exc
        is_encrypted = "tls" in json.loads(opened.get_json("transport/link/protocols") or "[]")
        self.message_bytes = _MESSAGE_BYTES + (_ENCRYPTED_BYTES if is_encrypted else 0)
        self._declared: list[Any] = []
        self._calls = EngineCalls()
        atexit.register(self.close)

    def serve(self, take: Callable[[Incoming], None], senders: Sequence[str] = ("*",)) -> None:
        """Give each message that comes in to a function, which must not wait; and announce this host.

        Parameters
        ----------
        senders
            Who may send: names, whose messages weigh less then, or patterns of names.
        """

        def on_query(query: Any) -> None:
            # A key of another form is none of a host's: asked for with a pattern, by a stranger.
            parts = str(query.key_expr).split("/")
            if len(parts) == _KEY_PARTS:
                take(Incoming(query, parts[-2], parts[-1], self._calls))

        def on_question(query: Any) -> None:
            with suppress(zenoh.ZError):
                query.reply(query.key_expr, self.deployment)

        own = f"{ROOT}/{self.deployment}/{self.name}"
        for sender in senders:
            kinds = KINDS if "*" not in sender else ["*"]
            for kind in kinds:
                key = f"{own}/{sender}/{kind}"
                self._listen(self._session.declare_queryable(key, _channel()), on_query)
        key = f"{ROOT}/{DEPLOYMENT}/{self.name}/*"
        self._listen(self._session.declare_queryable(key, _channel()), on_question)
        self._declared.append(self._session.liveliness().declare_token(self._alive_key(self.name)))

    def hear(self, senders: Sequence[str], take: Callable[[str, bytes], None]) -> None:
        """Give what is told here, as (sender, bytes), to a function, which must not wait."""

        def on_sample(sample: Any) -> None:
            take(str(sample.key_expr).split("/")[-2], sample.payload.to_bytes())

        for sender in senders:
            key = f"{ROOT}/{self.deployment}/{self.name}/{sender}/{EVENTS}"
            self._listen(self._session.declare_subscriber(key, _channel()), on_sample)

    def tell(self, receiver: str, content: bytes) -> None:
        """Send events behind everything else; they are lost where there is no room, or nobody hears."""
        with suppress(zenoh.ZError), self._calls.entered() as is_open:
            if not is_open:
                return
            self._session.put(
                f"{ROOT}/{self.deployment}/{receiver}/{self.name}/{EVENTS}",
                content,
                priority=zenoh.Priority.BACKGROUND,
                congestion_control=zenoh.CongestionControl.DROP,
            )

    def watch(self, pattern: str, changed: Callable[[str, bool], None]) -> None:
        """Tell a function who of a pattern is there, and when that changes."""

        def on_sample(sample: Any) -> None:
            changed(str(sample.key_expr).rsplit("/", 1)[-1], sample.kind == zenoh.SampleKind.PUT)

        key = self._alive_key(pattern)
        declared = self._session.liveliness().declare_subscriber(key, _channel(), history=True)
        self._listen(declared, on_sample)

    def send(self, receiver: str, kind: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        """Send a message and wait until it is accepted, refused, or known not to arrive."""
        key = f"{ROOT}/{self.deployment}/{receiver}/{self.name}/{kind}"
        reply = self._asked(key, header, payload, timeout_s)
        if reply.outcome is not Outcome.UNREACHABLE:
            return reply
        key = f"{ROOT}/{DEPLOYMENT}/{receiver}/{self.name}"
        other = self._asked(key, b"", b"", min(timeout_s, _QUESTION_S))
        if other.outcome is not Outcome.ACCEPTED or other.data == self.deployment.encode():
            return reply
        text = (
            f"{receiver} serves deployment {other.reason[:_SHOWN]}, and {self.name} belongs to "
            f"{self.deployment[:_SHOWN]}: copy all folders of one "
            "deployment and restart its hosts, or give this one other ports (--host)"
        )
        return Reply(Outcome.REFUSED, text.encode())

    def _asked(self, key: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        with self._calls.entered() as is_open:
            if not is_open:
                return Reply(Outcome.UNREACHABLE)
            try:
                replies = self._session.get(
                    key,
                    _channel(),
                    target=zenoh.QueryTarget.BEST_MATCHING,
                    consolidation=zenoh.ConsolidationMode.NONE,
                    accept_replies=zenoh.ReplyKeyExpr.ANY,
                    timeout=max(timeout_s, 0.001),
                    congestion_control=zenoh.CongestionControl.BLOCK,
                    payload=payload,
                    attachment=header,
                )
                # The channel ends with the query, which the engine ends at its timeout.
                found = [_reply(reply) for reply in replies]
            except zenoh.ZError as exc:
                return Reply(Outcome.UNREACHABLE, str(exc).encode())
        return found[0] if found else Reply(Outcome.UNREACHABLE)

    def close(self) -> None:
        """Leave; what is on its way ends as unreachable."""
        atexit.unregister(self.close)
        self._calls.close()
        # It gives up closing, with an error, where a neighbour neither answers nor hangs up.
        with contextlib.suppress(zenoh.ZError):
            self._session.close()  # type: ignore[no-untyped-call]
        self._calls.wait(_LEAVE_S)

    def _listen(self, declared: Any, take: Callable[[Any], None]) -> None:
        """Give what comes to a function, in a thread of its own, until the engine is closed.

        The engine's own callbacks run in threads that keep a process from ending.
        """
        self._declared.append(declared)
        threading.Thread(target=self._take_all, args=(declared, take), daemon=True).start()

    def _take_all(self, declared: Any, take: Callable[[Any], None]) -> None:
        with self._calls.entered() as is_open:
            if not is_open:
                return
            for came in declared:
                try:
                    take(came)
                except Exception:  # noqa: BLE001  whatever it is, the next ones are taken
                    _LOG.exception("a message could not be taken")
                del came  # a question that is held has not ended

    def _alive_key(self, name: str) -> str:
        return f"{ROOT}/{self.deployment}/{_ALIVE}/{name}"


def _listen_fault(error: str, name: str) -> str | None:
    """Return why a host cannot listen and what to do, from the engine's error; None if it is another one."""
    found = _LISTENER.search(error)
    reason = None if found is None else _CANNOT_LISTEN.get(int(found["code"]))
    if found is None or reason is None:
        return None
    return f"{found['address']}: {reason}, or run plan deploy with --host {name}=ADDRESS:PORT"


def _configuration(path: Path) -> Any:
    """Return a configuration with the content of its files, wherever the process was started.

    The engine takes paths apart at some characters, such as a semicolon; content it takes as it is.
    """
    config = zenoh.Config.from_file(str(path))
    files = {}
    for key in _KEY_FILES:
        text = config.get_json(f"transport/link/tls/{key}")
        name = None if text is None else json.loads(text)
        if name is not None:
            files[key] = handed_over(path.resolve().parent / name)
    if files.keys() == set(_KEY_FILES):
        check_own_keys(*(files[key] for key in _OWN_KEYS))
    for key, file in files.items():
        content = base64.b64encode(file.read_bytes()).decode()
        config.insert_json5(f"transport/link/tls/{key}", "null")
        config.insert_json5(f"transport/link/tls/{key}_base64", json.dumps(content))
    return config


_KEY_FILES = (
    "root_ca_certificate",
    "listen_certificate",
    "listen_private_key",
    "connect_certificate",
    "connect_private_key",
)
_OWN_KEYS = ("root_ca_certificate", "connect_certificate", "connect_private_key")
_LISTENER = re.compile(r"listener bound to \w+/(?P<address>\S+): .*\(os error (?P<code>\d+)\)", re.DOTALL)
_CANNOT_LISTEN = {
    **dict.fromkeys(
        (errno.EADDRINUSE, 10048),  # the second one is Windows' own
        "another process listens there (a host of another deployment?): end it",
    ),
    **dict.fromkeys((errno.EADDRNOTAVAIL, 10049), "this machine has no such address: start it where it is"),
}
_PLACE = re.compile(r" at \S+\.rs:\d+\.?")  # in the engine's source, which its errors name
_QUESTION_S = 1.0
_LEAVE_S = 5.0
_KEY_PARTS = 5
_MOST_WAITING = 1024  # in a channel; more wait in the engine
_SHOWN = 12  # letters of a deployment's hash
_REFUSED, _BUSY = b"refused:", b"busy:"


def _channel() -> Any:
    return zenoh.handlers.FifoChannel(_MOST_WAITING)


def _reply(reply: Any) -> Reply:
    if reply.ok is not None:
        return Reply(Outcome.ACCEPTED, reply.ok.payload.to_bytes())
    return _refusal(reply.err.payload.to_bytes())


def _refusal(data: bytes) -> Reply:
    """Return what an error says: a host's own words, or the engine's, such as a timeout."""
    for mark, outcome in ((_REFUSED, Outcome.REFUSED), (_BUSY, Outcome.BUSY)):
        if data.startswith(mark):
            return Reply(outcome, data[len(mark) :])
    return Reply(Outcome.UNREACHABLE, data)
