import random

import pytest
from measured_scenarios import small_basis

from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.plan_registry import PlanRegistry, summary_text
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.plan.configuration import configuration_of
from planner.plan.plan_record import Cut, WireFormat
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from profiling.precision import Precision


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def points_of(basis, *links: str) -> SweepPoints:
    return SweepPoints(basis, Sweep(parse_bandwidths("0.01,1000", links, basis.scenario)))


def choices(problem, count: int) -> list[Choice]:
    """Return choices of one device after the other, from the first: what a plan can be."""
    draw = random.Random(0)
    found = []
    while len(found) < count:
        switch = draw.randrange(len(problem.vertices))
        far = draw.randrange(len(problem.devices))
        options = []
        for v, vertex in enumerate(problem.vertices):
            near = [o for o, option in enumerate(vertex.options) if option.device == 0]
            there = [o for o, option in enumerate(vertex.options) if option.device == far]
            options.append(draw.choice((near if v < switch else there) or list(range(len(vertex.options)))))
        choice = Choice(tuple(options))
        if not evaluate(problem, choice).violations and evaluate(problem, choice).latency_s < 1e9:
            found.append(choice)
    return found


@pytest.mark.parametrize("links", [(), ("all",)])
def test_a_plans_line_is_its_latency_at_every_bandwidth(basis, links):
    points = points_of(basis, *links)
    at_one = points.problem(1.0, {})
    for choice in choices(at_one, 10):
        line = PlanRegistry(points).register(at_one, choice, points.scenario(1.0, {}))
        for bandwidth in (0.01, 0.3, 7.0, 1000.0):
            there = evaluate(points.problem(bandwidth, {}), choice).latency_s
            assert line.latency_s(bandwidth) == pytest.approx(there, rel=1e-9)


def test_where_only_budgets_vary_a_plan_has_one_latency(basis):
    points = SweepPoints(basis, Sweep(None))
    problem = points.problem(None, {})
    for choice in choices(problem, 3):
        line = PlanRegistry(points).register(problem, choice, basis.scenario)
        assert (line.fixed_s, line.link_s) == (evaluate(problem, choice).latency_s, 0.0)


def test_plans_are_numbered_as_they_come_and_equal_ones_are_one(basis):
    points = points_of(basis)
    problem, scenario = points.problem(1.0, {}), points.scenario(1.0, {})
    registry, drawn = PlanRegistry(points), choices(problem, 12)
    numbers = [registry.register(problem, choice, scenario).number for choice in (*drawn, *reversed(drawn))]
    assert numbers[12:] == numbers[11::-1]
    assert numbers[:12] == [
        list(registry.chosen).index(configuration_of(problem, choice)) for choice in drawn
    ]
    for number, choice in zip(numbers, drawn, strict=False):
        assert registry.lines[number].number == number
        assert configuration_of(problem, registry.choices[number]) == registry.chosen[number]
        assert registry.summed_noise(number) == evaluate(problem, choice).noise_power


def test_forgotten_plans_leave_their_numbers_to_others(basis):
    points = points_of(basis)
    problem, scenario = points.problem(1.0, {}), points.scenario(1.0, {})
    registry = PlanRegistry(points)
    drawn = list({configuration_of(problem, choice): choice for choice in choices(problem, 20)}.values())[:4]
    for choice in drawn:
        registry.register(problem, choice, scenario)
    registry.discard(2)
    assert (len(registry.lines), len(registry.chosen), len(registry.choices)) == (2, 2, 2)
    assert registry.register(problem, drawn[3], scenario).number == 2
    assert registry.register(problem, drawn[0], scenario).number == 0
    assert registry.chosen[2] == configuration_of(problem, drawn[3])
    assert registry.summed_noise(2) == evaluate(problem, drawn[3]).noise_power
    registry.discard(3)  # nothing is there
    assert len(registry.lines) == 3


FP32, INT8 = Precision.FP32, Precision.INT8


def cut(tensor: str, size: int) -> Cut:
    return Cut(
        tensor=tensor,
        source="a",
        target="b",
        wire=WireFormat.UINT8,
        size_bytes=size,
        path=("a", "b"),
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("devices", "precisions", "cuts", "text"),
    [
        ("aa", (FP32, FP32), (), "all on a; 2 fp32"),
        ("aaa", (INT8, FP32, INT8), (), "all on a; 2 int8 + 1 fp32"),
        ("aa", (INT8, FP32), (), "all on a; 1 fp32 + 1 int8"),
        ("aa", (INT8, FP32), (cut("in", 9),), "all on a, over the links in (uint8, 9 B); 1 fp32 + 1 int8"),
        ("ab", (INT8, INT8), (cut("t", 100),), "a > b, over the links t (uint8, 100 B); 2 int8"),
        ("aba", (INT8,) * 3, (cut("s", 1), cut("t", 2), cut("u", 3)),
         "a > b, over the links s (uint8, 1 B), t (uint8, 2 B) and 1 more; 3 int8"),
    ],
)  # fmt: skip
def test_a_plan_is_called_by_its_devices_cuts_and_precisions(devices, precisions, cuts, text):
    assert summary_text(tuple(devices), precisions, cuts) == text


def test_plans_get_the_numbers_of_an_order_with_all_that_belongs_to_them(basis):
    points = points_of(basis)
    problem = points.problem(1.0, {})
    registry = PlanRegistry(points)
    made = list(dict.fromkeys(choices(problem, 8)))
    before = [registry.register(problem, choice, points.scenario(1.0, {})) for choice in made]
    rows = [(registry.choices[n], registry.chosen[n], registry.summed_noise(n)) for n in range(len(made))]
    numbers = registry.renumber([3, 1, 3])
    assert [numbers[n] for n in (3, 1, 0, 2)] == [0, 1, 2, 3]
    for old, line in enumerate(before):
        new = numbers[old]
        assert registry.lines[new].number == new
        assert registry.lines[new].summary == line.summary
        assert (registry.choices[new], registry.chosen[new], registry.summed_noise(new)) == rows[old]
        assert registry.register(problem, made[old], points.scenario(1.0, {})).number == new
