"""The record of a comparison: plans, the ranges in which each is best, and a row per bandwidth and budget."""

from planner.plan import Cut, Record
from profiling.precision import Precision

FORMAT = 1


class PlanLine(Record, frozen=True, kw_only=True):
    """A plan of a comparison, and its latency over bandwidth: `fixed_s + link_s / bandwidth`.

    Parameters
    ----------
    summary
        What a person calls it: where the model is cut, or where all of it runs.
    link_s
        Seconds on the links that vary, times the bandwidth; 0 where only budgets vary.
    """

    number: int
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    cuts: tuple[Cut, ...]
    fixed_s: float
    link_s: float
    noise_relative_rms: float
    energy_j: float | None
    memory_bytes: dict[str, int]


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
    joint_gain
        1 - objective / best baseline; None without either.
    """

    bandwidth: float | None
    budgets: dict[str, float]
    status: str
    plan: int | None
    objective: float | None
    bound: float | None
    baselines: dict[str, float | None]
    joint_gain: float | None
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
        Programs that were solved for pieces and rows, baselines left out.
    """

    format: int
    objective: str
    links: tuple[str, ...]
    unit: str
    units: tuple[str, ...]
    plans: tuple[PlanLine, ...]
    pieces: tuple[Piece, ...]
    rows: tuple[Row, ...]
    solves: int
    runtime_s: float
