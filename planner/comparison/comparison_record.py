"""The record of a comparison: plans, the ranges in which each is best, and a row per bandwidth and budget."""

import msgspec

from planner.comparison.fleet.fleet_records import FleetPlans
from planner.devices.tried_precisions import TriedPrecision
from planner.json_record import Record
from planner.plan.plan_record import BudgetVerdict, Cut, Measured, NoisyCosts, TooFewSamples
from profiling.precision import Precision

FORMAT = 2


class PlanMeasurement(Record, frozen=True, kw_only=True):
    """What building and running a plan showed.

    Parameters
    ----------
    measured
        On the evaluation data; None of a baseline's plan.
    fixed_s
        As `PlanSummary.fixed_s`, with the seconds of its stages, timed in turn with all other plans; None if
        one of its devices is not measured here.
    compute_s, expected_compute_s
        Of all its stages, measured and predicted; the rest of `fixed_s` is what the scenario says of links.
    """

    measured: Measured | None
    fixed_s: float | None
    compute_s: float | None
    expected_compute_s: float


class PlanSummary(Record, frozen=True, kw_only=True):
    """A plan of a comparison, and its latency over bandwidth: `fixed_s + link_s / bandwidth`.

    Parameters
    ----------
    summary
        What a person calls it: where the model is cut, or where all of it runs.
    link_s
        Seconds on the links that vary, times the bandwidth; 0 where only budgets vary.
    compute_s
        Device -> seconds that it computes.
    unit_s
        Seconds of each unit alone.
    timed
        Whether seconds are those that the plan's own models showed in place, as in `plan.json`.
    """

    number: int
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    cuts: tuple[Cut, ...]
    fixed_s: float
    link_s: float
    compute_s: dict[str, float]
    unit_s: tuple[float, ...]
    noise_relative_rms: float
    energy_j: float | None
    memory_bytes: dict[str, int]
    trial: PlanMeasurement | None = None
    timed: bool = False

    def latency_s(self, bandwidth: float | None) -> float:
        """Return the seconds of a request at a bandwidth of the links that vary, if any do."""
        return self.fixed_s + (self.link_s / bandwidth if bandwidth else 0.0)


class BestPlanRange(Record, frozen=True, kw_only=True):
    """A range of bandwidths in which one plan is best, under some budgets."""

    budgets: dict[str, float]
    low: float
    high: float
    plan: int


class Row(Record, frozen=True, kw_only=True):
    """One bandwidth and one set of budgets.

    Parameters
    ----------
    bandwidth
        Of the links that vary; None where only budgets do.
    budgets
        Key -> value, of the budgets that vary.
    baselines
        What simpler ways to plan come to on the same costs; None where they find nothing within the budgets.
    baseline, baseline_plan
        The best of them, and its plan among `Comparison.baseline_plans`; None without any.
    joint_gain
        1 - objective / best baseline; None without either.
    measured_s, baseline_measured_s
        Latency of both with the seconds of their stages timed in turn; None where they were not tried out.
    broken
        Error budgets that the plan breaks on the evaluation data.
    too_few_samples
        What the held-back samples and, of a plan that was tried out, the evaluation samples do not tell.
    held_back_verdicts, budget_verdicts
        Whether the plan keeps each error budget on the held-back samples, and on the evaluation data, if it
        was tried out; how sure that is, and where other samples as many would put it.
    """

    bandwidth: float | None
    budgets: dict[str, float]
    status: str
    plan: int | None
    objective: float | None
    bound: float | None
    baselines: dict[str, float | None] = msgspec.field(default_factory=dict)
    baseline: str = ""
    baseline_plan: int | None = None
    joint_gain: float | None = None
    reason: str = ""
    measured_s: float | None = None
    baseline_measured_s: float | None = None
    broken: tuple[str, ...] = ()
    too_few_samples: tuple[TooFewSamples, ...] = ()
    held_back_verdicts: tuple[BudgetVerdict, ...] = ()
    budget_verdicts: tuple[BudgetVerdict, ...] = ()


class ParetoPoint(Record, frozen=True, kw_only=True):
    """A plan on the front, and what it is of each axis: seconds, joules, bytes; noise as relative rms."""

    plan: int
    values: dict[str, float]


class ParetoFront(Record, frozen=True, kw_only=True):
    """Plans that no other one beats in every axis, at the scenario's own bandwidths.

    Parameters
    ----------
    complete
        Whether there are no others.
    """

    axes: tuple[str, ...]
    points: tuple[ParetoPoint, ...]
    complete: bool


class SelectedPlan(Record, frozen=True, kw_only=True):
    """A plan of a plan set.

    Parameters
    ----------
    low, high
        Bandwidths from which and to which it is the best one held; None without end.
    leave_below, leave_above
        Where a runtime that follows it changes to the next plan, the margin against flapping included.
    share
        Of the time for which it is the best one held.
    """

    plan: int
    low: float | None
    high: float | None
    leave_below: float | None
    leave_above: float | None
    share: float


class PlanSet(Record, frozen=True, kw_only=True):
    """The few plans whose best one, at each bandwidth, gives the least mean latency.

    Parameters
    ----------
    most
        How many were allowed.
    bandwidths
        Where their frequencies come from.
    free_latency_s
        Mean latency if every plan were held.
    regret
        mean_latency_s / free_latency_s - 1.
    hysteresis
        How far beyond a switch-over bandwidth, as a fraction of it, a runtime waits before it changes.
    followed_latency_s, changes
        Of a runtime that follows a trace with that margin; None without a trace.
    """

    most: int
    bandwidths: str
    plans: tuple[SelectedPlan, ...]
    mean_latency_s: float
    free_latency_s: float
    regret: float
    hysteresis: float
    followed_latency_s: float | None = None
    changes: int | None = None


class Comparison(Record, frozen=True, kw_only=True):
    """What `plan compare` found.

    Parameters
    ----------
    links, unit
        Links that vary, and what a bandwidth counts: Mbit/s, or `x` for factors of their own.
    pieces
        Where each plan is best; empty where that is not found exactly (another objective than latency).
    solves
        Programs that pieces and rows asked for, baselines left out.
    noisy_costs
        Devices whose costs are noisy: each `status`, and where each plan is best, is for these.
    tried_precisions
        What was found of each precision, where the scenario names none.
    """

    format: int
    objective: str
    links: tuple[str, ...]
    unit: str
    units: tuple[str, ...]
    plans: tuple[PlanSummary, ...]
    baseline_plans: tuple[PlanSummary, ...]
    pieces: tuple[BestPlanRange, ...]
    rows: tuple[Row, ...]
    solves: int
    runtime_s: float
    front: ParetoFront | None = None
    plan_set: PlanSet | None = None
    fleet: FleetPlans | None = None
    noisy_costs: tuple[NoisyCosts, ...] = ()
    tried_precisions: tuple[TriedPrecision, ...] = ()

    @property
    def unused_links_text(self) -> str:
        """Say that no plan sends anything over the links that vary, if so; else empty."""
        if not (self.links and self.rows and self.plans) or any(plan.link_s for plan in self.plans):
            return ""
        names = ", ".join(self.links)
        return (
            f"no plan sends anything over {names}: its bandwidth changes nothing; name a link that plans use"
        )
