"""Brute force over all choices, written from the formulas of docs/explanation/formulation.md alone.

It shares no code with `planner.problem.cost_evaluation` or `planner.solver.milp.build_program`, so that a
mistake there shows here.
"""

import itertools
import math
from dataclasses import dataclass

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.several_models import JointProblem


@dataclass
class Price:
    """What a choice costs, and which of the rules that are no budgets it breaks."""

    latency: float
    makespan: float
    period: float
    noise: float
    memory: list[float]
    energy: list[float]
    traffic: list[float]
    loads: list[float]  # seconds of each device, then of each link
    money: float
    ordered: bool
    sound: bool
    objective: float = 0.0

    def of(self, quantity) -> float:
        if quantity.metric in (CostMetric.MEMORY, CostMetric.ENERGY, CostMetric.TRAFFIC):
            values = getattr(self, quantity.metric.value)
            return math.fsum(values) if quantity.of is None else values[quantity.of]
        return getattr(self, quantity.metric.value)


def price(problem: PlacementProblem, choice: Choice) -> Price:
    """Return what the formulas say of a choice."""
    pick = [v.options[c] for v, c in zip(problem.vertices, choice.options, strict=True)]
    wires = choice.wires or (0,) * len(problem.flows)
    homes = [d if device.visit_of is None else device.visit_of for d, device in enumerate(problem.devices)]
    every = range(len(problem.devices))
    formats, sound = _formats(problem, pick)
    forms = [wire if wire and kind == 0 else kind for wire, kind in zip(wires, formats, strict=True)]
    busy = _busy(problem, pick, formats, forms)
    carried = _carried(problem, pick, forms)
    lost = _lost(problem, pick, forms)
    on_links = [math.fsum(problem.flows[t].forms[m].link_s[at] for t, m, at in carried if at == link)
                for link in range(len(problem.links))]  # fmt: skip
    latency = math.inf if lost else math.fsum([*busy, *on_links])
    memory, energy, loads = [], [], []
    for d in every:
        here = [o for o in pick if homes[o.device] == d]
        memory.append(
            math.fsum(o.weight_bytes for o in here) + max((o.activation_bytes for o in here), default=0)
        )
        active = math.fsum(busy[e] for e in every if homes[e] == d)
        energy.append(_joules(problem, d, homes, here, active, latency, busy, carried))
        blocked = math.fsum(
            problem.flows[t].forms[m].link_s[at]
            for t, m, at in carried
            for end in (problem.links[at].source, problem.links[at].target)
            if end == d
        )
        loads.append(active + (blocked if problem.devices[d].transfers_block else 0.0))
    traffic = [math.fsum(problem.flows[t].forms[m].size_bytes for t, m, at in carried if at == link)
               for link in range(len(problem.links))]  # fmt: skip
    ordered = _has_order(problem, pick, homes)
    priced = Price(
        latency=latency,
        makespan=_makespan(problem, pick, formats, forms, busy, homes)
        if ordered and not lost and all(d.contiguous or not d.start_s for d in problem.devices)
        else math.inf,
        period=math.inf if lost else max([*loads, *on_links]),
        noise=_noise(problem, pick, formats, forms),
        memory=memory,
        energy=energy,
        traffic=traffic,
        loads=[*loads, *on_links],
        money=math.fsum(
            [
                *(device.price_per_s * b for device, b in zip(problem.devices, busy, strict=True)),
                *(link.price_per_byte * n for link, n in zip(problem.links, traffic, strict=True)),
            ]
        ),
        ordered=ordered,
        sound=sound and not lost and _keeps_rules(problem, pick, formats, homes),
    )
    if not lost:
        priced.objective = math.fsum(term.weight * priced.of(term.quantity) for term in problem.objective)
    else:
        priced.objective = math.inf
    return priced


def _formats(problem, pick) -> tuple[list[int], bool]:
    """Return each tensor's format, and whether each has one."""
    found, sound = [], True
    for t in problem.flows:
        asked = {pick[v].format for v in t.quantizers if pick[v].format}
        fits = [f for f in asked if all(f in problem.formats[g].accepts for g in asked)]
        sound = sound and (bool(fits) or not asked)
        found.append(min(fits) if fits else 0)
    return found, sound


def _readers(t, pick):
    return {pick[v].device for v in t.consumers}


def _busy(problem, pick, formats, forms) -> list[float]:
    """Return seconds per device: units, stages, switches, conversions for links, and seams."""
    busy = [math.fsum(o.seconds for o in pick if o.device == d) for d in range(len(problem.devices))]
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    for d in _stages(problem, pick, formats, forms):
        busy[d] += problem.devices[d].start_s
    for t, f, m in zip(problem.flows, formats, forms, strict=True):
        home = pick[t.producer].device
        for d, seconds in (*_switches(t, f, pick), *_conversions(t, m, pick)):
            busy[d] += seconds
        others = {pick[v].device for v in t.consumers if v in units} - {home}
        if t.producer in units and t.leave_s and others:
            busy[home] += t.leave_s[f][home]
            for d in others:
                busy[d] += t.enter_s[f][d]
    return busy


