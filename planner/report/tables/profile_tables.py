"""A device's profile, and what differs between two -> terminal tables."""

from rich.console import Group, RenderableType

from planner.formatting import MILLI, counted, short_name
from planner.report.tables.table_style import line, new_table
from profiling.on_device.clock.run_clock import CPU
from profiling.records.profile import LatencyProfile, Profile
from profiling.records.profile_diff import ProfileDiff

_MICRO = 1e6
_LARGEST = 10  # changes that are shown


def profile_table(profile: Profile) -> RenderableType:
    """Return a profile's seconds and noise in short."""
    latency = profile.latency
    columns = ("whole run ms", "units ms", "unattributed ms")
    table = new_table(f"profile of {profile.device}", ("precision",), columns)
    for precision, wall_s in latency.wall_s.items():
        units = sum(row.seconds for row in latency.units if row.precision == precision)
        table.add_row(
            precision,
            *(f"{s * MILLI:.3f}" for s in (wall_s, units, latency.unattributed_s[precision])),
        )
    measured = sum(row.measured for row in latency.switches)
    lines = [
        f"{latency.processor}, {counted(latency.threads, 'thread')}, {latency.samples} runs that spread by "
        f"{latency.spread:.1%}{_disturbed_text(latency)}",
        f"switches: {measured} measured, {len(latency.switches) - measured} fitted from bytes",
    ]
    for noise in profile.noise:
        power = sum(row.power for row in noise.tensors) + sum(row.power for row in noise.units)
        lines.append(f"relative RMS error with everything in {noise.scheme}, predicted: {power**0.5:.4f}")
    if latency.noisy:
        lines.append("costs are noisy: better measure again when less else runs")
    return Group(table, *map(line, lines))


def _disturbed_text(latency: LatencyProfile) -> str:
    """Return by which clock runs were timed, and which part of them other work disturbed."""
    clock = "processor time" if latency.clock == CPU else "wall clock"
    disturbed = "" if latency.disturbed is None else f", {latency.disturbed:.0%} of them disturbed"
    contended = f", {latency.contended:.0%} of those that count contended" if latency.contended else ""
    return f" ({clock}{disturbed}{contended})"


def diff_table(diff: ProfileDiff) -> RenderableType:
    """Return what differs between two profiles of one model."""
    lines = [f"{name}: {old} > {new}" for name, (old, new) in diff.settings.items()]
    lines += [f"whole run in {precision}: {change:+.1%}" for precision, change in diff.whole.items()]
    lines.append(
        f"{diff.units} unit times; beyond the change of the whole fp32 run they differ by "
        f"{diff.median_change:.1%} in the median"
    )
    if not diff.changes:
        return Group(*map(line, lines), line("no unit changed beyond its spread"))
    columns = ("before us", "after us", "change", "beyond spread")
    table = new_table(f"{len(diff.changes)} changed beyond their spread", ("unit", "precision"), columns)
    for change in diff.changes[:_LARGEST]:
        table.add_row(
            short_name(change.unit),
            change.precision,
            *(f"{seconds * _MICRO:.1f}" for seconds in (change.before_s, change.after_s)),
            f"{change.change:+.1%}",
            f"{change.beyond:.1%}",
        )
    if len(diff.changes) > _LARGEST:
        lines.append(f"the {_LARGEST} largest of {len(diff.changes)} changes are shown; --json has all")
    return Group(*map(line, lines), table)
