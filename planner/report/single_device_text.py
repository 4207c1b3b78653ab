"""A plan beside everything on one device, in words."""

from planner.plan.plan_record import Plan, SingleDevice
from planner.solver.result import SolveStatus

_ALIKE = 1.005  # a ratio that would be shown as 1.0 times
_HARDLY, _MANY = 1.095, 9.95
_BETTER = {"latency": "faster", "makespan": "faster", "period": "more requests per second"}


def best_single_device(plan: Plan) -> SingleDevice | None:
    """Return the best device for everything, of those that keep the budgets; None if there is none."""
    within = [row for row in plan.single_device if not row.broken]
    return min(within, key=lambda row: row.objective, default=None)


def against_single_device(plan: Plan) -> str:
    """Return how a plan compares with the best single device, as the end of a sentence; "" if not known."""
    best, value = best_single_device(plan), plan.objective.value
    if not plan.single_device or not value:
        return ""
    devices = list(dict.fromkeys(assignment.device for assignment in plan.assignments))
    if len(devices) == 1 and len(plan.quantization) > 1:
        return _unsplit_text(plan, devices[0], best, value)
    if best is None:
        return "no device keeps the budgets alone"
    ratio = best.objective / value
    whole = f"{best.device} alone, in {best.precision.value}"
    if ratio < _ALIKE:
        return f"no better than {whole}"
    than = _BETTER.get(plan.objective.name)
    return f"{_times(ratio)} times {than} than {whole}" if than else f"{1 / ratio:.0%} of {whole}"


def _unsplit_text(plan: Plan, device: str, best: SingleDevice | None, value: float) -> str:
    """Return what is said of a plan with all units on one of several devices."""
    split = "no split is better" if plan.status == SolveStatus.OPTIMAL else "no better split was found"
    text = f"all on {device}, {split}"
    ratio = best.objective / value if best is not None else 1.0
    if best is None or ratio < _ALIKE:
        return text
    whole = f"in {best.precision.value} throughout" if best.device == device else f"on {best.device} alone"
    than = _BETTER.get(plan.objective.name)
    return f"{text}; " + (
        f"{_times(ratio)} times {than} than {whole}" if than else f"{1 / ratio:.0%} of {whole}"
    )


def _times(ratio: float) -> str:
    """Return a ratio in the digits that tell it from 1, and never with an exponent.

    Examples
    --------
    >>> _times(1.038), _times(1.66), _times(214.3)
    ('1.04', '1.7', '214')
    """
    if ratio < _HARDLY:
        return f"{ratio:.2f}"
    return f"{ratio:.2g}" if ratio < _MANY else f"{ratio:.0f}"
