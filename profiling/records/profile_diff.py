"""Two profiles of one device side by side: which units changed, and by how much beyond their spread."""

from dataclasses import dataclass

from profiling.errors import ProfileError
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile, Profile

# Relative; smaller differences are not told, however steady the runs: two profiles of one device are wanted
# to agree so well in the median, see benchmarks/profiling_cost.py.
_LEAST = 0.03


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A unit whose time differs beyond the pace; `beyond` is what is left after both spreads."""

    unit: str
    precision: Precision
    before_s: float
    after_s: float
    change: float
    beyond: float


@dataclass(frozen=True, slots=True)
class ProfileDiff:
    """What differs between two profiles.

    Parameters
    ----------
    settings
        Name of a setting -> its two values, where they differ.
    pace
        Seconds of the fp32 model after over before: how much slower everything was. Units are compared with
        what they would take at that pace.
    median_change
        Median of the absolute relative differences of all units, beyond the pace.
    whole
        Precision -> relative change of a whole run.
    changes
        Units beyond their spread, the largest effect first.
    """

    settings: dict[str, tuple[str, str]]
    units: int
    pace: float
    median_change: float
    whole: dict[Precision, float]
    changes: tuple[UnitChange, ...]

    @property
    def is_one_measurement(self) -> bool:
        """Whether whole runs agree to the bit: then nothing was measured again."""
        return not self.settings and self.pace == 1.0 and not any(self.whole.values())


def diff_profiles(before: Profile, after: Profile) -> ProfileDiff:
    """Compare two profiles of one model.

    Raises
    ------
    ProfileError
        If they are of different models.
    """
    earlier, later = before.latency, after.latency
    if earlier.model_sha256 != later.model_sha256:
        raise ProfileError("the two profiles are of different models: there is nothing to compare")
    rows = {(row.unit, row.precision): row for row in earlier.units}
    pairs = [(rows[row.unit, row.precision], row) for row in later.units if (row.unit, row.precision) in rows]
    pace = 1 + _relative(earlier.wall_s[Precision.FP32], later.wall_s[Precision.FP32])
    changes = []
    for old, new in pairs:
        change = _relative(old.seconds * pace, new.seconds)
        beyond = abs(change) - old.spread - new.spread
        if beyond > 0 and abs(change) > _LEAST:
            changes.append(UnitChange(new.unit, new.precision, old.seconds, new.seconds, change, beyond))
    changes.sort(key=lambda c: -abs(c.after_s - c.before_s))
    sizes = sorted(abs(_relative(old.seconds * pace, new.seconds)) for old, new in pairs)
    return ProfileDiff(
        settings=_settings(earlier, later),
        units=len(pairs),
        pace=pace,
        median_change=sizes[len(sizes) // 2] if sizes else 0.0,
        whole={
            p: _relative(seconds, later.wall_s[p])
            for p, seconds in earlier.wall_s.items()
            if p in later.wall_s
        },
        changes=tuple(changes),
    )


def _settings(before: LatencyProfile, after: LatencyProfile) -> dict[str, tuple[str, str]]:
    names = ("runtime_version", "scheme", "processor", "threads", "provider")
    pairs = {name: (str(getattr(before, name)), str(getattr(after, name))) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _relative(before: float, after: float) -> float:
    if before == after:
        return 0.0
    return (after - before) / before if before else float("inf")