def _stages(problem, pick, formats, forms) -> set[int]:
    """Return the devices that run something: units, or a change of format at the source or the sink."""
    fixed = [vertex.is_terminal for vertex in problem.vertices]
    found = {pick[v].device for v in range(len(fixed)) if not fixed[v]}
    for t, f, m in zip(problem.flows, formats, forms, strict=True):
        home, wired = pick[t.producer].device, m >= len(t.noise_power)
        sent = (f and not t.converts_at_consumer) or (wired and _readers(t, pick) != {home})
        if fixed[t.producer] and sent:
            found.add(home)
        ends = {pick[v].device for v in t.consumers if fixed[v]}
        found |= ends if f else ends - {home} if wired else set()
    return found


def _switches(t, f, pick):
    if not f:
        return
    if pick[t.producer].format != f:
        for d in _readers(t, pick) if t.converts_at_consumer else {pick[t.producer].device}:
            yield d, t.quantize_s[f][d]
    for d in {pick[v].device for v in t.consumers if pick[v].format != f}:
        yield d, t.dequantize_s[f][d]


def _conversions(t, m, pick):
    home = pick[t.producer].device
    away = _readers(t, pick) - {home}
    if m >= len(t.noise_power) and away:
        yield home, t.forms[m].encode_s[home]
        for d in away:
            yield d, t.forms[m].decode_s[d]


def _carried(problem, pick, forms) -> set[tuple[int, int, int]]:
    """Return (tensor, form, link) of every message."""
    return {
        (t, m, link)
        for t, (flow, m) in enumerate(zip(problem.flows, forms, strict=True))
        for d in _readers(flow, pick)
        for link in flow.forms[m].routes[pick[flow.producer].device][d] or ()
    }


def _lost(problem, pick, forms) -> bool:
    return any(
        flow.forms[m].routes[pick[flow.producer].device][d] is None
        for flow, m in zip(problem.flows, forms, strict=True)
        for d in _readers(flow, pick)
    )


def _noise(problem, pick, formats, forms) -> float:
    noise = math.fsum(o.noise_power for o in pick)
    for t, f, m in zip(problem.flows, formats, forms, strict=True):
        noise += 0 if t.inherits and f and pick[t.producer].format == f else t.noise_power[f]
        if m >= len(t.noise_power) and _readers(t, pick) - {pick[t.producer].device}:
            noise += t.forms[m].noise_power
    return noise


def _joules(problem, d, homes, here, active, latency, busy, carried) -> float:
    if latency == math.inf:
        return math.inf
    if homes[d] != d:
        return 0.0
    joules = math.fsum(o.joules for o in here) + problem.devices[d].idle_w * latency
    for e, seconds in enumerate(busy):
        if homes[e] == d:
            joules += (problem.devices[e].active_w - problem.devices[e].idle_w) * seconds
    for t, m, at in carried:
        pairs = problem.flows[t].forms[m].link_j
        for end, side in ((problem.links[at].source, 0), (problem.links[at].target, 1)):
            if pairs and homes[end] == d:
                joules += pairs[at][side]
    return joules


def _makespan(problem, pick, formats, forms, busy, homes) -> float:
    """Return the longest chain of stages and what lies between them.

    A stage is a device, a unit of a device that is not contiguous, or what is fixed: all of it together, or
    that of one device if transfers block it.
    """
    gaps, transfers = _gaps(problem, pick, formats, forms, homes)

    def end(stage) -> float:
        kind, *of = stage
        begin = [end(a) + gap for (a, b), gap in gaps.items() if b == stage]
        own = transfers.get(("in", stage), 0.0) + transfers.get(("out", stage), 0.0)
        if kind == "device":
            begin += [end(("device", d)) for d in range(of[0]) if homes[d] == homes[of[0]]]
            begin.append(transfers.get(("out", ("source", homes[of[0]])), 0.0))
            own += busy[of[0]]
        elif kind == "unit":
            own += pick[of[0]].seconds
        elif kind == "sink" and own:
            begin += [end(("device", d)) for d in range(len(busy)) if homes[d] == of[0]]
        return max(begin, default=0.0) + own

    stages = {stage for pair in gaps for stage in pair}
    stages |= {("device", d) for d, device in enumerate(problem.devices) if device.contiguous}
    stages |= {_stage(problem, pick, homes, v, "unit") for v in range(len(pick))}
    return max(end(one) for one in stages if one[0] != "unit" or len(one) > 1)


