import json
from dataclasses import replace

import pytest

from planner.cli.commands import main
from profiling.errors import ProfileError
from profiling.latency.measure_latency import Setup, measure_latency
from profiling.on_device.measurement_order import FORMAT
from profiling.on_device.robust_statistics import relative_iqr
from profiling.precision import Precision
from profiling.records.json_files import save_json
from profiling.records.profile import Profile
from profiling.records.profile_diff import diff_profiles
from profiling.runtime.open_session import Runtime


@pytest.fixture(scope="module")
def profile(digits) -> Profile:
    latency = measure_latency(digits.graph, digits.calibration, digits.samples[0], Setup(Runtime(), 5))
    steady = tuple(replace(row, spread=0.02) for row in latency.units)
    return Profile(FORMAT, "a", replace(latency, units=steady))


def slower(profile: Profile, unit: int, factor: float) -> Profile:
    units = list(profile.latency.units)
    units[unit] = replace(units[unit], seconds=units[unit].seconds * factor)
    return replace(profile, latency=replace(profile.latency, units=tuple(units)))


def test_a_profile_does_not_differ_from_itself(profile):
    diff = diff_profiles(profile, profile)
    assert diff.changes == ()
    assert diff.settings == {}
    assert diff.median_change == 0


def test_a_change_within_both_spreads_is_none(profile):
    assert diff_profiles(profile, slower(profile, 0, 1.035)).changes == ()


def test_a_change_beyond_the_spread_is_told_with_its_size(profile):
    diff = diff_profiles(profile, slower(slower(profile, 0, 1.5), 3, 0.5))
    assert {change.unit for change in diff.changes} == {profile.latency.units[i].unit for i in (0, 3)}
    change = next(c for c in diff.changes if c.unit == profile.latency.units[0].unit)
    assert change.change == pytest.approx(0.5)
    assert change.beyond == pytest.approx(0.46)


def test_a_machine_that_is_slower_altogether_changes_no_unit(profile):
    latency = profile.latency
    units = tuple(replace(row, seconds=row.seconds * 1.4) for row in latency.units)
    wall = {precision: seconds * 1.4 for precision, seconds in latency.wall_s.items()}
    diff = diff_profiles(profile, replace(profile, latency=replace(latency, units=units, wall_s=wall)))
    assert diff.pace == pytest.approx(1.4)
    assert diff.changes == ()
    assert diff.median_change == pytest.approx(0, abs=1e-12)
    assert list(diff.whole.values()) == pytest.approx([0.4] * len(diff.whole))


def test_other_settings_are_told(profile):
    other = replace(profile, latency=replace(profile.latency, threads=2))
    assert diff_profiles(profile, other).settings == {"threads": ("1", "2")}


def test_profiles_of_different_models_are_not_compared(profile):
    other = replace(profile, latency=replace(profile.latency, model_sha256="0"))
    with pytest.raises(ProfileError, match="different models"):
        diff_profiles(profile, other)


def test_the_command_compares_two_files(profile, tmp_path, capsys):
    save_json(profile, tmp_path / "a.json")
    save_json(slower(profile, 0, 2.0), tmp_path / "b.json")
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    with pytest.raises(SystemExit) as done:
        main(["profile", "--diff", *files, "--json"])
    assert done.value.code == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["change"] == pytest.approx(1.0)
    with pytest.raises(SystemExit) as done:
        main(["profile", "--diff", *files])
    assert done.value.code == 0
    assert "+100.0%" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["profile", "--diff", *files, "--out", "x"])
    assert done.value.code == 2


def test_a_profile_keeps_its_runs_and_says_how_steady_they_were(digits):
    latency = measure_latency(digits.graph, digits.calibration, digits.samples[0], Setup(Runtime(), 4))
    assert len(latency.runs_s[Precision.INT8]) in (4, 8)
    # Beside every model: two of them four times, six mixed ones half as often; again what other work slowed.
    assert 2 * 4 + 6 * 2 <= len(latency.runs_s[Precision.FP32]) <= 2 * (2 * 4 + 6 * 2)
    assert latency.spread == relative_iqr(latency.runs_s[Precision.FP32])
    assert any(row.spread > 0 for row in latency.units)
