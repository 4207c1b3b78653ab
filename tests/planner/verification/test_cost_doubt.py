import msgspec
import pytest
from made_records import CUT, MEASURED, PREDICTED, SCENARIO, made_plan

from planner.plan.plan_record import CostDoubt, WireFormat
from planner.scenario.loader import parse_scenario
from planner.verification.acceptance import with_measured
from planner.verification.cost_doubt import cost_doubt_of, cost_doubt_text

HERE = parse_scenario(msgspec.json.encode(SCENARIO))


def doubt_of(predicted: float, measured: float, *spread: float, scenario=HERE) -> CostDoubt | None:
    plan = made_plan(predicted=msgspec.structs.replace(PREDICTED, chain_ratio_to_fp32=predicted))
    shown = msgspec.structs.replace(MEASURED, chain_ratio_to_fp32=measured, chain_ratio_spread=spread)
    return cost_doubt_of(plan, scenario, shown)


def test_stages_that_take_much_longer_than_predicted_put_the_costs_in_doubt():
    doubt = doubt_of(0.8, 1.0, 0.98, 1.1)
    assert doubt is not None
    assert (doubt.low, doubt.high, doubt.difference) == (0.98, 1.1, pytest.approx(0.25))
    assert "take 25% longer than predicted" in cost_doubt_text(doubt)


def test_stages_that_are_much_faster_do_so_too():
    doubt = doubt_of(1.0, 0.8, 0.79, 0.81)
    assert doubt is not None
    assert "take 20% shorter" in cost_doubt_text(doubt)


@pytest.mark.parametrize(
    ("predicted", "measured", "spread"),
    [
        (0.80, 0.83, (0.82, 0.84)),  # by less than is worth a word
        (0.80, 1.00, (0.79, 1.02)),  # sessions differ as much themselves
        (0.80, 0.80, ()),
    ],
)
def test_differences_within_what_timing_shows_are_no_doubt(predicted, measured, spread):
    assert doubt_of(predicted, measured, *spread) is None


def test_one_slow_session_of_many_hides_no_doubt():
    """The least and the greatest of many sessions hold the prediction, their median is certain."""
    many = msgspec.structs.replace(
        MEASURED, chain_ratio_to_fp32=1.0, chain_ratio_spread=(0.7, 1.2), chain_ratio_interval=(0.99, 1.01)
    )
    plan = made_plan(predicted=msgspec.structs.replace(PREDICTED, chain_ratio_to_fp32=0.8))
    doubt = cost_doubt_of(plan, HERE, many)
    assert doubt is not None
    assert (doubt.low, doubt.high) == (0.99, 1.01)


@pytest.mark.parametrize("change", [{"profile": "other.json"}, {"threads": 3, "profile": "measure"}])
def test_seconds_of_other_machines_or_settings_are_not_judged_by_those_of_this_one(change):
    camera = SCENARIO["devices"][0]
    own = {"name": "server", "profile": "measure", "threads": 1} | change
    scenario = parse_scenario(msgspec.json.encode(SCENARIO | {"devices": [camera, own]}))
    assert doubt_of(0.8, 1.0, 0.98, 1.1, scenario=scenario) is None
    assert doubt_of(0.8, 1.0, 0.98, 1.1) is not None


@pytest.mark.parametrize(("wire", "judged"), [(WireFormat.UINT8, False), (WireFormat.FLOAT, True)])
def test_a_device_of_another_machine_that_only_quantizes_what_it_sends_is_not_judged_here(wire, judged):
    """Its stage takes time that no table of units tells; a tensor that crosses as it is needs no stage."""
    camera, server = {"name": "camera", "profile": "own.csv"}, {"name": "server", "profile": "measure"}
    scenario = parse_scenario(msgspec.json.encode(SCENARIO | {"devices": [camera, server]}))
    plan = made_plan(predicted=msgspec.structs.replace(PREDICTED, chain_ratio_to_fp32=0.8))
    on_server = [msgspec.structs.replace(one, device="server") for one in plan.assignments]
    cut = msgspec.structs.replace(CUT, wire=wire)
    plan = msgspec.structs.replace(plan, assignments=tuple(on_server), cuts=(cut,))
    shown = msgspec.structs.replace(MEASURED, chain_ratio_to_fp32=1.0, chain_ratio_spread=(0.98, 1.1))
    assert (cost_doubt_of(plan, scenario, shown) is not None) == judged


def test_the_record_of_a_verified_plan_holds_the_doubt():
    apart = msgspec.structs.replace(MEASURED, chain_ratio_to_fp32=2 * PREDICTED.chain_ratio_to_fp32)
    doubted = with_measured(made_plan(), HERE, apart)
    assert doubted.cost_doubt is not None
    assert doubted.cost_doubt.difference == pytest.approx(1.0)
    alike = msgspec.structs.replace(MEASURED, chain_ratio_to_fp32=PREDICTED.chain_ratio_to_fp32)
    assert with_measured(doubted, HERE, alike).cost_doubt is None
