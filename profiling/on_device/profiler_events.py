"""Kernel events in the profile that ONNX Runtime wrote, of all runs or only of those that count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

KERNEL_SUFFIX = "_kernel_time"
_RUN_END = '"model_run"'  # names the event that the runtime writes behind those of a run's kernels
_FIRST_LINE, _LAST_LINE = "[", "]"


def kernel_events(profile: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of the kernels of every run."""
    return _kernels(_event_lines(profile))


def kernel_events_of_runs(profile: Path, taken: int, kept: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the events of the kernels of some runs, in the order of the runs.

    Only theirs are decoded. Of short models most runs only fill caches, and to decode the events of all took
    twice as long as to run them.

    Parameters
    ----------
    taken
        How many runs at the profile's end the numbers are of.
    kept
        Numbers of the runs.

    Raises
    ------
    ValueError
        The profile has not so many runs.
    """
    lines = _event_lines(profile)
    ends = [number for number, line in enumerate(lines) if _RUN_END in line]
    if len(ends) < taken:
        raise ValueError(f"the runtime's profile has {len(ends)} runs where {taken} were taken")
    begins = [0, *ends][:-1]
    first = len(ends) - taken
    for run in kept:
        yield from _kernels(lines[begins[first + run] : ends[first + run]])


def _event_lines(profile: Path) -> list[str]:
    """Return each event as JSON, as the runtime writes them: one on each line."""
    text = profile.read_text()
    lines = text.splitlines()
    if lines[0] == _FIRST_LINE and lines[-1] == _LAST_LINE:
        return [line.rstrip(",") for line in lines[1:-1]]
    return [json.dumps(event) for event in json.loads(text)]


def _kernels(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for event in json.loads(f"[{','.join(lines)}]"):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(KERNEL_SUFFIX):
            yield event
