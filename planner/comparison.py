"""The record of a comparison: plans, the ranges in which each is best, and a row per bandwidth and budget."""

import msgspec

from planner.plan import Cut, Record
from profiling.precision import Precision

FORMAT = 2


class PlanLine(Record, frozen=True, kw_only=True):
    """A plan of a comparison, and its latency over bandwidth: `fixed_s + link_s / bandwidth`.

    Parameters
    ----------
    summary
        What a person calls it: where the model is cut, or where all of it runs.
    link_s
        Seconds on the links that vary, times the bandwidth; 0 where only budgets vary.
    compute_s
        Device -> seconds that it computes.
    """

    number: int
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    cuts: tuple[Cut, ...]
    fixed_s: float
    link_s: float
    compute_s: dict[str, float]
    noise_relative_rms: float
    energy_j: float | None
    memory_bytes: dict[str, int]

    def latency_s(self, bandwidth: float | None) -> float:
        """Return the seconds of a request at a bandwidth of the links that vary, if any do."""
        return self.fixed_s + (self.link_s / bandwidth if bandwidth else 0.0)


class Piece(Record, frozen=True, kw_only=True):
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
    """

    format: int
    objective: str
    links: tuple[str, ...]
    unit: str
    units: tuple[str, ...]
    plans: tuple[PlanLine, ...]
    baseline_plans: tuple[PlanLine, ...]
    pieces: tuple[Piece, ...]
    rows: tuple[Row, ...]
    solves: int
    runtime_s: float
