"""Comparisons: the best plans over bandwidths and budgets, beside their baselines."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import OutputError, ScenarioError, UsageError
from planner.formatting import MILLI, counted
from profiling.progress import Progress
from splitquant._arguments import path_of, progress_of, real, whole
from splitquant._calls import naming_parameters, public_call
from splitquant._scenarios import ScenarioSource, one_model
from splitquant._tables import data_frame, heading, html_table, paragraph

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from planner.comparison import comparison_record
    from planner.comparison.bandwidth_and_budget_sweep import CompareResult

Numbers = str | float | Iterable[float]
"""Values of what varies: a number, ascending numbers, or as the command has them, such as `0.1..1000`."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A bandwidth at which the best plan changes.

    Parameters
    ----------
    bandwidth
        In the comparison's unit: Mbit/s, or factors of the links' own.
    plan_below, plan_above
        Numbers of plans.
    budgets
        The values of budgets that vary.
    """

    bandwidth: float
    plan_below: int
    plan_above: int
    budgets: Mapping[str, float]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Comparison:
    """Plans compared; from `compare`.

    A pickled one holds the record alone: save it before, if its folder is wanted.

    Parameters
    ----------
    record
        Everything that compare.json holds, under the same names.
    """

    record: "comparison_record.Comparison"
    _result: "CompareResult | None"

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Where the best plan changes, ascending for each set of budgets.

        Empty where that is not found exactly, which takes the objective latency.
        """
        pieces = self.record.pieces
        return tuple(
            Breakpoint(after.low, before.plan, after.plan, after.budgets)
            for before, after in pairwise(pieces)
            if before.budgets == after.budgets and before.high == after.low and before.plan != after.plan
        )

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a row per bandwidth and set of budgets; for a fleet, per class and bandwidth.

        Columns are `bandwidth`, each budget that varies, `status`, `plan` (its number), `latency_s`,
        `objective`, `bound`, the objective of each baseline under its name, `baseline` (the best of them),
        `joint_gain` (1 - objective / best baseline), `measured_s` and `baseline_measured_s` (with
        verify=True), and `reason` where there is no plan.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        record = self.record
        if record.fleet is not None:
            keys = type(record.fleet.rows[0]).__struct_fields__ if record.fleet.rows else ()
            return data_frame(keys, [[getattr(row, key) for key in keys] for row in record.fleet.rows])
        budgets = list(dict.fromkeys(key for row in record.rows for key in row.budgets))
        names = list(dict.fromkeys(name for row in record.rows for name in row.baselines))
        head = ("bandwidth", *budgets, "status", "plan", "latency_s", "objective", "bound")
        tail = ("baseline", "joint_gain", "measured_s", "baseline_measured_s", "reason")
        rows = [
            (
                row.bandwidth,
                *(row.budgets.get(key) for key in budgets),
                row.status,
                row.plan,
                self._latency_s(row),
                row.objective,
                row.bound,
                *(row.baselines.get(name) for name in names),
                row.baseline,
                row.joint_gain,
                row.measured_s,
                row.baseline_measured_s,
                row.reason,
            )
            for row in record.rows
        ]
        return data_frame((*head, *names, *tail), rows).astype({"plan": "Int64"})

    def _latency_s(self, row: "comparison_record.Row") -> float | None:
        return None if row.plan is None else self.record.plans[row.plan].latency_s(row.bandwidth)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw latency over bandwidth: the best plans with their breakpoints, and the baselines.

        Parameters
        ----------
        ax
            Axes of matplotlib to draw on; default: those of a new figure.

        Returns
        -------
        The axes.

        Raises
        ------
        UsageError
            If no bandwidth varies, something else than latency was minimised, or no bandwidth has a plan.
        """
        if not self.record.links or self.record.fleet is not None or self.record.objective != "latency":
            raise UsageError("plot draws latency over bandwidth, of which this comparison says nothing")

        if all(row.plan is None for row in self.record.rows) and not self.record.pieces:
            reasons = "; ".join(dict.fromkeys(row.reason for row in self.record.rows if row.reason))
            raise UsageError(f"plot: no plan at any bandwidth: {reasons}")

        from planner.report.figures import draw_latency_on, new_latency_axes

        axes = new_latency_axes() if ax is None else ax
        draw_latency_on(axes, self.record)
        return axes

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the comparison's folder as `plan compare --out FOLDER` does, and return its path.

        Raises
        ------
        OutputError
            If the folder cannot be written, or holds something that is no comparison of this tool; if the
            comparison was pickled, without the models that its plans are built from.
        """
        from planner.output.comparison_folder import write_comparison

        target = path_of("folder", folder)
        if self._result is None:
            raise OutputError(
                f"{target}: a comparison that was pickled holds no models to write: save it before"
            )
        with public_call(), naming_parameters():
            write_comparison(self._result, target)
        return target

    def __reduce__(self) -> tuple[type["Comparison"], tuple["comparison_record.Comparison", None]]:
        # What models are built from are files of this process, samples, and functions of the user's.
        return Comparison, (self.record, None)

    def __copy__(self) -> "Comparison":
        return self  # it never changes, and could not be saved without what pickling leaves out

    def __deepcopy__(self, _memo: object) -> "Comparison":
        return self

    def __repr__(self) -> str:
        return f"<Comparison: {self._in_words()}>"

    def _in_words(self) -> str:
        links = ", ".join(self.record.links) or "no link varies"
        record = self.record
        counts = (len(record.rows), "row"), (len(self.breakpoints), "breakpoint")
        unused = f"; {record.unused_links_text}: links=" if record.unused_links_text else ""
        plans = counted(len(record.plans), "plan") if record.plans else "no plan"
        from planner.verification.noisy_costs import of_costs_text

        noisy = of_costs_text(record.noisy_costs)
        return f"{links}: {', '.join((plans, *(counted(*one) for one in counts)))}{noisy}{unused}"

    def _repr_html_(self) -> str:
        unit = self.record.unit
        ranges = [
            (one.low, one.high, one.plan, self.record.plans[one.plan].summary) for one in self.record.pieces
        ]
        rows = [
            (row.bandwidth, row.plan, None if (s := self._latency_s(row)) is None else s * MILLI, row.status)
            for row in self.record.rows
        ]
        return "".join(
            (
                heading(f"Comparison, {self._in_words()}"),
                html_table((f"from {unit}", "to", "plan", "best plan"), ranges) if ranges else "",
                html_table((unit or "budgets", "plan", "latency ms", "status"), rows) if rows else "",
                *(paragraph(text) for text in dict.fromkeys(row.reason for row in self.record.rows) if text),
            )
        )


