"""Small placement problems by hand: one with every budget, and some that a solver got wrong."""

from math import inf, isfinite

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex

LATENCY, ENERGY, NOISE = (Quantity(m) for m in (CostMetric.LATENCY, CostMetric.ENERGY, CostMetric.NOISE))


def mesh(count: int) -> tuple[Link, ...]:
    """Return a link from every device to every other one."""
    return tuple(Link(f"{a}-{b}", a, b) for a in range(count) for b in range(count) if a != b)


def direct(name: str, kind: int, seconds, joules=None, size: int = 0) -> WireForm:
    """Return a form that crosses the links of a mesh directly.

    Parameters
    ----------
    seconds
        From device -> to device -> seconds, infinite without a way.
    joules
        From device -> to device -> joules of both.
    """
    every = range(len(seconds))
    links = mesh(len(seconds))
    at = {(link.source, link.target): number for number, link in enumerate(links)}
    return WireForm(
        name,
        kind,
        size,
        link_s=tuple(
            seconds[x.source][x.target] if isfinite(seconds[x.source][x.target]) else 0 for x in links
        ),
        routes=tuple(
            tuple(() if a == b else (at[a, b],) if isfinite(seconds[a][b]) else None for b in every)
            for a in every
        ),
        link_j=() if joules is None else tuple(joules[x.source][x.target] for x in links),
    )


def forms(seconds, other, joules=(None, None)) -> tuple[WireForm, WireForm]:
    """Return the float and the uint8 form of a tensor."""
    return direct("float", 0, seconds, joules[0], size=4), direct("uint8", 1, other, joules[1], size=1)


def small_problem() -> PlacementProblem:
    """Three units that share a tensor, three devices, every limit set."""
    options = tuple(
        Option(d, q, 0.004 / (d + 1) / (1 + q), 0.01 * q, 8 - 4 * q, 6 - 3 * q, "int8" if q else "fp32")
        for d in range(3)
        for q in (0, 1)
    )
    seconds = tuple(tuple(0.0 if a == b else 0.001 * (a + b) for b in range(3)) for a in range(3))
    quarter = tuple(tuple(x / 4 for x in row) for row in seconds)
    pairs = tuple(tuple((0.001, 0.001) for _ in range(3)) for _ in range(3))
    zero = (0.0,) * 3
    switches = {
        "quantize_s": (zero, (0.0004, 0.0002, 0.0001)),
        "dequantize_s": (zero, (0.0002, 0.0001, 0.0001)),
    }
    seams = {"leave_s": ((1e-4,) * 3, (2e-4,) * 3), "enter_s": ((3e-4,) * 3, (4e-4,) * 3)}
    half = WireForm(
        "float16",
        0,
        2,
        link_s=forms(quarter, quarter)[0].link_s,
        routes=forms(quarter, quarter)[0].routes,
        encode_s=(1e-4,) * 3,
        decode_s=(2e-4,) * 3,
        noise_power=0.0005,
    )
    flows = (
        Flow(
            "in", 3, (0,), forms(seconds, seconds), (0,), (0.0, 0.002),
            converts_at_consumer=True, **switches,
        ),
        Flow(
            "a", 0, (1, 2), (*forms(seconds, quarter, (pairs, pairs)), half), (0, 1, 2), (0.0, 0.003),
            **switches, **seams,
        ),
        Flow("b", 1, (2, 4), forms(seconds, quarter), (1, 2), (0.0, 0.001), inherits=True, **switches),
        Flow("c", 2, (4,), forms(seconds, seconds)[:1]),
    )  # fmt: skip
    units = tuple(
        Vertex(f"u{i}", options, kernel_forced=i == 1, coupled_with=(0, 1) if i == 2 else ())
        for i in range(3)
    )
    ends = tuple(Vertex(n, (Option(0),), is_terminal=True) for n in ("source", "sink"))
    return PlacementProblem(
        (
            Device("a", 1e-5, 3.0, 0.5, 0.1),
            Device("b", 2e-5, 5.0, 0.0, 0.2, transfers_block=True),
            Device("c", 3e-5, 9.0, 2.0, 0.3),
        ),
        (*units, *ends),
        flows,
        mesh(3),
        limits=(
            Limit(Quantity(CostMetric.MEMORY, 0), 20),
            Limit(Quantity(CostMetric.MEMORY, 2), 40),
            Limit(NOISE, 0.02),
            Limit(LATENCY, 0.05),
            Limit(Quantity(CostMetric.MAKESPAN), 0.05),
            Limit(Quantity(CostMetric.PERIOD), 0.04),
            Limit(Quantity(CostMetric.ENERGY, 0), 0.1),
            Limit(Quantity(CostMetric.ENERGY, 2), 0.4),
            Limit(ENERGY, 0.6),
            Limit(Quantity(CostMetric.TRAFFIC, 1), 30),
            Limit(Quantity(CostMetric.MONEY), 0.03),
        ),
        together=((0, 1),),
        apart=((1, 4),),
    )


def two_devices_with_one_to_return_to() -> PlacementProblem:
    """A chain of three units on two devices, of which the second need not be convex."""
    options = (Option(0, seconds=0.002), Option(1, seconds=0.001))
    steps = ((0.0, 1e-4), (1e-4, 0.0))
    ends = tuple(Vertex(n, (Option(0),), is_terminal=True) for n in ("source", "sink"))
    flows = [Flow(f"t{i}", i, (i + 1,), (direct("float", 0, steps, size=1),)) for i in range(2)]
    return PlacementProblem(
        (Device("a"), Device("b", contiguous=False)),
        (*(Vertex(f"u{i}", options) for i in range(3)), *ends),
        (
            Flow("in", 3, (0,), (direct("float", 0, steps),)),
            *flows,
            Flow("out", 2, (4,), (direct("float", 0, steps),)),
        ),
        mesh(2),
    )


