"""Hypothesis strategies for small placement problems."""

from dataclasses import dataclass, replace

import networkx as nx
from hypothesis import strategies as st

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.several_models import JointProblem, ModelPart, join_models
from planner.problem.tensors import Flow, Format, WireForm
from planner.problem.units import Option, Vertex

# Multiples of a step, so that sums meet budgets exactly or miss them clearly.
_MILLI = st.integers(0, 40).map(lambda n: n / 1e4)
_NOISE = st.integers(0, 9).map(lambda n: n / 1e3)
_BYTES = st.integers(0, 9)
_RARELY = st.integers(0, 4).map(lambda n: n == 0)
# Two integer kinds that no tensor can have both, and a finer one that puts up with either.
_FORMATS = (
    Format("float"),
    Format("uint8", (1,)),
    Format("int8", (2,)),
    Format("uint16", (1, 2, 3), has_integer_kernel=False),
)


@dataclass(frozen=True)
class Places:
    """Where units can be: device -> the quantized formats of its options."""

    devices: list[Device]
    kinds: list[tuple[int, ...]]
    links: list[Link]
    formats: tuple[Format, ...]

    @property
    def quantities(self) -> list[Quantity]:
        spans = all(device.contiguous or not device.start_s for device in self.devices)
        return _quantities(self.devices, self.links, spans=spans)


@st.composite
def problems(draw, max_units: int = 6, max_devices: int = 3, extras: bool = True) -> PlacementProblem:
    """Problems of few enough choices to enumerate.

    Parameters
    ----------
    extras
        Whether devices may be visited again, and tensors have wires.
    """
    units = draw(st.integers(1, max_units))
    places = draw(_places(units, max_devices, extras))
    problem = draw(_placed(places, units, extras and units <= 3))
    limits = tuple(
        draw(_limit(draw(st.sampled_from(places.quantities)))) for _ in range(draw(st.integers(0, 4)))
    )
    return replace(problem, limits=limits, objective=tuple(draw(_objective(places.quantities))))


@st.composite
def joint_problems(draw, max_units: int = 3, max_devices: int = 2) -> JointProblem:
    """Two models on the same devices, few enough choices to enumerate."""
    places = draw(_places(max_units, max_devices, True))
    share = draw(st.sampled_from([0.5, 0.25, 0.875]))
    shared = [quantity for quantity in places.quantities if not quantity.is_of_models]
    own = [quantity for quantity in places.quantities if quantity.is_of_models]
    parts = []
    for name, part_share in (("a", share), ("b", 1 - share)):
        problem = draw(_placed(places, draw(st.integers(1, max_units)), False))
        # A device that may be returned to has no start where makespans count: `quantities` knows which.
        starts = [
            replace(device, start_s=draw(_MILLI)) if device.contiguous or device.start_s else device
            for device in problem.devices
        ]
        limits = [draw(_limit(draw(st.sampled_from(own)))) for _ in range(draw(st.integers(0, 2)))]
        problem = replace(problem, devices=tuple(starts), limits=tuple(limits))
        parts.append(ModelPart(name, part_share, problem))
    limits = [draw(_limit(draw(st.sampled_from(shared)))) for _ in range(draw(st.integers(0, 3)))]
    of_one = [replace(quantity, model=model) for quantity in own for model in range(2)]
    objective = draw(_objective([*places.quantities, *of_one]))
    joint = join_models(parts, limits, objective)
    if draw(_RARELY):  # units of different models, by a rule
        pair = (0, len(parts[0].problem.vertices))
        rule = draw(st.sampled_from(["together", "apart"]))
        changed = {rule: (*getattr(joint.problem, rule), pair)}
        joint = replace(joint, problem=replace(joint.problem, **changed))
    return joint


