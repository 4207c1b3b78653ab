"""Budgets that the samples are too few to show, and how many would do."""

from collections.abc import Iterator, Sequence
from math import ceil

import msgspec

from planner.plan.plan_record import Measured, Metrics, Plan, Round, TooFewSamples
from planner.scenario.budget_schema import BudgetSpec
from planner.verification.error_budgets import as_measured, is_kept, with_margin

_HELD_BACK = 4  # calibration samples for one that is held back
_ON_ANSWERS = ("accuracy_drop", "top1_agreement")
_METRIC = "metric_drop"
_ONE_LOST = 2.0  # answers that one lost answer counts as: itself and its margin, sqrt(1)
_TOLD_BY = 2.0  # standard errors within a limit tell a plan that loses nothing from one that breaks it
_MOST_NEEDED = 10**9  # a limit hardly above the measured value would need any number
_ROUNDING = 1e-9  # 0.05 * 20 is a little above 1


def too_few_held_back(budget: BudgetSpec, rounds: Sequence[Round]) -> tuple[TooFewSamples, ...]:
    """Return the budgets for which plans were refused that more held-back samples might have shown to hold.

    Those are budgets on answers that any lost answer breaks among so few, and budgets that a plan kept as
    measured, but not with the margin that few samples ask for. On a metric it is what few samples cannot tell
    of the plan that was taken, or else of the last one.
    """
    doubts: dict[str, list[TooFewSamples]] = {}
    for round_ in rounds:
        for doubt in _doubts(budget, round_.held_back):
            if doubt.budget in round_.broken:
                doubts.setdefault(doubt.budget, []).append(doubt)
    taken = next((one for one in rounds if one.delivered), rounds[-1] if rounds else None)
    return (
        *(_of_calibration(doubts_on_budget) for doubts_on_budget in doubts.values()),
        *(too_few_to_tell(budget, taken.held_back) if taken is not None else ()),
    )


def too_few_to_tell(budget: BudgetSpec, held_back: Metrics) -> tuple[TooFewSamples, ...]:
    """Return the limit on a metric, if the held-back samples do not tell whether a plan keeps it."""
    return tuple(_of_calibration([doubt], refused=0) for doubt in _metric_doubts(budget, held_back))


def _of_calibration(doubts: Sequence[TooFewSamples], refused: int | None = None) -> TooFewSamples:
    """Return the doubt on the plan that was nearest to being shown to hold, for all of them."""
    # The plan that needs the fewest more samples.
    nearest = min(doubts, key=lambda doubt: doubt.needed)
    needed = nearest.needed * _HELD_BACK
    count = len(doubts) if refused is None else refused
    return msgspec.structs.replace(nearest, data="calibration", needed=needed, refused=count)


def too_few_evaluated(budget: BudgetSpec, metrics: Metrics) -> tuple[TooFewSamples, ...]:
    """Return the budgets of which the evaluation samples say little, by the rule for held-back ones."""
    return (*_doubts(budget, metrics), *_metric_doubts(budget, metrics))


def _doubts(budget: BudgetSpec, metrics: Metrics) -> Iterator[TooFewSamples]:
    count = metrics.samples
    pairs = zip(as_measured(budget, metrics), with_margin(budget, metrics), strict=True)
    for (name, limit, measured), (_, _, cautious) in pairs:
        # The share of answers that may change.
        allowed = 1 - limit if name == "top1_agreement" else limit
        if name in _ON_ANSWERS and 0 < allowed * count < _ONE_LOST - _ROUNDING:
            one_lost, two_lost = (1 / count, _ONE_LOST / count)
            if name == "top1_agreement":
                one_lost, two_lost = 1 - one_lost, 1 - two_lost
            yield _doubt(name, limit, count, (one_lost, two_lost), _ONE_LOST / allowed)
        elif is_kept(name, limit, measured) and not is_kept(name, limit, cautious) and measured != limit:
            # A margin falls with the root of the number of samples.
            needed = count * ((cautious - measured) / (limit - measured)) ** 2
            yield _doubt(name, limit, count, (measured, cautious), needed)


def _metric_doubts(budget: BudgetSpec, metrics: Metrics) -> Iterator[TooFewSamples]:
    """Yield the limit on a metric's drop, if the drop spreads so over samples that these do not tell it."""
    limit, error = budget.metric_drop, metrics.metric_drop_standard_error
    if not limit or error is None or metrics.metric is None or metrics.metric_fp32 is None:
        return
    if _TOLD_BY * error > limit:
        drop = metrics.metric_fp32 - metrics.metric
        needed = metrics.samples * (_TOLD_BY * error / limit) ** 2
        yield _doubt(_METRIC, limit, metrics.samples, (drop, drop + error), needed)


def _doubt(name: str, limit: float, count: int, values: tuple[float, float], needed: float) -> TooFewSamples:
    return TooFewSamples(
        budget=name,
        limit=limit,
        data="evaluation",
        samples=count,
        measured=values[0],
        with_margin=values[1],
        needed=ceil(min(needed, _MOST_NEEDED) - _ROUNDING),
    )


def samples_note_text(measured: Measured | None) -> str:
    """Return what the evaluation samples say of themselves, in one sentence; "" if nothing."""
    note = "" if measured is None else measured.samples_note
    return f"the evaluation samples are {note}" if note else ""


def few_sample_texts(plan: Plan) -> list[str]:
    """Return what few samples cannot show of a plan, a sentence each.

    Of evaluation samples its `budget_verdicts` say it; plans of older versions have none.
    """
    return [
        too_few_text(few)
        for few in plan.too_few_samples
        if few.data == "calibration" or not plan.budget_verdicts
    ]


def too_few_text(too_few: TooFewSamples) -> str:
    """Return in one sentence what so few samples cannot show, and how many would do."""
    which = "held-back" if too_few.data == "calibration" else "evaluation"
    quarter = ", of which a quarter is held back," if too_few.data == "calibration" else ""
    if too_few.budget == _METRIC:
        error = too_few.with_margin - too_few.measured
        return (
            f"{too_few.samples} {which} samples are too few to tell {_METRIC} {too_few.limit:g}: it is "
            f"{too_few.measured:.4g} on these, and may be {error:.2g} more or less "
            f"on others (one standard error); about {too_few.needed} {too_few.data} "
            f"samples{quarter} would tell"
        )
    lost = (
        too_few.budget in _ON_ANSWERS
        and too_few.samples * abs(too_few.measured - too_few.with_margin) <= 1 + _ROUNDING
    )
    what = "one lost answer" if lost else f"{too_few.measured:.4g}"
    text = (
        f"{too_few.samples} {which} samples are too few for {too_few.budget} {too_few.limit:g}: {what} "
        f"counts as {too_few.with_margin:.4g} with its margin"
    )
    if too_few.refused:
        plans = "a plan was" if too_few.refused == 1 else f"{too_few.refused} plans were"
        text += f", and {plans} refused for it"
    return f"{text}; {too_few.needed} {too_few.data} samples{quarter} would allow that"
