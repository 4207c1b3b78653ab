"""Bandwidths and budgets to compare plans over: what a user writes, and the scenario at each value."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log10

from planner.errors import ScenarioError
from planner.scenario.link_schema import LinkSpec
from planner.scenario.schema import Scenario
from planner.scenario.validation import metric_faults

ALL = "all"
_RANGED = ("--bandwidth", "--requests-per-s")  # options that take LOW..HIGH
_DASHED = re.compile(r"^([\d.]+) *(?:-|–|to|:) *([\d.]+)$")  # noqa: RUF001
_MOST_VALUES = 1000  # each is a row, and may be a program
_STEPS = (1.0, 3.0)  # per decade of a range: about evenly spread magnitudes
_MOST, _LEAST = 1e9, 1e-4  # what a scenario's bandwidths may be


@dataclass(frozen=True, slots=True)
class Bandwidths:
    """The bandwidths of some links.

    Parameters
    ----------
    values
        Mbit/s, ascending; factors of their own bandwidths if all links vary.
    links
        Names of the links that vary.
    factors
        Whether the values are factors.
    """

    values: tuple[float, ...]
    links: tuple[str, ...]
    factors: bool = False

    @property
    def unit(self) -> str:
        """What a value counts."""
        return "x" if self.factors else "Mbit/s"

    def scenario_at(self, scenario: Scenario, value: float) -> Scenario:
        """Return the scenario with its links at one of the values, or between them."""
        return scenario.model_copy(
            update={"links": tuple(self._link_at(link, value) for link in scenario.links)}
        )

    def _link_at(self, link: LinkSpec, value: float) -> LinkSpec:
        if link.name not in self.links:
            return link
        bandwidth = link.bandwidth_mbit_per_s * value if self.factors else value
        return link.model_copy(update={"bandwidth_mbit_per_s": bandwidth})

    def seconds_on(self, scenario: Scenario, traffic_bytes: Sequence[float]) -> float:
        """Return how long the bytes are on the links that vary, in a scenario.

        At value 1 that is what they take times the value, which is constant while a plan stays.

        Parameters
        ----------
        traffic_bytes
            Of each link of the scenario.
        """
        pairs = zip(scenario.links, traffic_bytes, strict=True)
        return sum(size / link.bandwidth_bytes_per_s for link, size in pairs if link.name in self.links)


def parse_bandwidths(text: str, links: Sequence[str], scenario: Scenario) -> Bandwidths:
    """Return the bandwidths that `--bandwidth` and `--link` name.

    Parameters
    ----------
    text
        `1,5,20,100`, or `0.1..1000` for a range.
    links
        Names of links, or `all`; if there are none, the slowest ones vary.

    Raises
    ------
    ScenarioError
        If a value is no bandwidth, they do not ascend, or a link is unknown.
    """
    values = _range(text) if ".." in text else parse_values("--bandwidth", text)
    for value in (values[0], values[-1]):
        if not _LEAST <= value <= _MOST:
            raise ScenarioError(f"--bandwidth {text}: {value:g} is not between {_LEAST:g} and {_MOST:g}")
    link_names = [link.name for link in scenario.links]
    if not link_names:
        raise ScenarioError("--bandwidth: the scenario has no links, so nothing depends on a bandwidth")
    if list(links) == [ALL]:
        return Bandwidths(values, tuple(link_names), factors=True)
    unknown = [name for name in links if name not in link_names]
    if unknown:
        raise ScenarioError(f"--link {unknown[0]}: no such link; links are {', '.join(link_names)}, or {ALL}")
    slowest = min(link.bandwidth_mbit_per_s for link in scenario.links)
    default = [link.name for link in scenario.links if link.bandwidth_mbit_per_s == slowest]
    return Bandwidths(values, tuple(links) or tuple(default))


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the requests per second that a text names: values, or the ends of a range."""
    parts = text.split("..") if ".." in text else [text]
    return tuple(value for part in parts for value in parse_values("--requests-per-s", part))


