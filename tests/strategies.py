"""Hypothesis strategies for small placement problems."""

from dataclasses import replace

from hypothesis import strategies as st

from planner.problem import Energy, Flow, Option, PlacementProblem, Vertex, Weights

# Multiples of a step, so that sums meet budgets exactly or miss them clearly.
_MILLI = st.integers(0, 40).map(lambda n: n / 1e4)
_NOISE = st.integers(0, 9).map(lambda n: n / 1e3)
_BYTES = st.integers(0, 9)
_RARELY = st.integers(0, 4).map(lambda n: n == 0)


@st.composite
def problems(draw, max_units: int = 6, max_devices: int = 3) -> PlacementProblem:
    devices = draw(st.integers(1, max_devices))
    units = draw(st.integers(1, max_units))
    if units > 4:
        devices = min(devices, 2)  # at most 4096 assignments to enumerate
    kinds = [0] * devices if draw(st.booleans()) else [draw(st.integers(0, 1)) for _ in range(devices)]
    vertices = [
        Vertex(
            f"u{i}",
            tuple(draw(_options(kinds))),
            absorbed=draw(st.booleans()),
            within=tuple({draw(st.integers(0, units + 1)) for _ in range(2)} - {i}) if draw(_RARELY) else (),
        )
        for i in range(units)
    ] + [
        Vertex(name, (Option(draw(st.integers(0, devices - 1)), int8=False),), fixed=True)
        for name in ("source", "sink")
    ]
    readers = draw(_readers(units))
    flows = [draw(_flow(p, tuple(sorted(c)), devices, units)) for p, c in sorted(readers.items())]
    if draw(st.booleans()):
        flows = [replace(f, leave_s=draw(_seams(devices)), enter_s=draw(_seams(devices))) for f in flows]
    energy, weights = None, Weights()
    if draw(st.booleans()):
        energy = draw(_energy(devices))
        flows = [replace(f, send_j=draw(_joules(devices))) if draw(st.booleans()) else f for f in flows]
        weights = draw(st.sampled_from([Weights(), Weights(0.0, 1.0), Weights(0.5, 2.0)]))
    return PlacementProblem(
        devices=tuple(f"d{i}" for i in range(devices)),
        vertices=tuple(vertices),
        flows=tuple(flows),
        memory_bytes=tuple(draw(st.none() | st.integers(1, 50)) for _ in range(devices)),
        noise_power=draw(st.none() | st.integers(0, 40).map(lambda n: n / 1e3)),
        energy=energy,
        weights=weights,
        start_s=tuple(draw(_MILLI) for _ in range(devices)) if draw(st.booleans()) else (),
    )


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


@st.composite
def _energy(draw, devices: int) -> Energy:
    idle = [draw(st.integers(0, 2)) for _ in range(devices)]
    return Energy(
        active_w=tuple(float(w + draw(st.integers(0, 3))) for w in idle),
        idle_w=tuple(map(float, idle)),
        # Off the grid of possible sums, which are multiples of 1e-5 J here.
        limits_j=tuple(draw(st.none() | st.integers(1, 400).map(_off_grid)) for _ in range(devices)),
        total_j=draw(st.none() | st.integers(1, 800).map(_off_grid)),
    )


def _seams(devices: int):
    return st.tuples(*(st.tuples(*([_MILLI] * devices)) for _ in range(2)))


def _off_grid(n: int) -> float:
    return (n + 0.3) * 1e-4


@st.composite
def _joules(draw, devices: int):
    def ends(a: int, b: int) -> tuple[float, ...]:
        spent = [0.0] * devices
        if a != b:
            spent[a], spent[b] = (draw(st.integers(0, 20)) / 1e4 for _ in range(2))
        return tuple(spent)

    forms = [tuple(tuple(ends(a, b) for b in range(devices)) for a in range(devices)) for _ in range(2)]
    return tuple(forms)


@st.composite
def _options(draw, kinds: list[int]) -> list[Option]:
    return [
        Option(
            device,
            int8=int8,
            seconds=draw(_MILLI),
            noise_power=draw(_NOISE) if int8 else 0.0,
            weight_bytes=draw(_BYTES),
            activation_bytes=draw(_BYTES),
            kind=kind if int8 else 0,
        )
        for device, kind in enumerate(kinds)
        for int8 in ((False, True) if draw(st.integers(0, 4)) else (False,))
    ]


@st.composite
def _flow(draw, producer: int, consumers: tuple[int, ...], devices: int, units: int) -> Flow:
    raw = producer == units and draw(st.booleans())
    seconds = tuple(
        tuple(
            0.0 if a == b else draw(st.one_of(_MILLI, st.just(float("inf")), _MILLI)) for b in range(devices)
        )
        for a in range(devices)
    )
    quarter = tuple(tuple(x / 4 for x in row) for row in seconds)
    touching = [v for v in (producer, *consumers) if v < units]
    quantizers = tuple(v for v in touching if draw(st.integers(0, 5)))
    return Flow(
        name=f"t{producer}",
        producer=producer,
        consumers=consumers,
        quantizers=quantizers,
        noise_power=(draw(_NOISE), draw(_NOISE)),
        send_s=(seconds, seconds if raw else quarter),
        quantize_s=tuple(draw(_MILLI) for _ in range(devices)),
        dequantize_s=tuple(draw(_MILLI) for _ in range(devices)),
        converts_at_consumer=raw,
        inherits=producer in quantizers and draw(st.booleans()),
    )
