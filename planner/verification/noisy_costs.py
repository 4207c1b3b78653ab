"""Whether costs are noisy: runs that they were measured with spread far, or shared their core."""

from collections.abc import Mapping, Sequence

from planner.plan.plan_record import CostDoubt, NoisyCosts
from profiling.on_device.clock.run_clock import CPU
from profiling.on_device.robust_statistics import are_contended
from profiling.records.profile import LatencyProfile


def noisy_costs_of(latency: Mapping[str, LatencyProfile]) -> tuple[NoisyCosts, ...]:
    """Return how far runs spread, of each device whose profile is noisy."""
    return tuple(
        NoisyCosts(
            device=device,
            spread=profile.spread,
            clock=profile.clock,
            disturbed=profile.disturbed,
            waiting=profile.waiting,
            contended=profile.contended,
        )
        for device, profile in latency.items()
        if profile.noisy
    )


def noisiest(found: Sequence[tuple[NoisyCosts, ...]]) -> tuple[NoisyCosts, ...]:
    """Return those of several models: of each device the ones that spread farthest."""
    rows: dict[str, NoisyCosts] = {}
    for one in (row for rows_of_model in found for row in rows_of_model):
        rows[one.device] = max(one, rows.get(one.device, one), key=lambda row: row.spread)
    return tuple(rows.values())


def of_costs_text(noisy: Sequence[NoisyCosts], doubt: CostDoubt | None = None) -> str:
    """Return what follows a status, so that it never stands alone where costs are noisy or in doubt.

    Examples
    --------
    >>> row = NoisyCosts(device="camera", spread=0.23, clock="cpu", disturbed=0.4, waiting=2.0)
    >>> of_costs_text([row])
    ' for noisy costs (spread 23%)'
    >>> of_costs_text([NoisyCosts(device="camera", spread=0.03, clock="cpu", contended=0.6)])
    ' for noisy costs (spread 3%, 60% of runs on a shared core)'
    """
    if not noisy:
        return " for costs in doubt" if doubt else ""
    spread = f"spread {max(row.spread for row in noisy):.0%}"
    contended = max(row.contended or 0.0 for row in noisy)
    why = f"{spread}, {contended:.0%} of runs on a shared core" if are_contended(contended) else spread
    return f" for noisy costs ({why})" + (" in doubt" if doubt else "")


def noisy_costs_text(noisy: Sequence[NoisyCosts]) -> str:
    """Return in one sentence why costs are noisy, and what helps; "" if they are not."""
    if not noisy:
        return ""
    return (
        f"costs are noisy: {'; '.join(map(_spread_text, noisy))}; plan again on a machine that does less "
        "else, or whose cores no other guest shares, with more profiling.rounds"
    )


def _spread_text(noisy: NoisyCosts) -> str:
    clock = "processor time" if noisy.clock == CPU else "wall-clock time"
    disturbed = "" if noisy.disturbed is None else f", and {noisy.disturbed:.0%} of them were disturbed"
    contended = (
        f", and {noisy.contended:.0%} of those that count shared their core with other work"
        if are_contended(noisy.contended)
        else ""
    )
    return f"the {clock} of fp32 runs of {noisy.device} spreads by {noisy.spread:.0%}{disturbed}{contended}"
