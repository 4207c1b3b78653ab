"""How often each bandwidth occurs: a distribution that a user writes, a recorded trace, or a range."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan
from pathlib import Path
from statistics import median

import numpy as np

from planner.errors import ScenarioError
from profiling.input_files import read_input

_GRID = 200  # bandwidths that stand for a range: 50 a decade of four
_GAP = 10.0  # times the median step of a trace: more is a gap, for which no bandwidth was recorded
_COLUMNS = 2
_MOST_BYTES = 8 * 2**20  # a line a second for some days


@dataclass(frozen=True, slots=True)
class BandwidthDistribution:
    """Bandwidths and the share of time of each.

    Parameters
    ----------
    values, shares
        In the order in which they come if `in_time`; shares sum to 1.
    source
        What it comes from, for people.
    """

    values: tuple[float, ...]
    shares: tuple[float, ...]
    source: str
    in_time: bool = False


def uniform_log(low: float, high: float) -> BandwidthDistribution:
    """Return every magnitude between two bandwidths as often as every other.

    Examples
    --------
    >>> log = uniform_log(1.0, 100.0)
    >>> len(log.values), log.values[0], round(log.values[-1], 9), round(sum(log.shares), 9)
    (200, 1.0, 100.0, 1.0)
    """
    values = np.geomspace(low, high, _GRID)
    return BandwidthDistribution(
        tuple(values.tolist()), (1 / _GRID,) * _GRID, f"{low:g} to {high:g}, magnitudes alike"
    )


def parse_distribution(text: str) -> BandwidthDistribution:
    """Return what `1:0.2,5:0.5,20:0.3` says: bandwidths and their weights.

    Raises
    ------
    ScenarioError
        If it is not written so, or bandwidths do not ascend.

    Examples
    --------
    >>> parse_distribution("1:1,5:3").shares
    (0.25, 0.75)
    """
    pairs = [_value_and_weight(text, part) for part in text.split(",")]
    for (before, _), (after, _) in pairwise(pairs):
        if before >= after:
            raise ScenarioError(
                f"--distribution {text}: {after:g} comes after {before:g}; write each once, ascending"
            )
    total = sum(weight for _, weight in pairs)
    if not isfinite(total):
        raise ScenarioError(f"--distribution {text}: the weights are too large to add up")
    return BandwidthDistribution(
        tuple(value for value, _ in pairs),
        tuple(weight / total for _, weight in pairs),
        "the distribution that was given",
    )


def _value_and_weight(text: str, part: str) -> tuple[float, float]:
    value, _, weight = part.partition(":")
    try:
        pair = float(value), float(weight)
    except ValueError:
        raise ScenarioError(
            f"--distribution {text}: write BANDWIDTH:WEIGHT,..., such as 1:0.2,5:0.8"
        ) from None
    if not all(isfinite(number) and number > 0 for number in pair):
        raise ScenarioError(f"--distribution {text}: {part.strip()} has a number that is not above 0")
    return pair


def read_trace(path: Path) -> BandwidthDistribution:
    """Return a recorded trace: lines of seconds and bandwidth, with or without a header.

    A bandwidth holds until the next line; the last one as long as is usual.

    Raises
    ------
    ScenarioError
        If the file cannot be read, a value is missing or no bandwidth, or time stands still, goes back or
        leaps.
    """
    try:
        text = read_input(path, _MOST_BYTES).decode("utf-8")
        rows = list(_trace_lines(path, csv.reader(io.StringIO(text, newline=""))))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ScenarioError(f"--trace {path}: {getattr(exc, 'strerror', None) or 'is no text'}") from exc
    if len(rows) < _COLUMNS:
        raise ScenarioError(f"--trace {path}: needs two lines of SECONDS,BANDWIDTH at least")
    steps = _steps(path, rows)
    total = sum(steps)
    if not isfinite(total):
        raise ScenarioError(f"--trace {path}: its times are too far apart to add up")
    return BandwidthDistribution(
        tuple(value for _, _, value in rows),
        tuple(step / total for step in steps),
        f"the trace {path.name}",
        in_time=True,
    )


def _trace_lines(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[int, float, float]]:
    """Yield (number of the line, seconds, bandwidth)."""
    first = True
    for number, cells in enumerate(lines, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        if first and not _is_number(cells[0]):
            first = False  # a header
            continue
        first = False
        where = f"--trace {path}: line {number}"
        if len(cells) != _COLUMNS:
            raise ScenarioError(f"{where} has {len(cells)} values; write SECONDS,BANDWIDTH")
        if not cells[1].strip():
            raise ScenarioError(f"{where} has no bandwidth: fill the gap, or cut the trace there")
        if not (_is_number(cells[0]) and _is_number(cells[1])):
            raise ScenarioError(f"{where}: {','.join(cells)!r} are not two numbers")
        bandwidth = float(cells[1])
        if bandwidth <= 0:
            raise ScenarioError(f"{where}: {bandwidth:g} is no bandwidth; no plan helps while a link is down")
        yield number, float(cells[0]), bandwidth


def _is_number(text: str) -> bool:
    try:
        return not isnan(float(text)) and isfinite(float(text))
    except ValueError:
        return False


def _steps(path: Path, rows: Sequence[tuple[int, float, float]]) -> list[float]:
    """Return how long each bandwidth holds, in seconds."""
    steps = [after - before for (_, before, _), (_, after, _) in pairwise(rows)]
    usual = median(steps)
    for (number, seconds, _), step in zip(rows[1:], steps, strict=True):
        if step <= 0:
            raise ScenarioError(f"--trace {path}: line {number}: {seconds:g} s is not after the line before")
        if step > _GAP * usual:
            raise ScenarioError(
                f"--trace {path}: line {number}: a gap of {step:g} s where {usual:g} s is usual; "
                "fill it, or cut the trace there"
            )
    return [*steps, usual]
