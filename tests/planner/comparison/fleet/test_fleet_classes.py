import itertools
import json
import random

import pytest
from measured_scenarios import quickstart_basis
from small_problems import NOISE, small_problem

from planner.comparison.fleet.fleet_classes import FleetCell, FleetProblems, common_noise_limit, fleet_cells
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric
from planner.scenario.fleet_schema import DeviceClassSpec, FleetSpec
from profiling.precision import Precision

LINK = "camera-gateway"


@pytest.fixture(scope="module")
def basis():
    return quickstart_basis()


def fleet_of(*classes: dict, **more) -> FleetSpec:
    return FleetSpec.model_validate_json(json.dumps({"device": "camera", "classes": classes, **more}))


def at(*pairs: tuple[float, float]) -> list[dict]:
    return [{"mbit_per_s": value, "share": share} for value, share in pairs]


def test_the_shares_of_classes_and_of_their_bandwidths_multiply():
    fleet = fleet_of(
        {"name": "a", "share": 1, "bandwidths": at((2, 3), (8, 1))},
        {"name": "b", "share": 3, "bandwidths": at((5, 7))},
        links=[LINK],
    )
    cells = [(cell.device_class.name, cell.bandwidth, cell.share) for cell in fleet_cells(fleet)]
    assert cells == [("a", 2, 0.1875), ("a", 8, 0.0625), ("b", 5, 0.75)]


def choices(problem, count: int) -> list[Choice]:
    draw = random.Random(1)
    found = []
    while len(found) < count:
        choice = Choice(tuple(draw.randrange(len(vertex.options)) for vertex in problem.vertices))
        if evaluate(problem, choice).latency_s < 1e9:
            found.append(choice)
    return found


def latencies(problem, plans) -> list[float]:
    return [evaluate(problem, plan).latency_s for plan in plans]


def test_a_class_has_the_seconds_of_the_device_divided_by_its_speed(basis):
    fleet = fleet_of({"name": "own"}, {"name": "fast", "speedup": 4})
    problems = FleetProblems(basis, fleet)
    own, fast = (problems.problem(one, None) for one in fleet.classes)
    for vertex, quicker in zip(own.vertices, fast.vertices, strict=True):
        for option, other in zip(vertex.options, quicker.options, strict=True):
            factor = 4 if option.device == 0 else 1
            assert other.seconds == pytest.approx(option.seconds / factor)
            assert (other.device, other.precision) == (option.device, option.precision)
    plain = basis.planning_problem(basis.latency).formulate()
    assert [v.options for v in own.vertices] == [v.options for v in plain.vertices]


def test_a_class_may_use_its_own_precisions_and_memory_and_meets_its_own_bandwidth(basis):
    fleet = fleet_of(
        {"name": "small", "precisions": ["fp32"], "memory_mib": 0.5, "bandwidths": at((0.5, 1))}, links=[LINK]
    )
    problems = FleetProblems(basis, fleet)
    problem = problems.problem(fleet.classes[0], 0.5)
    on = {(o.device, o.precision) for v in problem.vertices if not v.is_terminal for o in v.options}
    assert {precision for device, precision in on if device == 0} == {"fp32"}
    assert {precision for device, precision in on if device == 1} > {"fp32"}
    assert problem.tightest_limit(CostMetric.MEMORY, 0) == 2**19
    flow, (link,) = problem.flows[0], basis.scenario.links[:1]
    # 0.5 Mbit/s are 62,500 bytes per s.
    assert flow.forms[0].link_s[0] == pytest.approx(link.latency_s + flow.forms[0].size_bytes / 62_500)


def test_classes_that_differ_in_their_share_alone_are_one_problem(basis):
    fleet = fleet_of({"name": "a", "share": 1, "bandwidths": at((1, 1))}, links=[LINK])
    problems = FleetProblems(basis, fleet)
    (one,) = fleet.classes
    same = one.model_copy(update={"share": 9.0, "bandwidths": ()})
    other = one.model_copy(update={"speedup": 2.0})
    assert problems.points(one) is problems.points(same)
    assert problems.points(one) is not problems.points(other)


@pytest.mark.parametrize("bandwidths", [(None, None, None), (0.1, 3.0, 40.0)])
def test_a_plan_of_a_group_s_class_takes_the_mean_latency_of_its_cells(basis, bandwidths):
    classes = [DeviceClassSpec(name=f"c{n}", speedup=speed) for n, speed in enumerate((0.25, 1.0, 6.0))]
    fleet = fleet_of({"name": "c", "bandwidths": at((1, 1))}, links=[LINK])
    problems = FleetProblems(basis, fleet)
    cells = [
        FleetCell(one, bandwidth, share)
        for one, bandwidth, share in zip(classes, bandwidths, (0.5, 0.2, 0.1), strict=True)
    ]
    for group in (cells, cells[:2], cells[2:]):
        group_class, bandwidth = problems.group_class(group)
        grouped = problems.problem(group_class, bandwidth)
        plans = choices(grouped, 6)
        rows = [latencies(problems.problem(cell.device_class, cell.bandwidth), plans) for cell in group]
        shares = [cell.share for cell in group]
        for mean, *row in zip(latencies(grouped, plans), *rows, strict=True):
            assert mean == pytest.approx(
                sum(share * s for share, s in zip(shares, row, strict=True)) / sum(shares)
            )


def test_a_group_allows_what_all_of_its_classes_allow(basis):
    problems = FleetProblems(basis, fleet_of({"name": "a"}))
    own = basis.scenario.budget.memory_mib["camera"]
    roomy = DeviceClassSpec(name="roomy", memory_mib=2 * own)
    tight = DeviceClassSpec(name="tight", memory_mib=own / 2, precisions=(Precision.FP32,))
    plain = DeviceClassSpec(name="plain")
    for classes, memory, precisions in (
        ((roomy, plain), own, {"fp32", "int8"}),
        ((roomy, roomy), 2 * own, {"fp32", "int8"}),
        ((roomy, tight, plain), own / 2, {"fp32"}),
    ):
        for order in itertools.permutations(classes):
            group, _ = problems.group_class([FleetCell(one, None, 0.1) for one in order])
            assert group.memory_mib == memory
            assert {precision.value for precision in group.precisions} == precisions


def test_what_has_no_class_of_its_mean_is_no_group(basis):
    problems = FleetProblems(basis, fleet_of({"name": "a"}))
    plain = DeviceClassSpec(name="plain")
    floats, bytes_ = (DeviceClassSpec(name=p, precisions=(p,)) for p in (Precision.FP32, Precision.INT8))
    profiled = DeviceClassSpec(name="profiled", profile="p.json")
    assert problems.group_class([FleetCell(plain, None, 0.5), FleetCell(plain, 1.0, 0.5)]) is None
    assert problems.group_class([FleetCell(floats, None, 0.5), FleetCell(bytes_, None, 0.5)]) is None
    assert problems.group_class([FleetCell(plain, None, 0.5), FleetCell(profiled, None, 0.5)]) is None


def test_the_tightest_noise_of_all_problems_is_that_of_a_plan_for_all():
    problem = small_problem()
    looser, without = problem.with_limit(NOISE, 0.5), problem.with_limit(NOISE, None)
    assert common_noise_limit([looser, problem, without]) == 0.02
    assert common_noise_limit([without]) is None
    assert common_noise_limit([]) is None