def one_unit_away(half_s: float) -> PlacementProblem:
    """A unit that a second device runs in 0.2 s instead of 10, a second from its input in float.

    Parameters
    ----------
    half_s
        What the input takes on the link in float16, which costs nothing else.
    """
    way = lambda seconds: ((0.0, seconds), (seconds, 0.0))  # noqa: E731
    ends = (Vertex("source", (Option(0),), is_terminal=True), Vertex("sink", (Option(1),), is_terminal=True))
    crossing = (direct("float", 0, way(1.0), size=4), direct("float16", 0, way(half_s), size=2))
    unit = Vertex("u0", (Option(0, seconds=10.0), Option(1, seconds=0.2)))
    flows = (Flow("in", 1, (0,), crossing), Flow("out", 0, (2,), (direct("float", 0, way(1.0)),)))
    return PlacementProblem((Device("d0"), Device("d1")), (unit, *ends), flows, mesh(2))


def _options(*rows) -> tuple[Option, ...]:
    return tuple(Option(d, q, s, n, w, a) for d, q, s, n, w, a in rows)


def _flow(name, producer, consumers, quantizers, noise, send, send_j, quantize, dequantize, **more) -> Flow:
    return Flow(
        name, producer, consumers, forms(*send, send_j), quantizers, (0.0, noise),
        ((0.0, 0.0), quantize), ((0.0, 0.0), dequantize), **more,
    )  # fmt: skip


# HiGHS 1.12 to 1.15 runs for ever in presolve on this one, and calls some of its neighbours infeasible.
ENDLESS_PRESOLVE = PlacementProblem(
    devices=(Device("d0", active_w=5.0, idle_w=2.0), Device("d1", active_w=3.0)),
    vertices=(
        Vertex("u0", _options((0, 0, 0.0019, 0, 2, 8), (0, 1, 0.0, 0.007, 2, 9), (1, 0, 0.0003, 0, 0, 3))),
        Vertex("u1", _options((0, 0, 0.0033, 0, 7, 9), (1, 0, 0.0013, 0, 5, 8), (1, 1, 0.0028, 0.001, 7, 9))),
        Vertex("u2", _options((0, 0, 0.0027, 0, 8, 4), (0, 1, 0.002, 0.008, 6, 0), (1, 0, 0.0, 0, 4, 2))),
        Vertex("source", (Option(0),), is_terminal=True),
        Vertex("sink", (Option(0),), is_terminal=True),
    ),
    flows=(
        _flow(
            "t0", 0, (1, 2), (1,), 0.004, (((0, inf), (0.0027, 0)), ((0, inf), (0.000675, 0))), (None, None),
            (0.003, 0.0039), (0.0014, 0.0007),
        ),
        _flow(
            "t1", 1, (2,), (1, 2), 0.008, (((0, 0.0015), (0.0014, 0)), ((0, 0.000375), (0.00035, 0))),
            (((0, (0.0006, 0.0007)), ((0.0004, 0.002), 0)), ((0, (0.0004, 0.0014)), ((0.0016, 0.0004), 0))),
            (0.0012, 0.0007), (0.0022, 0.0005), inherits=True,
        ),
        _flow(
            "t2", 2, (4,), (2,), 0.009, (((0, inf), (0, 0)), ((0, inf), (0, 0))),
            (((0, (0, 0.0015)), ((0.0004, 0.0011), 0)), ((0, (0.0007, 0.001)), ((0.0003, 0.0018), 0))),
            (0.0013, 0.0033), (0.0035, 0.0017),
        ),
        _flow(
            "t3", 3, (0,), (0,), 0.007, (((0, 0.0019), (0.0003, 0)), ((0, 0.000475), (7.5e-05, 0))),
            (((0, (0.0002, 0)), ((0.0018, 0.0016), 0)), ((0, (0.0012, 0.0001)), ((0.0004, 0.0003), 0))),
            (0.0008, 0.0028), (0.0012, 0.0003),
        ),
    ),
    links=mesh(2),
    limits=(
        Limit(Quantity(CostMetric.MEMORY, 0), 38),
        Limit(NOISE, 0.009),
        Limit(Quantity(CostMetric.ENERGY, 1), 0.02163),
        Limit(ENERGY, 0.02903),
    ),
    objective=(ObjectiveTerm(LATENCY, 0.5), ObjectiveTerm(ENERGY, 2.0)),
)  # fmt: skip


def problem_that_cbc_misjudges() -> PlacementProblem:
    """An infeasible problem that CBC 2.10.3 calls solved."""

    def unit(name, *options):
        return Vertex(name, tuple(Option(d, weight_bytes=w, activation_bytes=a) for d, w, a in options))

    def flow(producer, consumers, *rows):
        return Flow("t", producer, consumers, (direct("float", 0, rows),))

    return PlacementProblem(
        (Device("d0"), Device("d1"), Device("d2")),
        (
            unit("u0", (0, 0, 0), (1, 0, 0), (2, 0, 0)),
            unit("u1", (0, 1, 2), (1, 0, 0), (2, 0, 2)),
            Vertex("source", (Option(0),), is_terminal=True),
            Vertex("sink", (Option(0),), is_terminal=True),
        ),
        (
            flow(0, (1, 3), (0.0, 0.0, 0.0), (inf, 0.0, inf), (inf, inf, 0.0)),
            flow(1, (3,), (0.0, 0.0, 0.0), (inf, 0.0, inf), (0.0, inf, 0.0)),
            flow(2, (0, 1), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (inf, inf, 0.0)),
        ),
        mesh(3),
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), 2), Limit(Quantity(CostMetric.MEMORY, 2), 1)),
    )