def _stage(problem, pick, homes, v, word):
    device = problem.devices[pick[v].device]
    if problem.vertices[v].is_terminal:
        held = device.transfers_block and device.contiguous and word != "unit"
        return (word, homes[pick[v].device]) if held else (word,)
    return ("device", pick[v].device) if device.contiguous else ("unit", v)


def _gaps(problem, pick, formats, forms, homes):
    """Return (stage, stage) -> seconds between, and (in or out, blocked stage) -> its transfers' seconds."""
    gaps, held, lone = {}, {}, set()
    for number, (t, f, m) in enumerate(zip(problem.flows, formats, forms, strict=True)):
        a, home = _stage(problem, pick, homes, t.producer, "source"), pick[t.producer].device
        pairs = {(_stage(problem, pick, homes, v, "sink"), pick[v].device): v for v in t.consumers}
        for (b, d), v in pairs.items():
            if a == b:
                continue
            route = t.forms[m].routes[home][d]
            sent = {x for x in route if _blocked(problem, home) and problem.links[x].source == homes[home]}
            got = {x for x in route if _blocked(problem, d) and problem.links[x].target == homes[d]}
            held.setdefault(("out", a), set()).update((number, m, x) for x in sent)
            held.setdefault(("in", b), set()).update((number, m, x) for x in got)
            way = math.fsum(t.forms[m].link_s[x] for x in route if x not in sent | got)
            way += _changes_alone(problem, t, f, m, (home, d), (pick[t.producer], pick[v]), (a[0], b[0]))
            here = _idle_changes(problem, pick, t, m, (a[0], b[0]), (home, d))
            way += math.fsum(seconds for _, seconds in here)
            if "unit" in (a[0], b[0]):
                way += math.fsum(problem.devices[end].start_s for end, _ in here)
                gaps[a, b] = max(gaps.get((a, b), 0.0), way)
            else:
                lone |= {(a, b, end) for end, _ in here}
                gaps[a, b] = gaps.get((a, b), 0.0) + way
    for a, b, end in lone:
        gaps[a, b] += problem.devices[end].start_s
    links = [flow.forms for flow in problem.flows]
    return gaps, {key: math.fsum(links[t][m].link_s[x] for t, m, x in row) for key, row in held.items()}


def _blocked(problem, d) -> bool:
    return problem.devices[d].transfers_block and problem.devices[d].contiguous


def _idle_changes(problem, pick, t, m, kinds, ends):
    """Return what a source's or a sink's device changes of a tensor, where it has no unit."""
    running = {o.device for o, v in zip(pick, problem.vertices, strict=True) if not v.is_terminal}
    changes = _changes_at_ends(t, m, kinds[0] == "source", kinds[1] == "sink", *ends)
    return [(d, s) for d, s in changes if d not in running and problem.devices[d].contiguous]


def _changes_alone(problem, t, f, m, ends, options, kinds) -> float:
    """Return seconds of changes of a tensor on devices that are not contiguous: each is a step of its own."""
    (home, d), (made, read) = ends, options
    moves, units = home != d, not {"source", "sink"} & set(kinds)
    wired = m >= len(t.noise_power)
    seconds = 0.0
    if not problem.devices[home].contiguous:
        seconds += t.quantize_s[f][home] if f and made.format != f and not t.converts_at_consumer else 0.0
        seconds += t.leave_s[f][home] if moves and units and t.leave_s else 0.0
        seconds += t.forms[m].encode_s[home] if moves and wired and t.forms[m].encode_s else 0.0
    if not problem.devices[d].contiguous:
        seconds += t.quantize_s[f][d] if f and made.format != f and t.converts_at_consumer else 0.0
        seconds += t.dequantize_s[f][d] if f and read.format != f else 0.0
        seconds += t.enter_s[f][d] if moves and units and t.enter_s else 0.0
        seconds += t.forms[m].decode_s[d] if moves and wired and t.forms[m].decode_s else 0.0
    return seconds


def _changes_at_ends(t, m, from_source, to_sink, home, d):
    if home == d:
        return
    form = t.forms[m]
    if m >= len(t.noise_power):
        if from_source:
            yield home, form.encode_s[home] if form.encode_s else 0.0
        if to_sink:
            yield d, form.decode_s[d] if form.decode_s else 0.0
    elif m:
        if from_source and not t.converts_at_consumer:
            yield home, t.quantize_s[m][home]
        if to_sink:
            yield d, t.dequantize_s[m][d] + (t.quantize_s[m][d] if t.converts_at_consumer else 0.0)


