"""What is asked of a served bundle, and what is told of a run, as JSON; nothing is believed unchecked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from planner.hosts.on_host.messages import BadMessageError
from profiling.on_device.measurement_order import MOST_ROUNDS, MOST_THREADS

PROFILES = "profiles"  # in keys, where hosts of a deployment have its hash
BUNDLE, START, POLL, STOP = "bundle", "start", "poll", "stop"
_RUN_LETTERS = 32
_MOST_BYTES = 1024


@dataclass(frozen=True)
class RunRequest:
    """What a run of `measure.py` may be asked for.

    Parameters
    ----------
    run
        Its name, which who asks chooses at random: only who knows it is told of the run, or ends it.
    rounds, threads
        As `measure.py` takes them.
    """

    run: str
    rounds: int
    threads: int

    def to_bytes(self) -> bytes:
        """Return what `run_request` reads."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class RunStatus:
    """What is known of a run.

    Parameters
    ----------
    is_running
        If not, there is a profile, or a reason why there is none.
    progress
        What is or was done -> how much of it, and how much there is.
    profile, sha256
        The text that `measure.py` wrote, and its hash.
    """

    is_running: bool
    progress: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    reason: str = ""
    profile: str = ""
    sha256: str = ""

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()


def run_request(data: bytes) -> RunRequest:
    """Return the run that is asked for.

    Raises
    ------
    BadMessageError
        If it is none, or out of bounds.
    """
    try:
        fields = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError) as exc:
        raise BadMessageError("a run is asked for in JSON") from exc
    if not isinstance(fields, dict) or fields.keys() != {"run", "rounds", "threads"}:
        raise BadMessageError("a run has a name, rounds and threads, and nothing else")
    name = fields["run"]
    if not isinstance(name, str) or len(name) != _RUN_LETTERS:
        raise BadMessageError("a run's name is no name")
    return RunRequest(
        name, _count(fields, "rounds", 0, MOST_ROUNDS), _count(fields, "threads", 1, MOST_THREADS)
    )


def _count(fields: Mapping[str, object], key: str, least: int, most: int) -> int:
    count = fields[key]
    if type(count) is not int or not least <= count <= most:
        raise BadMessageError(f"{key} must be a whole number from {least} to {most}")
    return count
