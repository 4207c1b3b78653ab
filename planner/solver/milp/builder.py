"""The integer program under construction: variables, constraints, and the accounts in which costs add up.

Symbols (README, "Formulation"): x choice of an option, a an option beside its tensor's format, g transport of
a tensor from device to device in a form, c a consumer's option beside the format it reads, z format of a
tensor, w its wire, s a payment shared by a tensor's consumers, b order of devices, l a device left behind.
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

Terms = list[tuple[pulp.LpVariable, float]]
Lanes = dict[tuple[int, int, int], pulp.LpVariable]  # from device, to device, form
MICRO = 1e6  # seconds of stages and loads are counted so inside


class CostAccount(Enum):
    """Where costs add up, with an index: of a device, a link, a pair of stages, or none."""

    BUSY = auto()
    LINK = auto()
    TRAFFIC = auto()
    JOULES = auto()
    LOAD = auto()  # of transfers, on devices that these block
    BETWEEN = auto()  # seconds from stage to stage
    WEIGHTS = auto()
    NOISE = auto()


Place = int | tuple[int | None, int | None] | None
Charges = dict[tuple[CostAccount, Place], float]


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
        Flow -> consumer -> lanes.
    w
        Flow -> form of the float tensor -> variable, where it has wires.
    scale
        What the objective is multiplied with.
    sides
        Flow -> (form, link) -> devices before the link, where that says all of its transport.
    known
        (a, b) with a < b -> whether device a runs first, where that is known.
    """

    problem: PlacementProblem
    lp: pulp.LpProblem
    horizon_s: float
    x: list[list[pulp.LpVariable]] = field(default_factory=list)
    z: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    a: list[dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=list)
    c: list[list[dict[tuple[int, int], pulp.LpVariable]]] = field(default_factory=list)
    g: list[list[Lanes]] = field(default_factory=list)
    w: dict[int, dict[int, pulp.LpVariable]] = field(default_factory=dict)
    order: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    accounts: dict[tuple[CostAccount, Place], Terms] = field(default_factory=lambda: defaultdict(list))
    quantities: dict[Quantity, Terms] = field(default_factory=dict)
    scale: float = MICRO
    known: Mapping[tuple[int, int], bool] = field(default_factory=dict)
    sides: list[dict[tuple[int, int], frozenset[int]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, constraint: pulp.LpConstraint) -> None:
        """Add a named constraint."""
        self.counts[name] += 1
        self.lp.addConstraint(constraint, f"{name}_{self.counts[name]}")

    def add_cost(self, variable: pulp.LpVariable, charges: Charges) -> None:
        """Let a variable cost."""
        for account, amount in charges.items():
            if amount:
                self.accounts[account].append((variable, amount))

    def variable(self, name: str, *, upper: float | None = None) -> pulp.LpVariable:
        """Add a continuous variable >= 0; names are numbered, since pulp merges some characters."""
        return self.lp.add_variable(name, lowBound=0, upBound=upper)

    @property
    def on_trees(self) -> bool:
        """Whether no rule speaks of lanes from device to device: stages have no order of lanes, nor times."""
        return not all(device.contiguous for device in self.problem.devices)

    def options(self, vertex: int) -> Iterator[tuple[pulp.LpVariable, Option]]:
        """Return a vertex's choices."""
        return zip(self.x[vertex], self.problem.vertices[vertex].options, strict=True)

    def uses(self, measure: CostMetric) -> bool:
        """Return whether a limit or the objective speaks of a measure."""
        return any(quantity.metric is measure for quantity in self.problem.quantities)


def names_of(variables: Iterable[pulp.LpVariable]) -> frozenset[str]:
    """Return what tells sets of variables apart; `==` of pulp's variables makes a constraint."""
    return frozenset(variable.name for variable in variables)


def runs_before(program: Program, a: int, b: int) -> pulp.LpAffineExpression:
    """Return what is 1 if device a runs before b, else 0."""
    return program.order[a, b] + 0 if a < b else 1 - program.order[b, a]


def crossings(program: Program) -> Iterator[dict[tuple[int, int], list[pulp.LpVariable]]]:
    """Yield per edge between units: pair of devices -> lanes."""
    vertices = program.problem.vertices
    for flow, edges in zip(program.problem.flows, program.g, strict=True):
        for vertex, lanes in zip(flow.consumers, edges, strict=True):
            if vertices[flow.producer].is_terminal or vertices[vertex].is_terminal:
                continue
            row = defaultdict(list)
            for (a, b, _), variable in lanes.items():
                if a != b:
                    row[a, b].append(variable)
            yield row


def readable_formats(problem: PlacementProblem, flow: Flow, vertex: int, option: Option) -> Iterable[int]:
    """Return the formats that the tensor can have beside an option of one of its vertices."""
    if option.quantized and vertex in flow.quantizers:
        return problem.formats[option.format].accepts
    return flow.formats


def options_with_format(program: Program, vertex: int, kind: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that ask for a format."""
    return [x for x, option in program.options(vertex) if option.format == kind]


def on_device(program: Program, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device."""
    return [x for x, option in program.options(vertex) if option.device == device]


def on_physical_device(program: Program, vertex: int, home: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device in any of its visits."""
    return [
        x for x, option in program.options(vertex) if program.problem.physical_device(option.device) == home
    ]


def homes(problem: PlacementProblem) -> list[int]:
    """Return the devices, further visits left out."""
    return [d for d in range(len(problem.devices)) if problem.physical_device(d) == d]


def add_shared_cost(
    program: Program, name: str, lanes: Iterable[list[pulp.LpVariable]], charges: Charges
) -> None:
    """Charge once if any consumer uses one of its lanes."""
    used = [lane for lane in lanes if lane]
    if not used or not any(charges.values()):
        return
    if len(used) == 1:
        for variable in used[0]:
            program.add_cost(variable, charges)
        return
    paid = program.variable(f"s_{name}")
    program.add_cost(paid, charges)
    for lane in used:
        program.add("pay", pulp.lpSum(lane) <= paid)


def sum_of(terms: Iterable[tuple[pulp.LpVariable, float]]) -> pulp.LpAffineExpression:
    """Return the sum of terms, those of one variable as one."""
    total: dict[pulp.LpVariable, float] = {}
    for variable, factor in terms:
        if factor:
            total[variable] = total.get(variable, 0.0) + factor
    return pulp.LpAffineExpression(total)