def _keeps_rules(problem, pick, formats, homes) -> bool:
    for v, vertex in enumerate(problem.vertices):
        mine = {f for t, f in zip(problem.flows, formats, strict=True) if v in t.quantizers}
        same = len(mine) == 1 and max(mine) > 0 and problem.formats[max(mine)].has_integer_kernel
        own = pick[v].format
        if same and own != max(mine) and (own or vertex.kernel_forced):
            return False
        if (
            own
            and problem.formats[own].has_integer_kernel
            and any(
                (pick[w].format, pick[w].device) != (pick[v].format, pick[v].device)
                for w in vertex.coupled_with
            )
        ):
            return False
    together = all(len({homes[pick[v].device] for v in group}) == 1 for group in problem.together)
    return together and all(homes[pick[a].device] != homes[pick[b].device] for a, b in problem.apart)


def _has_order(problem, pick, homes) -> bool:
    """Return whether some order of the convex devices suits every path between units."""
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    reach = {
        (t.producer, v) for t in problem.flows for v in t.consumers if t.producer in units and v in units
    }
    for w, u, v in itertools.product(units, repeat=3):
        if (u, w) in reach and (w, v) in reach:
            reach.add((u, v))
    convex = [d for d, device in enumerate(problem.devices) if device.contiguous]
    for u, w, v in itertools.product(units, repeat=3):
        d = pick[u].device
        left = (u, w) in reach and (w, v) in reach and pick[v].device == d != pick[w].device
        if left and d in convex:
            return False
    pairs = {(pick[u].device, pick[v].device) for u, v in reach}
    pairs |= {(a, b) for a in convex for b in convex if a < b and homes[a] == homes[b]}
    return any(
        all(order.index(a) <= order.index(b) for a, b in pairs if a in order and b in order)
        for order in itertools.permutations(convex)
    )


def feasible(problem: PlacementProblem, cost: Price) -> bool:
    kept = all(cost.of(x.quantity) <= x.at_most * (1 + 1e-12) + 1e-12 for x in problem.limits)
    return kept and cost.sound and cost.ordered


def choices(problem: PlacementProblem):
    """Yield every choice."""
    options = itertools.product(*(range(len(v.options)) for v in problem.vertices))
    wires = list(itertools.product(*((0, *t.wires) for t in problem.flows)))
    for one, other in itertools.product(options, wires):
        yield Choice(one, other)


def best(problem: PlacementProblem) -> float | None:
    """Return the least objective of all feasible choices, None if there is none."""
    costs = (price(problem, choice) for choice in choices(problem))
    return min((c.objective for c in costs if feasible(problem, c)), default=None)


@dataclass
class JointPrice:
    """What a choice for several models costs each of them, for one of its own requests."""

    joint: JointProblem
    parts: list[Price]

    def of(self, quantity) -> float:
        """Return the mean over the requests, of one model its share in it; memory as it is held."""
        own = [part.of(quantity) for part in self.parts]
        if quantity.metric is CostMetric.MEMORY:
            return math.fsum(own)
        shares = [part.share for part in self.joint.parts]
        if quantity.metric is CostMetric.PERIOD:
            if math.inf in own:
                return math.inf
            loads = zip(*(part.loads for part in self.parts), strict=True)
            return max(math.fsum(s * x for s, x in zip(shares, row, strict=True)) for row in loads)
        if quantity.model is not None:
            return shares[quantity.model] * own[quantity.model]
        return math.fsum(s * x for s, x in zip(shares, own, strict=True))


def best_of_several(joint: JointProblem) -> float | None:
    """Return the least objective of all feasible choices for several models, None if there is none.

    Each model is priced alone, for itself, and only then added up.
    """
    priced = [
        [(choice, price(part.problem, choice)) for choice in choices(part.problem)] for part in joint.parts
    ]
    # What keeps a model's own limits and rules.
    possible = [
        [(choice, cost) for choice, cost in row if feasible(part.problem, cost)]
        for part, row in zip(joint.parts, priced, strict=True)
    ]
    found = []
    for row in itertools.product(*possible):
        cost = JointPrice(joint, [own for _, own in row])
        kept = all(
            cost.of(x.quantity) <= x.at_most * (1 + 1e-12) + 1e-12
            for x in joint.problem.limits
            if not x.quantity.is_of_models
        )
        if kept and _keeps_groups(joint.problem, joint.joined([choice for choice, _ in row])):
            found.append(math.fsum(t.weight * cost.of(t.quantity) for t in joint.problem.objective))
    return min(found, default=None)


def _keeps_groups(problem, choice) -> bool:
    at = [
        problem.physical_device(v.options[c].device)
        for v, c in zip(problem.vertices, choice.options, strict=True)
    ]
    together = all(len({at[v] for v in group}) == 1 for group in problem.together)
    return together and all(at[a] != at[b] for a, b in problem.apart)
