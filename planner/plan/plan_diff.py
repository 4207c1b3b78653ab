"""Two plans of one model side by side: what moved, what crosses links otherwise, which costs changed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from planner.plan.plan_record import Cut, Plan, Predicted
from profiling.precision import Precision
from profiling.records.profile import Profile
from profiling.records.profile_diff import ProfileDiff, diff_profiles

_OBJECTIVE_UNITS = {"latency": "s", "makespan": "s", "energy": "J", "memory": "B", "traffic": "B"}


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """Where a unit runs, and in which precision; `compute_s` is what it takes there."""

    device: str
    precision: Precision
    compute_s: float


@dataclass(frozen=True, slots=True)
class UnitMove:
    """A unit that runs elsewhere or in another precision; None where a plan does not have it."""

    unit: str
    before: UnitPlace | None
    after: UnitPlace | None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the device is another one; else only the precision is."""
        devices = [None if place is None else place.device for place in (self.before, self.after)]
        return devices[0] != devices[1]

    @property
    def changes_precision(self) -> bool:
        """Whether the precision is another one; not of a unit that a plan does not have."""
        return (
            self.before is not None
            and self.after is not None
            and self.before.precision is not self.after.precision
        )


@dataclass(frozen=True, slots=True)
class CostChange:
    """A cost of both plans.

    Parameters
    ----------
    unit
        s, J, B, share (of samples), or nothing.
    spread
        Relative to before: by what the runs that it comes from spread, in both plans together. Only what
        devices compute comes from runs: links are calculated. None where no part of it does, or it is not
        known, or units moved between devices: then it says nothing of the difference.
    """

    cost: str
    unit: str
    before: float
    after: float
    spread: float | None

    @property
    def change(self) -> float:
        """Relative to before; infinite where that was nothing."""
        if self.before == self.after:
            return 0.0
        return (self.after - self.before) / abs(self.before) if self.before else float("inf")

    @property
    def is_within_spread(self) -> bool:
        """Whether the runs behind it spread by as much."""
        return self.spread is not None and abs(self.change) <= self.spread


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What differs between two plans.

    Parameters
    ----------
    settings
        Key of the scenario -> its two values, where they differ; None where a scenario lacks it.
    moves
        Units that run elsewhere or in another precision, in running order.
    units
        That both plans have.
    only_before, only_after
        Tensors that cross links in one of the plans only, or there in another way or form.
    costs
        Of both plans, whether they changed or not.
    profiles
        Device that was measured -> what differs between its two profiles.
    """

    settings: dict[str, tuple[object, object]]
    moves: tuple[UnitMove, ...]
    units: int
    only_before: tuple[Cut, ...]
    only_after: tuple[Cut, ...]
    costs: tuple[CostChange, ...]
    profiles: dict[str, ProfileDiff]


def diff_plans(
    before: Plan,
    after: Plan,
    profiles_before: Mapping[str, Profile] | None = None,
    profiles_after: Mapping[str, Profile] | None = None,
) -> PlanDiff:
    """Compare two plans.

    Parameters
    ----------
    profiles_before, profiles_after
        Device -> what was measured on it, where that lies beside the plan.

    Raises
    ------
    ProfileError
        If the profiles are of different models.
    """
    old_profiles, new_profiles = dict(profiles_before or {}), dict(profiles_after or {})
    profiles = {
        device: diff_profiles(old_profiles[device], profile)
        for device, profile in new_profiles.items()
        if device in old_profiles
    }
    places = [_places(plan) for plan in (before, after)]
    units = list(dict.fromkeys([*places[0], *places[1]]))
    pairs = [(unit, places[0].get(unit), places[1].get(unit)) for unit in units]
    moves = tuple(UnitMove(unit, old, new) for unit, old, new in pairs if _role(old) != _role(new))
    moved = any(move.is_elsewhere for move in moves)
    crossings = [{_crossing(cut): cut for cut in plan.cuts} for plan in (before, after)]
    return PlanDiff(
        settings=_settings(before, after),
        moves=moves,
        units=sum(old is not None and new is not None for _, old, new in pairs),
        only_before=tuple(cut for key, cut in crossings[0].items() if key not in crossings[1]),
        only_after=tuple(cut for key, cut in crossings[1].items() if key not in crossings[0]),
        costs=tuple(_costs(before, after, None if moved else _spread(old_profiles, new_profiles))),
        profiles=profiles,
    )


def _places(plan: Plan) -> dict[str, UnitPlace]:
    return {a.unit: UnitPlace(a.device, a.precision, a.compute_s) for a in plan.assignments}


def _role(place: UnitPlace | None) -> tuple[str, Precision] | None:
    return None if place is None else (place.device, place.precision)


def _crossing(cut: Cut) -> tuple[object, ...]:
    return cut.tensor, cut.path, cut.wire, cut.size_bytes


def _spread(before: Mapping[str, Profile], after: Mapping[str, Profile]) -> float | None:
    """Return the relative spread of whole runs, in both plans together; None if a plan has no profile."""
    if not before or not after:
        return None
    return sum(max(profile.latency.spread for profile in part.values()) for part in (before, after))


def _latency_spread(plan: Predicted, spread: float | None) -> float | None:
    """Return the spread of a request's latency, of which only a part comes from runs."""
    if spread is None or not plan.latency_s:
        return spread
    return spread * max(0.0, plan.latency_s - plan.transfer_s) / plan.latency_s


