"""The instances of the table: of the size in their name, with a plan or provably without one."""

import random
from fnmatch import fnmatchcase

import network_shapes
import oracle
import pytest
from bar_instances import all_instances, named
from network_costs import infeasible_problem, least_noise, network_problem, plan_that_fits

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.quantities import CostMetric, Quantity

SHAPES = [
    network_shapes.chain,
    network_shapes.series_parallel,
    network_shapes.transformer,
    network_shapes.u_net,
    network_shapes.dense,
    network_shapes.wide_attention,
    network_shapes.nasnet,
    network_shapes.inception,
]
LARGE = ("large-2*", "large-5*", "large-10000*", "*-500x*", "*-1000x?")
SMALL = [one.name for one in all_instances() if not any(fnmatchcase(one.name, large) for large in LARGE)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("units", [50, 210, 244])
def test_each_unit_but_the_first_reads_an_earlier_one(shape, units):
    readers = shape(units, random.Random(1))
    assert len(readers) == units
    assert all(reader > unit for unit, row in enumerate(readers) for reader in row)
    assert {reader for row in readers for reader in row} == set(range(1, units))
    assert all(len(set(row)) == len(row) for row in readers)


def test_names_are_unique_and_patterns_find_them():
    names = [one.name for one in all_instances()]
    assert len(set(names)) == len(names)
    assert [one.name for one in named(["pipeline-48-*"])] == [name for name in names if "line-48-" in name]
    assert len(named([])) == len(names)
    with pytest.raises(ValueError, match="no instance"):
        named(["pipeline-48-50mbit", "nothing"])


@pytest.mark.parametrize("name", ["unet-80", "nasnet-210", "pipeline-96-5mbit", "large-1000x6x4-energy"])
def test_the_same_name_is_always_the_same_problem(name):
    instance = named([name])[0]
    assert instance.build() == instance.build()


@pytest.mark.parametrize("name", SMALL)
def test_the_name_tells_the_size(name):
    problem = named([name])[0].build()
    units = sum(not vertex.is_terminal for vertex in problem.vertices)
    sizes = [int(word) for part in name.split("-") for word in part.split("x") if word.isdecimal()]
    assert units == sizes[0]
    if "x" in name.split("-")[-1] or name.startswith("large"):
        assert len(problem.devices) == sizes[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("devices", [3, 6])
def test_a_feasible_network_has_a_plan(shape, devices):
    shares = (0.12, 0.15, 0.2) if devices == 3 else (0.05, 0.08, 0.12, 0.15, 0.2, 0.25)
    problem = network_problem(shape, 80, devices, shares, 3)
    noise = Quantity(CostMetric.NOISE)
    choice = plan_that_fits(problem.with_limit(noise, None))
    assert is_feasible(problem, evaluate(problem, choice))


@pytest.mark.parametrize("seed", range(3))
def test_an_infeasible_network_has_no_plan_that_is_quiet_enough(seed):
    problem = infeasible_problem(network_shapes.chain, 4, 3, (0.2, 0.2, 0.25), seed)
    noise = Quantity(CostMetric.NOISE)
    unlimited = problem.with_limit(noise, None)
    costs = [oracle.price(problem, choice) for choice in oracle.choices(problem)]
    assert not any(oracle.feasible(problem, cost) for cost in costs)
    fitting = [cost.noise for cost in costs if oracle.feasible(unlimited, cost)]
    assert problem.tightest_limit(CostMetric.NOISE) < least_noise(unlimited) <= min(fitting)


def test_sixteen_bit_precisions_come_as_float_and_as_a_format_that_accepts_uint8():
    problem = named(["large-1000x6x4-latency"])[0].build()
    assert [one.name for one in problem.formats] == ["float", "uint8", "uint16"]
    assert problem.formats[2].accepts == (1, 2)
    precisions = {option.precision: option.format for option in problem.vertices[0].options}
    assert precisions == {"fp32": 0, "int8": 1, "fp16": 0, "int16": 2}
    assert all(len(flow.forms) == len(flow.noise_power) == 3 for flow in problem.flows)
