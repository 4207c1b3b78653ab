"""The placement problems of real models: three devices, three precisions, costs measured on this machine."""

from dataclasses import replace
from pathlib import Path

from planner.costs.device_costs import device_costs
from planner.costs.device_profiles import profile_devices
from planner.costs.formulation import formulate
from planner.costs.noise_profiles import noise_profiles
from planner.devices.runtime import measured_devices
from planner.inputs.prepared_scenario import prepare
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.link_schema import LinkSpec
from planner.scenario.loader import load_scenario
from planner.scenario.schema import PlacementSpec, Scenario
from profiling.precision import Precision

MODELS = ("quickstart", "resnet56", "mobilenetv2", "yolox", "kwt1")
NOISE = Quantity(CostMetric.NOISE)
_SCENARIOS = Path(__file__).parent.parent / "scenarios"
_ROADS = (("camera", "gateway", 1.0, 1.0), ("gateway", "server", 100.0, 1.0))  # Mbit/s, ms; both ways


def measured_problem(name: str) -> PlacementProblem:
    """Return a scenario's model on a camera, a gateway and a server in fp32, int8 and int16, without limits.

    Profiles come from the cache where they are there.
    """
    own = load_scenario(_SCENARIOS / f"{name}.yaml")
    server = measured_devices(own)[0].model_copy(update={"name": "server", "precisions": None})
    weak = [
        DeviceSpec(name=device, scaled_from="server", speedup=speed)
        for device, speed in (("camera", 0.1), ("gateway", 0.4))
    ]
    links = [_link(a, b, *speed) for one, other, *speed in _ROADS for a, b in ((one, other), (other, one))]
    scenario = own.model_copy(
        update={
            "devices": (*weak, server),
            "links": tuple(links),
            "source": "camera",
            "sink": "camera",
            "precisions": tuple(Precision),
            "budget": BudgetSpec(),
            "placement": PlacementSpec(),
        }
    )
    return _measured(scenario)


def _link(source: str, target: str, bandwidth: float, latency: float) -> LinkSpec:
    return LinkSpec.model_validate(
        {"from": source, "to": target, "bandwidth_mbit_per_s": bandwidth, "latency_ms": latency}
    )


def _measured(scenario: Scenario) -> PlacementProblem:
    prepared = prepare(scenario)
    latency = profile_devices(prepared)
    noise = noise_profiles(scenario, prepared.subject, prepared.calibrations)
    costs = device_costs(scenario, latency, noise, prepared.schemes)
    return formulate(scenario, prepared.models.graph, costs)


def with_bandwidth(problem: PlacementProblem, factor: float) -> PlacementProblem:
    """Return the problem with links that are some times as fast; what a message takes besides stays."""
    flows = tuple(
        replace(
            flow,
            forms=tuple(
                replace(form, link_s=tuple(_faster(s, form.size_bytes, factor) for s in form.link_s))
                for form in flow.forms
            ),
        )
        for flow in problem.flows
    )
    return replace(problem, flows=flows)


def _faster(seconds: float, size_bytes: float, factor: float) -> float:
    latency = min(seconds, _ROADS[0][3] / 1e3)
    return latency + (seconds - latency) / factor if size_bytes else seconds


def with_little_memory(problem: PlacementProblem, share: float) -> PlacementProblem:
    """Return the problem in which all devices but the last hold a share of the fp32 weights at most."""
    weights = sum(max(option.weight_bytes for option in v.options) for v in problem.vertices)
    largest = max(option.activation_bytes for v in problem.vertices for option in v.options)
    for device in range(len(problem.devices) - 1):
        problem = problem.with_limit(Quantity(CostMetric.MEMORY, device), share * weights + largest)
    return problem


def noise_in_int8(problem: PlacementProblem) -> float:
    """Return the noise power of everything in int8 on the last device."""
    last = len(problem.devices) - 1
    options = [
        0
        if vertex.is_terminal
        else max(
            (o for o, option in enumerate(vertex.options) if option.device == last),
            key=lambda o, v=vertex: v.options[o].precision == Precision.INT8,  # type: ignore[misc]
        )
        for vertex in problem.vertices
    ]
    return evaluate(problem, Choice(tuple(options))).noise_power
