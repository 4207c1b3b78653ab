import pytest
from repository import QUICKSTART

from planner.comparison.bandwidth_values import parse_bandwidths, parse_values
from planner.errors import ScenarioError
from planner.scenario.loader import load_scenario


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(QUICKSTART)


BAD = {
    "0,1": "--bandwidth 0,1: 0 is not a number above 0",
    "-1": "--bandwidth -1: -1 is not a number above 0",
    "nan": "--bandwidth nan: nan is not a number above 0",
    "inf": "--bandwidth inf: inf is not a number above 0",
    "0.1-1000": "--bandwidth: '0.1-1000' is not a number; a range is 0.1..1000",
    "1 to 5": "--bandwidth: '1 to 5' is not a number; a range is 1..5",
    "1-x": "--bandwidth: '1-x' is not a number",
    "fast": "--bandwidth: 'fast' is not a number",
    "1,": "--bandwidth: '' is not a number",
    "": "--bandwidth: '' is not a number",
    "5,1": "--bandwidth 5,1: 1 comes after 5; write them ascending",
    "1,1": "--bandwidth 1,1: 1 is there twice",
    "10..1": "--bandwidth 10..1: a range is LOW..HIGH, such as 0.1..1000",
    "1..1": "--bandwidth 1..1: a range is LOW..HIGH, such as 0.1..1000",
    "1..2..3": "--bandwidth 1..2..3: a range is LOW..HIGH, such as 0.1..1000",
    "1e-9,1": "--bandwidth 1e-9,1: 1e-09 is not between 0.0001 and 1e+09",
    "1..1e12": "--bandwidth 1..1e12: 1e+12 is not between 0.0001 and 1e+09",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_bandwidth_is_told_in_one_line(scenario, text):
    with pytest.raises(ScenarioError) as told:
        parse_bandwidths(text, (), scenario)
    assert str(told.value) == BAD[text]


def test_an_unknown_link_is_told_with_those_there_are(scenario):
    with pytest.raises(ScenarioError, match="--link up: no such link; links are camera-gateway, .*, or all"):
        parse_bandwidths("1,2", ("up",), scenario)


def test_without_links_there_is_nothing_to_vary(scenario):
    alone = scenario.model_copy(update={"links": ()})
    with pytest.raises(ScenarioError, match="the scenario has no links"):
        parse_bandwidths("1,2", (), alone)


def test_the_slowest_links_vary_unless_others_are_named(scenario):
    assert parse_bandwidths("1,2", (), scenario).links == ("camera-gateway", "gateway-camera")
    assert parse_bandwidths("1,2", ("gateway-server",), scenario).links == ("gateway-server",)
    every = parse_bandwidths("1,2", ("all",), scenario)
    assert every.factors
    assert len(every.links) == len(scenario.links)


def test_a_range_has_its_ends_and_some_values_per_decade(scenario):
    assert parse_bandwidths("0.1..30", (), scenario).values == (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    assert parse_bandwidths("0.2..0.25", (), scenario).values == (0.2, 0.25)


def test_a_scenario_takes_a_bandwidth_or_a_factor(scenario):
    named = parse_bandwidths("4,8", ("camera-gateway",), scenario)
    assert [link.bandwidth_mbit_per_s for link in named.scenario_at(scenario, 4).links] == [4, 100, 100, 1]
    every = parse_bandwidths("4,8", ("all",), scenario)
    assert [link.bandwidth_mbit_per_s for link in every.scenario_at(scenario, 4).links] == [4, 400, 400, 4]


def test_the_time_on_links_that_vary_falls_as_their_bandwidth_rises(scenario):
    traffic = (1e6, 2e6, 0.0, 0.0)
    named = parse_bandwidths("4,8", ("camera-gateway",), scenario)
    at_four = named.scenario_at(scenario, 4)
    assert named.seconds_on(at_four, traffic) == pytest.approx(8e6 / 4e6)
    every = parse_bandwidths("4,8", ("all",), scenario)
    twice = every.scenario_at(scenario, 2)
    assert every.seconds_on(twice, traffic) == pytest.approx(8e6 / 2e6 + 16e6 / 200e6)


def test_values_of_budgets_are_numbers_in_order():
    assert parse_values("--noise", "0.01, 0.1") == (0.01, 0.1)
    with pytest.raises(ScenarioError, match="--noise 0.1,0.01: 0.01 comes after 0.1"):
        parse_values("--noise", "0.1,0.01")
