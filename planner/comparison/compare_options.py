"""What a user asks of `plan compare`, option by option -> what is varied, and the request."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest
from planner.comparison.bandwidth_traces import (
    BandwidthDistribution,
    parse_distribution,
    read_trace,
    uniform_log,
)
from planner.comparison.bandwidth_values import Bandwidths, parse_bandwidths, parse_budgets
from planner.comparison.comparison_front import parse_axes
from planner.comparison.plan_set import PlanSetRequest
from planner.comparison.sweep_points import Sweep
from planner.errors import UsageError
from planner.scenario.schema import Scenario

_FEWEST_POINTS, _MOST_POINTS = 2, 1000
_MOST_JOBS = 1024


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Options as they were written; None where one was left out."""

    bandwidth: str | None = None
    links: tuple[str, ...] = ()
    noise: str | None = None
    accuracy_drop: str | None = None
    metric_drop: str | None = None
    memory: str | None = None
    pareto: str | None = None
    points: int = 12
    plans: int | None = None
    trace: Path | None = None
    distribution: str | None = None
    hysteresis: float = 0.0
    verify: bool = False


def compare_request(options: CompareOptions, scenario: Scenario, jobs: int) -> tuple[Sweep, CompareRequest]:
    """Return the sweep, and what is asked besides.

    Raises
    ------
    UsageError
        If options do not go together.
    ScenarioError
        If one does not fit the scenario.
    """
    _check_plan_set(options)
    if scenario.fleet is not None and options.plans is not None:
        _check_range("--jobs", jobs, 1, _MOST_JOBS, "processes at once")
        _refuse_beside_fleet(options)
        return Sweep(None), CompareRequest(jobs=jobs, fleet_plans=options.plans)
    distribution = _distribution(options)
    text = options.bandwidth
    if text is None and distribution is not None:
        text = f"{min(distribution.values)!r}..{max(distribution.values)!r}"
        if min(distribution.values) == max(distribution.values):
            raise UsageError(f"--plans: {distribution.source} never changes, so that one plan does")
    bandwidths = None if text is None else parse_bandwidths(text, options.links, scenario)
    budgets = parse_budgets(
        scenario,
        noise=options.noise,
        accuracy_drop=options.accuracy_drop,
        metric_drop=options.metric_drop,
        memory=options.memory,
    )
    axes = () if options.pareto is None else parse_axes(options.pareto, scenario)
    if bandwidths is None and not budgets and not axes and options.plans is None:
        raise UsageError(
            "nothing to compare: name --bandwidth, --noise, --accuracy-drop, --metric-drop, --memory or "
            "--pareto"
        )
    if bandwidths is None and options.links:
        raise UsageError(f"--link {options.links[0]}: needs --bandwidth, the values that this link takes")
    _check_range("--jobs", jobs, 1, _MOST_JOBS, "processes at once")
    _check_range("--points", options.points, _FEWEST_POINTS, _MOST_POINTS, "plans on a front")
    request = CompareRequest(
        jobs=jobs,
        axes=axes,
        corners=options.points,
        plan_set=_plan_set(options, distribution, bandwidths, grid=any(len(v) > 1 for v in budgets.values())),
        trials=options.verify,
    )
    return Sweep(bandwidths, budgets), request


def _refuse_beside_fleet(options: CompareOptions) -> None:
    given = {
        "--bandwidth": options.bandwidth is not None,
        "--link": bool(options.links),
        "--noise": options.noise is not None,
        "--accuracy-drop": options.accuracy_drop is not None,
        "--metric-drop": options.metric_drop is not None,
        "--memory": options.memory is not None,
        "--pareto": options.pareto is not None,
        "--trace": options.trace is not None,
        "--distribution": options.distribution is not None,
        "--hysteresis": options.hysteresis != 0,
        "--verify": options.verify,
    }
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option}: the scenario's fleet says what --plans is for; leave {option} out")


def _check_plan_set(options: CompareOptions) -> None:
    if options.plans is None:
        for option, value in (("trace", options.trace), ("distribution", options.distribution)):
            if value is not None:
                raise UsageError(f"--{option}: says how plans are met, but not how many: add --plans 2, say")
    else:
        _check_range("--plans", options.plans, 1, _MOST_POINTS, "plans that a runtime holds")
    if not (isfinite(options.hysteresis) and options.hysteresis >= 0):
        raise UsageError(f"--hysteresis {options.hysteresis:g}: must be a fraction >= 0, such as 0.1")
    if options.trace is not None and options.distribution is not None:
        raise UsageError("--trace and --distribution both say how often bandwidths occur: name one")


def _check_range(option: str, value: int, least: int, most: int, what: str) -> None:
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: {what} are {least} to {most}")


def _distribution(options: CompareOptions) -> BandwidthDistribution | None:
    if options.trace is not None:
        return read_trace(options.trace)
    return None if options.distribution is None else parse_distribution(options.distribution)


def _plan_set(
    options: CompareOptions,
    distribution: BandwidthDistribution | None,
    bandwidths: Bandwidths | None,
    *,
    grid: bool,
) -> PlanSetRequest | None:
    if options.plans is None:
        return None
    if bandwidths is None:
        raise UsageError("--plans: needs --bandwidth LOW..HIGH, --trace or --distribution")
    if grid:
        raise UsageError("--plans: is for one set of budgets; name one value each")
    low, high = bandwidths.values[0], bandwidths.values[-1]
    distribution = distribution or uniform_log(low, high)
    for value in (min(distribution.values), max(distribution.values)):
        if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
            raise UsageError(
                f"--bandwidth {options.bandwidth}: does not cover {value:g}, which {distribution.source} has"
            )
    return PlanSetRequest(options.plans, distribution, options.hysteresis)
