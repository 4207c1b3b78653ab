"""The integer program under construction: variables, constraints, and the accounts in which costs add up.

Symbols (docs/explanation/formulation.md): x choice of an option, a an option beside its tensor's format,
g transport of a tensor from device to device in a form, c a consumer's option beside the format it reads,
z format of a tensor, w its wire, s a payment shared by a tensor's consumers, b order of devices, l a device
left behind.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option
from planner.solver.device_order import DeviceOrder

Terms = list[tuple[pulp.LpVariable, float]]
TransportVariables = dict[tuple[int, int, int], pulp.LpVariable]  # from device, to device, form


class CostAccount(Enum):
    """Where costs add up, with an index: of a device, a link, a model, or a pair of stages and its model."""

    BUSY = auto()
    LINK = auto()
    MODEL_LINK = auto()  # seconds of a model's tensors on all links, where there are several models
    TRAFFIC = auto()
    JOULES = auto()
    LOAD = auto()  # of transfers, on devices that these block
    BETWEEN = auto()  # seconds from stage to stage of a model
    STAGE = auto()  # of transfers, in the stage of a device that these block
    SENT = auto()  # of transfers of a blocked device's sources
    RECEIVED = auto()  # of transfers to a blocked device's sinks
    WEIGHTS = auto()
    NOISE = auto()


AccountIndex = int | tuple[int | None, int | None, int]
AccountCosts = dict[tuple[CostAccount, AccountIndex], float]


@dataclass(slots=True)
class Program:
    """The program under construction.

    Parameters
    ----------
    x
        Vertex -> option -> variable.
    z
        Flow -> format other than float -> variable, where something quantizes it.
    a
        Flow -> (producer's option, format) -> variable.
    c
        Flow -> consumer -> (its option, format) -> variable.
    g
        Flow -> consumer -> (from device, to device, form) -> variable.
    w
        Flow -> form of the float tensor -> variable, where it has wires.
    spans
        Model -> when its last answer is there, where something speaks of the makespan.
    hosts
        Device -> whether a unit runs there, where that decides what a source or a sink waits for.
    peaks
        (device, model) -> inputs and outputs of its largest unit, where something speaks of memory.
    scale
        What the objective is multiplied with.
    devices_before
        Flow -> (form, link) -> devices before the link, where that says all of its transport (no g then).
    device_order
        Pairs of devices of which the first runs first, as far as that is decided.
    serial
        Devices all of whose work every path waits for.
    """

    problem: PlacementProblem
    lp: pulp.LpProblem
    horizon_s: float
    x: list[list[pulp.LpVariable]] = field(default_factory=list)
    z: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    a: list[dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=list)
    c: list[list[dict[tuple[int, int], pulp.LpVariable]]] = field(default_factory=list)
    g: list[list[TransportVariables]] = field(default_factory=list)
    w: dict[int, dict[int, pulp.LpVariable]] = field(default_factory=dict)
    order: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    accounts: dict[tuple[CostAccount, AccountIndex], Terms] = field(default_factory=lambda: defaultdict(list))
    quantities: dict[Quantity, Terms] = field(default_factory=dict)
    spans: dict[int, pulp.LpVariable] = field(default_factory=dict)
    hosts: dict[int, pulp.LpVariable] = field(default_factory=dict)
    peaks: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    scale: float = 1.0
    device_order: DeviceOrder = frozenset()
    serial: frozenset[int] = frozenset()
    devices_before: list[dict[tuple[int, int], frozenset[int]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, constraint: pulp.LpConstraint) -> None:
        """Add a constraint, named by its family and a number: CBC fails on two equal names."""
        self.counts[name] += 1
        self.lp.addConstraint(constraint, f"{name}_{self.counts[name]}")

    def add_cost(self, variable: pulp.LpVariable, costs: AccountCosts) -> None:
        """Add a variable's cost per unit to each account; zeros are left out."""
        for account, amount in costs.items():
            if amount:
                self.accounts[account].append((variable, amount))

    def variable(self, name: str, *, upper: float | None = None) -> pulp.LpVariable:
        """Add a continuous variable >= 0; names are numbered, since pulp merges some characters."""
        return self.lp.add_variable(name, lowBound=0, upBound=upper)

    @property
    def without_lanes(self) -> bool:
        """Whether no rule speaks of a tensor's way from device to device: stages have no order, nor times."""
        return not all(device.contiguous for device in self.problem.devices) and not self.uses(
            CostMetric.MAKESPAN
        )

    def options(self, vertex: int) -> Iterator[tuple[pulp.LpVariable, Option]]:
        """Return (variable, option) of each of a vertex's options."""
        return zip(self.x[vertex], self.problem.vertices[vertex].options, strict=True)

    def uses(self, metric: CostMetric) -> bool:
        """Return whether a limit or the objective speaks of a metric."""
        return any(quantity.metric is metric for quantity in self.problem.quantities)


def variable_names(variables: Iterable[pulp.LpVariable]) -> frozenset[str]:
    """Return what tells sets of variables apart; `==` of pulp's variables makes a constraint."""
    return frozenset(variable.name for variable in variables)


def runs_before(program: Program, a: int, b: int) -> pulp.LpAffineExpression:
    """Return what is 1 if device a runs before b, else 0."""
    return program.order[a, b] + 0 if a < b else 1 - program.order[b, a]


def crossings(program: Program) -> Iterator[dict[tuple[int, int], list[pulp.LpVariable]]]:
    """Yield for each edge between units: (from device, to device) -> its transport variables in any form."""
    vertices = program.problem.vertices
    for flow, edges in zip(program.problem.flows, program.g, strict=True):
        for vertex, transports in zip(flow.consumers, edges, strict=True):
            if vertices[flow.producer].is_terminal or vertices[vertex].is_terminal:
                continue
            by_devices = defaultdict(list)
            for (a, b, _), variable in transports.items():
                if a != b:
                    by_devices[a, b].append(variable)
            yield by_devices


def readable_formats(problem: PlacementProblem, flow: Flow, vertex: int, option: Option) -> Iterable[int]:
    """Return the formats that a tensor can have if one of its vertices takes an option."""
    if option.quantized and vertex in flow.quantizers:
        return problem.formats[option.format].accepts
    return flow.formats


def options_with_format(program: Program, vertex: int, requested: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that ask for a format."""
    return [x for x, option in program.options(vertex) if option.format == requested]


def on_device(program: Program, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device."""
    return [x for x, option in program.options(vertex) if option.device == device]


def on_physical_device(program: Program, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device in any of its visits."""
    return [
        x for x, option in program.options(vertex) if program.problem.physical_device(option.device) == device
    ]


def variables_in_format(
    program: Program,
    vertex: int,
    with_formats: Mapping[tuple[int, int], pulp.LpVariable],
    tensor_format: int,
    devices: frozenset[int],
) -> list[pulp.LpVariable]:
    """Return what makes or reads a tensor in a format on some devices."""
    options = program.problem.vertices[vertex].options
    return [x for (o, k), x in with_formats.items() if k == tensor_format and options[o].device in devices]


def physical_devices(problem: PlacementProblem) -> list[int]:
    """Return the devices, further visits left out."""
    return [d for d in range(len(problem.devices)) if problem.physical_device(d) == d]


def host_of(program: Program, device: int) -> pulp.LpVariable:
    """Return h[d], which may be 1 if a unit runs on the device."""
    if device in program.hosts:
        return program.hosts[device]
    host = program.hosts[device] = program.variable(f"h_{device}", upper=1)
    vertices = program.problem.vertices
    here = [
        x
        for v, vertex in enumerate(vertices)
        for x, option in program.options(v)
        if option.device == device and not vertex.is_terminal
    ]
    program.add("lone", host <= pulp.lpSum(here))
    return host


def add_shared_cost(
    program: Program, name: str, uses_by_consumer: Iterable[list[pulp.LpVariable]], costs: AccountCosts
) -> None:
    """Pay costs once if any consumer uses one of its variables: s >= sum of them, for each consumer.

    With one consumer its variables bear the costs themselves, and no s is needed.

    Parameters
    ----------
    uses_by_consumer
        Consumer -> variables, at most one of which is 1.
    """
    nonempty = [uses for uses in uses_by_consumer if uses]
    if not nonempty or not any(costs.values()):
        return
    if len(nonempty) == 1:
        for variable in nonempty[0]:
            program.add_cost(variable, costs)
        return
    paid = program.variable(f"s_{name}")
    program.add_cost(paid, costs)
    for uses in nonempty:
        program.add("pay", pulp.lpSum(uses) <= paid)


def sum_of(terms: Iterable[tuple[pulp.LpVariable, float]]) -> pulp.LpAffineExpression:
    """Return the sum of terms, those of one variable as one."""
    factors: dict[pulp.LpVariable, float] = {}
    for variable, factor in terms:
        if factor:
            factors[variable] = factors.get(variable, 0.0) + factor
    return pulp.LpAffineExpression(factors)


def account_seconds(program: Program, account: CostAccount, device: int) -> pulp.LpAffineExpression:
    """Return what a device takes by an account."""
    return sum_of(program.accounts[account, device])
