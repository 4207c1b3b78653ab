"""Brute force over all assignments, written from README's formulas alone.

It shares no code with `planner.evaluate` or `planner.ilp`, so that a mistake there shows here.
"""

import itertools
import math

from planner.problem import PlacementProblem


def price(problem: PlacementProblem, choice: tuple[int, ...]) -> dict[str, object]:
    """Return latency, noise, memory, energy, objective and whether stages can run one after another."""
    pick = [v.options[c] for v, c in zip(problem.vertices, choice, strict=True)]
    busy, sent, noise = _add_up(problem, pick)
    latency = math.fsum((*busy, sent))
    memory = []
    for d in range(len(problem.devices)):
        here = [o for o in pick if o.device == d]
        memory.append(sum(o.weight_bytes for o in here) + max((o.activation_bytes for o in here), default=0))
    energy = _energy(problem, pick, busy, latency)
    spent = problem.weights.per_s * latency + problem.weights.per_j * math.fsum(energy)
    return {
        "latency": latency,
        "noise": noise,
        "memory": memory,
        "energy": energy,
        "objective": spent if latency < math.inf else math.inf,
        "order": _has_order(problem, pick),
        "absorbed": _is_absorbed(problem, pick),
        "exposed": any(
            pick[v].int8
            and {(pick[w].int8, pick[w].device) for w in vertex.within} - {(True, pick[v].device)}
            for v, vertex in enumerate(problem.vertices)
        ),
        "one kind": all(len({pick[v].kind for v in t.quantizers if pick[v].int8}) < 2 for t in problem.flows),
    }


def _add_up(problem, pick) -> tuple[list[float], float, float]:
    """Return (seconds per device, seconds on links, noise)."""
    busy = [math.fsum(o.seconds for o in pick if o.device == d) for d in range(len(problem.devices))]
    _add_seams(problem, pick, busy)
    sent, noise = 0.0, math.fsum(o.noise_power for o in pick)
    for t in problem.flows:
        int8 = any(pick[v].int8 for v in t.quantizers)
        home = pick[t.producer].device
        readers = {pick[v].device for v in t.consumers}
        sent += math.fsum(t.send_s[int8][home][d] for d in readers if d != home)
        if int8:
            kinds = {pick[v].kind for v in t.quantizers if pick[v].int8}
            noise += 0 if t.inherits and pick[t.producer].int8 else sum(t.noise_power[k] for k in kinds)
            if not pick[t.producer].int8:
                for d in readers if t.converts_at_consumer else {home}:
                    busy[d] += t.quantize_s[d]
            for d in {pick[v].device for v in t.consumers if not pick[v].int8}:
                busy[d] += t.dequantize_s[d]
    return busy, sent, noise


def _add_seams(problem, pick, busy) -> None:
    """Add what stages take because they are stages, to the seconds per device."""
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.fixed]
    for d in {pick[v].device for v in units} if problem.start_s else ():
        busy[d] += problem.start_s[d]
    for t in (t for t in problem.flows if t.producer in units and t.leave_s):
        home, form = pick[t.producer].device, any(pick[v].int8 for v in t.quantizers)
        others = {pick[v].device for v in t.consumers if v in units} - {home}
        busy[home] += t.leave_s[form][home] if others else 0.0
        for d in others:
            busy[d] += t.enter_s[form][d]


def _energy(problem, pick, busy, latency) -> list[float]:
    """Return joules per device: watts while busy and while waiting, and what messages cost its ends."""
    if problem.energy is None:
        return [0.0] * len(busy)
    if latency == math.inf:
        return [math.inf] * len(busy)
    joules = [
        active * b + idle * (latency - b)
        for active, idle, b in zip(problem.energy.active_w, problem.energy.idle_w, busy, strict=True)
    ]
    for t in (t for t in problem.flows if t.send_j):
        int8, home = any(pick[v].int8 for v in t.quantizers), pick[t.producer].device
        for d in {pick[v].device for v in t.consumers} - {home}:
            for payer, spent in enumerate(t.send_j[int8][home][d]):
                joules[payer] += spent
    return joules


def _is_absorbed(problem, pick) -> bool:
    """Return whether a float vertex that follows its tensors has them all in int8 of one kind."""
    for v, vertex in enumerate(problem.vertices):
        mine = [t for t in problem.flows if v in t.quantizers]
        if vertex.absorbed and mine and not pick[v].int8:
            for kind in (0, 1):
                if all(any(pick[w].int8 and pick[w].kind == kind for w in t.quantizers) for t in mine):
                    return True
    return False


def _has_order(problem, pick) -> bool:
    """Return whether some order of the devices has every unit-to-unit crossing pointing forward."""
    pairs = {
        (pick[t.producer].device, pick[v].device)
        for t in problem.flows
        for v in t.consumers
        if not problem.vertices[t.producer].fixed and not problem.vertices[v].fixed
    }
    return any(
        all(order.index(a) <= order.index(b) for a, b in pairs)
        for order in itertools.permutations(range(len(problem.devices)))
    )


def feasible(problem: PlacementProblem, cost: dict[str, object]) -> bool:
    memory = all(
        limit is None or used <= limit
        for used, limit in zip(cost["memory"], problem.memory_bytes, strict=True)
    )
    noise = problem.noise_power is None or cost["noise"] <= problem.noise_power + 1e-12
    latency = problem.latency_s is None or cost["latency"] <= problem.latency_s + 1e-12
    energy = True
    if problem.energy is not None:
        pairs = [*zip(cost["energy"], problem.energy.limits_j, strict=True)]
        pairs.append((math.fsum(cost["energy"]), problem.energy.total_j))
        energy = all(limit is None or used <= limit + 1e-12 for used, limit in pairs)
    return (
        memory
        and noise
        and latency
        and energy
        and cost["order"]
        and cost["one kind"]
        and not cost["absorbed"]
        and not cost["exposed"]
        and math.isfinite(cost["latency"])
    )


def best(problem: PlacementProblem) -> float | None:
    """Return the least objective of all feasible assignments, None if there is none."""
    choices = itertools.product(*(range(len(v.options)) for v in problem.vertices))
    costs = (price(problem, choice) for choice in choices)
    return min((c["objective"] for c in costs if feasible(problem, c)), default=None)
