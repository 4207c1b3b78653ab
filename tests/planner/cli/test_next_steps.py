"""What is said to do next can be pasted into a shell."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from made_records import made_comparison
from repository import ROOT

from planner.cli import compare_command
from planner.cli.commands import _next_steps
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.scenario.loader import load_scenario


def test_commands_name_files_as_a_shell_reads_them():
    scenario, folder = Path("my net's.yaml"), Path("plans/a b")
    lines = _next_steps(scenario, folder)[1:]
    words = [shlex.split(line, comments=True) for line in lines]
    assert words[0][3:] == ["--input", str(scenario), "--output", "answers.npz"]
    assert [line[:3] for line in words] == [
        ["plan", "run", str(folder)],
        ["plan", "deploy", str(folder)],
        ["plan", "compare", str(scenario)],
    ]


@pytest.mark.parametrize(
    "links", [(), ("camera-gateway",), ("all",)], ids=["both ends of the slowest", "one", "factors"]
)
def test_a_comparison_names_the_command_that_plans_in_one_of_its_ranges(links):
    """All links that varied are set, at a bandwidth at which that plan is the best."""
    file = ROOT / "scenarios" / "quickstart.yaml"
    scenario = load_scenario(file)
    bandwidths = parse_bandwidths("0.1..100", links, scenario)
    record = made_comparison(links=bandwidths.links, unit=bandwidths.unit)
    compared = SimpleNamespace(record=record, measured=SimpleNamespace(scenario=scenario))
    lines = compare_command._next_steps(compared, file, Path("comparisons/q"), ["links.1.latency_ms=3"])
    words = shlex.split(lines[-1], comments=True)
    assert words[:2] == ["plan", str(file)]
    assert words[-2:] == ["--out", "plans/q-1"]
    settings = [words[n + 1] for n, word in enumerate(words) if word == "--set"]
    planned = load_scenario(file, settings)
    piece = record.pieces[1]
    assert planned.links[1].latency_ms == 3
    first = next(n for n, link in enumerate(scenario.links) if link.name in record.links)
    before, after = (s.links[first].bandwidth_mbit_per_s for s in (scenario, planned))
    value = after / before if bandwidths.factors else after
    assert piece.low < value < piece.high
    expected = bandwidths.scenario_at(scenario, value).links
    assert [link.bandwidth_mbit_per_s for link in planned.links] == [
        pytest.approx(link.bandwidth_mbit_per_s) for link in expected
    ]


def test_a_comparison_over_budgets_sets_those_of_the_range():
    scenario = load_scenario(ROOT / "scenarios" / "quickstart.yaml")
    piece = msgspec.structs.replace(
        made_comparison().pieces[0], budgets={"noise_relative_rms": 0.02, "memory_mib.camera": 0.5}
    )
    record = made_comparison(pieces=(piece,), links=("camera-gateway",), plan_set=None)
    compared = SimpleNamespace(record=record, measured=SimpleNamespace(scenario=scenario))
    file = ROOT / "scenarios" / "quickstart.yaml"
    (line,) = compare_command._next_steps(compared, file, Path("comparisons/q"), [])
    words = shlex.split(line.removeprefix("next:"), comments=True)
    planned = load_scenario(file, [words[n + 1] for n, word in enumerate(words) if word == "--set"])
    assert planned.budget.noise_relative_rms == 0.02
    assert planned.budget.memory_mib["camera"] == 0.5


def test_a_comparison_that_holds_plans_runs_and_deploys_one_of_them():
    scenario = load_scenario(ROOT / "scenarios" / "quickstart.yaml")
    compared = SimpleNamespace(record=made_comparison(), measured=SimpleNamespace(scenario=scenario))
    lines = compare_command._next_steps(compared, Path("my net.yaml"), Path("a b"), [])
    words = [shlex.split(line.removeprefix("next:"), comments=True) for line in lines]
    assert words[0] == ["plan", "deploy", "a b", "--out", "deploy"]
    assert words[1] == ["plan", "deploy", "a b", "--plan", "0", "--out", "deploy"]
    assert words[2][:7] == ["plan", "run", "a b", "--plan", "0", "--input", "my net.yaml"]