def parse_values(option: str, text: str) -> tuple[float, ...]:
    """Return ascending positive numbers, written with commas between them.

    Parameters
    ----------
    option
        The command's, for messages.

    Raises
    ------
    ScenarioError
        If they are not so, or more than 1000.

    Examples
    --------
    >>> parse_values("--bandwidth", "1,5,20.5")
    (1.0, 5.0, 20.5)
    """
    values = tuple(_number(option, part) for part in text.split(","))
    if len(values) > _MOST_VALUES:
        raise ScenarioError(
            f"{option}: {len(values)} values are more than the {_MOST_VALUES} that are compared"
        )
    for value in values:
        if not (isfinite(value) and value > 0):
            raise ScenarioError(f"{option} {text}: {value:g} is not a number above 0")
    for before, after in pairwise(values):
        if before == after:
            raise ScenarioError(f"{option} {text}: {after:g} is there twice")
        if before > after:
            raise ScenarioError(f"{option} {text}: {after:g} comes after {before:g}; write them ascending")
    return values


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        low, high = _DASHED.sub(r"\1..\2", text.strip()).partition("..")[::2]
        advice = f"; a range is {low}..{high}" if high and option in _RANGED else ""
        raise ScenarioError(f"{option}: {text.strip()!r} is not a number{advice}") from None


def _range(text: str) -> tuple[float, ...]:
    """Return the ends of a range and a few values per decade between them.

    Examples
    --------
    >>> _range("0.5..10")
    (0.5, 1.0, 3.0, 10.0)
    """
    ends = [parse_values("--bandwidth", part) for part in text.split("..")]
    low, high = ends[0][0], ends[-1][-1]
    if [len(end) for end in ends] != [1, 1] or low >= high:
        raise ScenarioError(f"--bandwidth {text}: a range is LOW..HIGH, such as 0.1..1000")
    return (low, *(value for value in _grid(low, high) if low < value < high), high)


def _grid(low: float, high: float) -> Iterator[float]:
    for exponent in range(int(log10(low)) - 1, int(log10(high)) + 2):
        for step in _STEPS:
            yield float(f"{step}e{exponent}")


def parse_budgets(
    scenario: Scenario,
    *,
    noise: str | None,
    accuracy_drop: str | None,
    metric_drop: str | None,
    memory: str | None,
) -> dict[str, tuple[float, ...]]:
    """Return budget key -> values of what is to be varied.

    Parameters
    ----------
    memory
        `DEVICE=1,2,4` in MiB.

    Raises
    ------
    ScenarioError
        If values do not ascend, there is no such device, or a metric or its labels are missing.
    """
    budgets = {}
    if noise is not None:
        budgets["noise_relative_rms"] = parse_values("--noise", noise)
    if accuracy_drop is not None:
        drops = parse_values("--accuracy-drop", accuracy_drop)
        if drops[-1] > 1:
            raise ScenarioError(f"--accuracy-drop {accuracy_drop}: {drops[-1]:g} is more than 1, all answers")
        budgets["accuracy_drop"] = drops
    if metric_drop is not None:
        budgets["metric_drop"] = parse_values("--metric-drop", metric_drop)
        budget = scenario.budget.model_copy(update={"metric_drop": budgets["metric_drop"][0]})
        for fault in metric_faults(scenario.model_copy(update={"budget": budget})):
            key = ".".join(map(str, fault.key_path))
            raise ScenarioError(f"--metric-drop {metric_drop}: {key} of the scenario {fault.text}")
    if memory is not None:
        device, _, values = memory.partition("=")
        names = [spec.name for spec in scenario.devices]
        if device not in names:
            raise ScenarioError(f"--memory {memory}: write DEVICE=1,2,4; devices are {', '.join(names)}")
        budgets[f"memory_mib.{device}"] = parse_values("--memory", values)
    return budgets
