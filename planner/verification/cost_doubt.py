"""Whether the built stages take the time that was predicted for them."""

from planner.devices.runtime import local_runtime, origin_of, runtime_of
from planner.plan.plan_record import CostDoubt, Measured, Plan, WireFormat
from planner.scenario.schema import Scenario

_CONVERTED = frozenset(
    (WireFormat.UINT8, WireFormat.INT8, WireFormat.UINT16, WireFormat.INT16, WireFormat.FLOAT16)
)
_LEAST = 0.05  # of the prediction; less is what timing a plan on another day differs by


def cost_doubt_of(plan: Plan, scenario: Scenario, measured: Measured) -> CostDoubt | None:
    """Return by how much the stages' time differs from the prediction; None if within what timing shows.

    Stages are timed here, in one runtime: of devices with another runtime or a profile from elsewhere that
    says nothing. A device that only converts what crosses a link has a stage, too.
    """
    devices = {assignment.device for assignment in plan.assignments}
    devices |= {end for cut in plan.cuts if cut.wire in _CONVERTED for end in (cut.source, cut.target)}
    if plan.predicted is None or not all(_is_timed_here(scenario, name) for name in devices):
        return None
    predicted, found = plan.predicted.chain_ratio_to_fp32, measured.chain_ratio_to_fp32
    shown = measured.chain_ratio_interval or measured.chain_ratio_spread
    low, high = min(shown, default=found), max(shown, default=found)
    if low <= predicted <= high or not predicted or abs(found / predicted - 1) <= _LEAST:
        return None
    return CostDoubt(
        predicted=predicted, measured=found, low=low, high=high, difference=found / predicted - 1
    )


def _is_timed_here(scenario: Scenario, name: str) -> bool:
    origin, _ = origin_of(scenario, scenario.device(name))
    return origin.is_measured_here and runtime_of(origin) == local_runtime(scenario)


def difference_text(doubt: CostDoubt) -> str:
    """Return by how much the stages' time differs from the prediction: "22% longer"."""
    return f"{abs(doubt.difference):.0%} {'longer' if doubt.difference > 0 else 'shorter'}"


def cost_doubt_text(doubt: CostDoubt) -> str:
    """Return in one sentence why a plan's costs are in doubt, and what helps."""
    return (
        f"costs are in doubt: the built stages take {difference_text(doubt)} than predicted (time / fp32 "
        f"{doubt.measured:.3f}, by several sessions {doubt.low:.3f} to {doubt.high:.3f}, predicted "
        f"{doubt.predicted:.3f}); if `plan verify` measures the same again, the stages take another time "
        "together than their units were seen to, and the measured one holds; if not, plan again on a machine "
        "that does nothing else, with more profiling.rounds"
    )