def compare(
    scenario: ScenarioSource,
    *,
    bandwidths: Numbers | None = None,
    links: str | Sequence[str] = (),
    noise: Numbers | None = None,
    accuracy_drop: Numbers | None = None,
    metric_drop: Numbers | None = None,
    memory: str | Mapping[str, Numbers] | None = None,
    pareto: str | Sequence[str] | None = None,
    points: int = 12,
    plans: int | None = None,
    trace: str | os.PathLike[str] | None = None,
    distribution: str | Mapping[float, float] | None = None,
    hysteresis: float = 0.0,
    verify: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Compare the best plans over bandwidths and budgets, and with baselines; write nothing.

    With the objective latency, every bandwidth at which the best plan changes is found exactly. A call that
    was interrupted goes on where it stopped.

    Parameters
    ----------
    scenario
        A `Scenario` of one model, the path of its file, or its keys and values.
    bandwidths
        Mbit/s, ascending; or `0.1..1000` for a range.
    links
        Those that vary; `all` by factors. Default: the slowest.
    noise, accuracy_drop, metric_drop
        Values of these budgets.
    memory
        Device -> values of its memory in MiB, of one device.
    pareto, points
        Quantities to trade against each other, such as `["latency", "noise"]`; how many plans at most.
    plans, trace, distribution, hysteresis
        How many plans to hold; a CSV of seconds and Mbit/s, or bandwidth -> weight, of what they meet; how
        far beyond a breakpoint, as a fraction, a runtime changes plans.
    verify
        Whether each plan is built and measured.
    jobs
        Processes at once. With more than one, a script needs `if __name__ == "__main__":`, as for all of
        `multiprocessing`.
    progress
        As of `plan`.

    Raises
    ------
    UsageError
        If arguments do not go together; or for several models.
    ScenarioError
        If the scenario is wrong, or an argument does not fit it.
    ModelError, DataError, ProfileError, QuantizeError, SolverError, RebuildError
        As `plan`.

    Examples
    --------
    >>> compared = compare("scenario.yaml", bandwidths=[1, 10, 100])
    >>> [row.bandwidth for row in compared.record.rows]
    [1.0, 10.0, 100.0]
    """
    chosen = one_model(scenario, "the command plan compare compares these over --requests-per-s")
    report = progress_of(progress)

    from planner.comparison.bandwidth_and_budget_sweep import compare_scenario
    from planner.comparison.compare_options import CompareOptions, compare_request

    with naming_parameters():
        options = CompareOptions(
            bandwidth=_values(bandwidths),
            links=_names(links),
            noise=_values(noise),
            accuracy_drop=_values(accuracy_drop),
            metric_drop=_values(metric_drop),
            memory=_memory(memory),
            pareto=None if pareto is None else ",".join(_names(pareto)),
            points=whole("points", points),
            plans=None if plans is None else whole("plans", plans),
            trace=None if trace is None else path_of("trace", trace),
            distribution=_distribution(distribution),
            hysteresis=real("hysteresis", hysteresis),
            verify=verify,
        )
        sweep, request = compare_request(options, chosen, whole("jobs", jobs))
    with public_call():
        result = compare_scenario(chosen, sweep, request, report)
    return Comparison(result.record, result)


def _values(given: Any) -> str | None:
    """Return values as the command has them."""
    if given is None or isinstance(given, str):
        return given
    values = list(given) if isinstance(given, Iterable) else [given]
    if not values:
        raise ScenarioError("a list of values to compare is empty; leave it out, or give numbers")
    return ",".join(_number(value) for value in values)


def _number(value: Any) -> str:
    """Return a number as it is written; what is none is left to whoever reads it."""
    try:
        return f"{float(value)!r}".removesuffix(".0")
    except (TypeError, ValueError):
        return str(value)


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable):
        raise UsageError(f"{given!r} is no name, and no list of names")
    return tuple(map(str, given))


def _memory(given: str | Mapping[str, Numbers] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"memory: {given!r} is no mapping: write {{DEVICE: [1, 2, 4]}}")
    if len(given) != 1:
        raise UsageError(f"memory: of one device at a time, not of {len(given)}")
    return ",".join(f"{device}={_values(values)}" for device, values in given.items())


def _distribution(given: str | Mapping[float, float] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"distribution: {given!r} is no mapping: write {{BANDWIDTH: WEIGHT}}")
    return ",".join(f"{_number(value)}:{_number(weight)}" for value, weight in given.items())