@st.composite
def _places(draw, units: int, max_devices: int, extras: bool) -> Places:
    count = draw(st.integers(1, max_devices))
    if units > 4:
        count = min(count, 2)  # at most 4096 assignments to enumerate
    formats = _FORMATS[: draw(st.integers(2, 4))]
    kinds = [(draw(st.integers(1, len(formats) - 1)),) for _ in range(count)]
    if units < 4 and len(formats) == len(_FORMATS) and draw(st.booleans()):  # int8 and int16 side by side
        kinds = [tuple({*own, len(formats) - 1}) for own in kinds]
    devices = [draw(_device(d)) for d in range(count)]
    if extras and units < 4 and count < 3 and draw(_RARELY):
        devices = [replace(device, contiguous=True) for device in devices]
        devices.append(replace(devices[0], name="d0 again", visit_of=0))
        kinds.append(kinds[0])
    elif extras and draw(_RARELY):
        start_s = draw(st.sampled_from([0.0, devices[0].start_s]))
        devices[0] = replace(devices[0], contiguous=False, start_s=start_s)
    links = [Link(f"{a}-{b}", a, b, draw(st.integers(0, 3)) / 1e3) for a, b in draw(_pairs(devices))]
    return Places(devices, kinds, links, formats)


@st.composite
def _placed(draw, places: Places, units: int, wires: bool) -> PlacementProblem:
    """Draw a network on some devices, without limits."""
    devices, links, formats = places.devices, places.links, places.formats
    homes = [d for d, device in enumerate(devices) if device.visit_of is None]
    vertices = [
        Vertex(
            f"u{i}",
            tuple(draw(_options(places.kinds))),
            kernel_forced=draw(st.booleans()),
            coupled_with=tuple({draw(st.integers(0, units + 1)) for _ in range(2)} - {i})
            if draw(_RARELY)
            else (),
        )
        for i in range(units)
    ] + [
        Vertex(name, (Option(draw(st.sampled_from(homes))),), is_terminal=True) for name in ("source", "sink")
    ]
    readers = draw(_readers(units))
    flows = [
        draw(_flow(p, tuple(sorted(c)), devices, links, len(formats), units, wires))
        for p, c in sorted(readers.items())
    ]
    if draw(st.booleans()):
        seams = [draw(_table(len(devices), len(formats))) for _ in range(2)]
        flows = [replace(f, leave_s=seams[0], enter_s=seams[1]) for f in flows]
    groups = units > 1 and draw(_RARELY)
    pairs = units > 2 and draw(_RARELY)
    return PlacementProblem(
        devices=tuple(devices),
        vertices=tuple(vertices),
        flows=tuple(flows),
        links=tuple(links),
        formats=formats,
        together=((0, units - 1),) if groups else (),
        apart=((0, 1),) if pairs else (),
    )


@st.composite
def _device(draw, number: int) -> Device:
    idle = draw(st.integers(0, 2))
    return Device(
        f"d{number}",
        start_s=draw(_MILLI),
        active_w=float(idle + draw(st.integers(0, 3))),
        idle_w=float(idle),
        price_per_s=float(draw(st.integers(0, 3))),
        transfers_block=draw(st.booleans()),
    )


@st.composite
def _pairs(draw, devices) -> list[tuple[int, int]]:
    homes = [d for d, device in enumerate(devices) if device.visit_of is None]
    return [(a, b) for a in homes for b in homes if a != b and draw(st.integers(0, 3))]


def _quantities(devices, links, *, spans: bool) -> list[Quantity]:
    whole = [m for m in CostMetric if m is not CostMetric.MEMORY and (spans or m is not CostMetric.MAKESPAN)]
    homes = [d for d, device in enumerate(devices) if device.visit_of is None]
    return [
        *(Quantity(measure) for measure in whole),
        *(Quantity(measure, d) for measure in (CostMetric.MEMORY, CostMetric.ENERGY) for d in homes),
        *(Quantity(CostMetric.TRAFFIC, at) for at in range(len(links))),
    ]


@st.composite
def _limit(draw, quantity: Quantity) -> Limit:
    if quantity.metric in (CostMetric.MEMORY, CostMetric.TRAFFIC):
        return Limit(quantity, draw(st.integers(0, 50)))
    if quantity.metric is CostMetric.NOISE:
        return Limit(quantity, draw(st.integers(0, 40)) / 1e3)
    # Off the grid of possible sums, which are multiples of 1e-5 here.
    return Limit(quantity, (draw(st.integers(1, 600)) + 0.3) * 1e-4)


@st.composite
def _objective(draw, quantities: list[Quantity]) -> list[ObjectiveTerm]:
    if draw(st.booleans()):
        return [ObjectiveTerm(Quantity(CostMetric.LATENCY))]
    chosen = draw(st.lists(st.sampled_from(quantities), min_size=1, max_size=2, unique=True))
    return [ObjectiveTerm(quantity, draw(st.sampled_from([0.5, 1.0, 2.0]))) for quantity in chosen]


