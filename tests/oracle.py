"""Brute force over all assignments, written from README's formulas alone.

It shares no code with `planner.evaluate` or `planner.ilp`, so that a mistake there shows here.
"""

import itertools
import math

from planner.problem import PlacementProblem


def price(problem: PlacementProblem, choice: tuple[int, ...]) -> dict[str, object]:
    """Return latency, noise, memory and whether stages can run one after another."""
    pick = [v.options[c] for v, c in zip(problem.vertices, choice, strict=True)]
    latency = math.fsum(o.seconds for o in pick)
    noise = math.fsum(o.noise_power for o in pick)
    for t in problem.flows:
        int8 = any(pick[v].int8 for v in t.quantizers)
        home = pick[t.producer].device
        readers = {pick[v].device for v in t.consumers}
        latency += math.fsum(t.send_s[int8][home][d] for d in readers if d != home)
        if int8:
            noise += 0 if t.inherits and pick[t.producer].int8 else t.noise_power
            places = readers if t.converts_at_consumer else {home}
            if not pick[t.producer].int8:
                latency += math.fsum(t.quantize_s[d] for d in places)
            latency += math.fsum(
                t.dequantize_s[d] for d in {pick[v].device for v in t.consumers if not pick[v].int8}
            )
    memory = []
    for d in range(len(problem.devices)):
        here = [o for o in pick if o.device == d]
        memory.append(sum(o.weight_bytes for o in here) + max((o.activation_bytes for o in here), default=0))
    return {"latency": latency, "noise": noise, "memory": memory, "order": _has_order(problem, pick)}


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
    return memory and noise and latency and cost["order"] and math.isfinite(cost["latency"])


def best(problem: PlacementProblem) -> float | None:
    """Return the least latency of all feasible assignments, None if there is none."""
    choices = itertools.product(*(range(len(v.options)) for v in problem.vertices))
    costs = (price(problem, choice) for choice in choices)
    return min((c["latency"] for c in costs if feasible(problem, c)), default=None)