def _energy_spread(plan: Plan, predicted: Predicted, spread: float | None) -> float | None:
    """Return the spread of a request's energy, of which only what devices draw while they compute has one."""
    if spread is None or not predicted.energy_j:
        return spread
    devices = json.loads(bytes(plan.scenario)).get("devices", ())
    watts = {device["name"]: device.get("active_watt") or 0.0 for device in devices}
    computing_j = sum(watts.get(name, 0.0) * seconds for name, seconds in predicted.compute_s.items())
    return spread * min(1.0, computing_j / predicted.energy_j)


def _costs(before: Plan, after: Plan, spread: float | None) -> Iterator[CostChange]:
    """Yield what both plans know."""
    old, new = before.predicted, after.predicted
    spreads = (
        {}
        if old is None
        else {"latency": _latency_spread(old, spread), "energy": _energy_spread(before, old, spread)}
    )
    if before.objective.name == after.objective.name:
        name, pair = before.objective.name, (before.objective.value, after.objective.value)
        yield from _change(f"objective: {name}", _OBJECTIVE_UNITS.get(name, ""), pair, spreads.get(name))
    if old is not None and new is not None:
        latency = old.latency_s, new.latency_s
        yield from _change("latency of one request", "s", latency, spreads["latency"])
        yield from _change("of it on links", "s", (old.transfer_s, new.transfer_s), None)
        yield from _each("computing on", "s", (old.compute_s, new.compute_s), spread)
        yield from _change("energy of one request", "J", (old.energy_j, new.energy_j), spreads["energy"])
        yield from _each("memory of", "B", (old.memory_bytes, new.memory_bytes), None)
        noise = old.noise_relative_rms, new.noise_relative_rms
        yield from _change("relative RMS error, predicted", "", noise, None)
    was, now = before.measured, after.measured
    if was is not None and now is not None:
        measured = was.noise_relative_rms, now.noise_relative_rms
        yield from _change("relative RMS error, measured", "", measured, _noise_spread(before, after))
        yield from _change("accuracy", "share", (was.accuracy, now.accuracy), None)
        yield from _change("metric", "", (was.metric, now.metric), None)


def _noise_spread(before: Plan, after: Plan) -> float | None:
    """Return what other samples as many might change of the measured noise, relative (one standard error)."""
    both = [plan.measured for plan in (before, after)]
    shares = [m.noise_standard_error / m.noise_relative_rms for m in both if m and m.noise_relative_rms]
    return sum(shares) if len(shares) == len(both) else None


def _each(
    what: str, unit: str, pair: tuple[Mapping[str, float], Mapping[str, float]], spread: float | None
) -> Iterator[CostChange]:
    for name in dict.fromkeys([*pair[0], *pair[1]]):
        yield from _change(f"{what} {name}", unit, (pair[0].get(name, 0.0), pair[1].get(name, 0.0)), spread)


def _change(
    cost: str, unit: str, pair: tuple[float | None, float | None], spread: float | None
) -> Iterator[CostChange]:
    if pair[0] is not None and pair[1] is not None:
        yield CostChange(cost, unit, pair[0], pair[1], spread)


def _settings(before: Plan, after: Plan) -> dict[str, tuple[object, object]]:
    """Return the keys of the two scenarios whose values differ; keys are written as `--set` takes them."""
    old, new = (dict(_flat(json.loads(bytes(plan.scenario)))) for plan in (before, after))
    return {
        key: (old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    }


def _flat(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield (key, value) of each leaf."""
    parts: list[tuple[object, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    if not parts:
        yield key, value
    for name, part in parts:
        yield from _flat(part, f"{key}.{name}" if key else str(name))