@st.composite
def _readers(draw, units: int) -> dict[int, set[int]]:
    source, sink = units, units + 1
    readers: dict[int, set[int]] = {source: {0}}
    for i in range(1, units):
        for producer in draw(st.sets(st.integers(0, i - 1), min_size=1, max_size=2)):
            readers.setdefault(producer, set()).add(i)
    if units > 1 and draw(st.booleans()):
        readers[source].add(units - 1)
    for i in range(units):
        if i not in readers or draw(st.integers(0, 4)) == 0:
            readers.setdefault(i, set()).add(sink)
    return readers


def _row(count: int):
    return st.tuples(*([_MILLI] * count))


def _table(count: int, formats: int):
    return st.tuples(*([_row(count)] * formats))


@st.composite
def _options(draw, kinds: list[tuple[int, ...]]) -> list[Option]:
    return [
        Option(
            device,
            kind,
            seconds=draw(_MILLI),
            noise_power=draw(_NOISE) if kind else 0.0,
            weight_bytes=draw(_BYTES),
            activation_bytes=draw(_BYTES),
            joules=draw(st.integers(0, 3)) / 1e3,
            precision=f"p{kind}",
        )
        for device, own in enumerate(kinds)
        for kind in ((0, *own) if draw(st.integers(0, 4)) else (0,))
    ]


@st.composite
def form(draw, name: str, kind: int, devices, links, seconds, *, convert: bool) -> WireForm:
    """A form of a tensor over the given links."""
    count = len(devices)
    return WireForm(
        name,
        kind,
        size_bytes=draw(_BYTES),
        link_s=tuple(seconds),
        routes=_routes(devices, links, seconds),
        link_j=tuple((draw(_BYTES) / 1e4, draw(_BYTES) / 1e4) for _ in links) if draw(_RARELY) else (),
        encode_s=draw(_row(count)) if convert else (),
        decode_s=draw(_row(count)) if convert else (),
        noise_power=draw(_NOISE) if convert else 0.0,
    )


def _routes(devices, links, seconds):
    """Return shortest ways over links; visits of one device are at the same place."""
    graph = nx.DiGraph()
    graph.add_nodes_from(d for d, device in enumerate(devices) if device.visit_of is None)
    for at, link in enumerate(links):
        graph.add_edge(link.source, link.target, weight=seconds[at] + 1e-9, at=at)

    def way(a: int, b: int):
        a, b = (devices[d].visit_of if devices[d].visit_of is not None else d for d in (a, b))
        paths = nx.single_source_dijkstra_path(graph, a)
        if b not in paths:
            return None
        return tuple(graph.edges[pair]["at"] for pair in nx.utils.pairwise(paths[b]))

    every = range(len(devices))
    return tuple(tuple(way(a, b) for b in every) for a in every)


@st.composite
def _flow(draw, producer, consumers, devices, links, formats, units, wires) -> Flow:
    raw = producer == units and draw(st.booleans())
    seconds = [draw(_MILLI) for _ in links]
    quarter = [x / 4 for x in seconds]
    touching = [v for v in (producer, *consumers) if v < units]
    quantizers = tuple(v for v in touching if draw(st.integers(0, 5)))
    forms = [draw(form("float", 0, devices, links, seconds, convert=False))]
    if quantizers:
        for kind in range(1, formats):
            spent = seconds if raw else quarter
            forms.append(draw(form(f"q{kind}", kind, devices, links, spent, convert=False)))
    extra = wires and not raw and draw(_RARELY)
    noise = (0.0, *(draw(_NOISE) for _ in range(1, formats))) if quantizers else (0.0,)
    if extra:
        forms.append(draw(form("half", 0, devices, links, quarter, convert=True)))
    count = len(devices)
    return Flow(
        name=f"t{producer}",
        producer=producer,
        consumers=consumers,
        forms=tuple(forms),
        quantizers=quantizers,
        noise_power=noise,
        quantize_s=draw(_table(count, formats)) if quantizers else (),
        dequantize_s=draw(_table(count, formats)) if quantizers else (),
        converts_at_consumer=raw,
        inherits=producer in quantizers and draw(st.booleans()),
    )
