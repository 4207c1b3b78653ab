"""Devices that a request may come back to: each visit is a device of its own to the solver."""

from collections.abc import Sequence
from dataclasses import replace

from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import Flow


def with_visits(problem: PlacementProblem, visits: Sequence[int]) -> PlacementProblem:
    """Return the problem in which each device may run so many stages: further visits become devices.

    Parameters
    ----------
    visits
        Device -> number of stages, at least 1.
    """
    revisited = [d for d, count in enumerate(visits) for _ in range(count - 1)]
    if not revisited:
        return problem
    physical = [*range(len(problem.devices)), *revisited]
    further_visits: dict[int, list[int]] = {d: [] for d in range(len(problem.devices))}
    for visit, device in enumerate(revisited, start=len(problem.devices)):
        further_visits[device].append(visit)
    visits_as_devices = [
        replace(problem.devices[d], name=f"{problem.devices[d].name} again", visit_of=d) for d in revisited
    ]
    return replace(
        problem,
        devices=(*problem.devices, *visits_as_devices),
        vertices=tuple(
            vertex
            if vertex.is_terminal
            else replace(
                vertex,
                options=tuple(
                    replace(option, device=visit)
                    for option in vertex.options
                    for visit in (option.device, *further_visits[option.device])
                ),
            )
            for vertex in problem.vertices
        ),
        flows=tuple(over_devices(flow, physical) for flow in problem.flows),
    )


def over_devices(flow: Flow, devices: Sequence[int]) -> Flow:
    """Return a tensor's costs over other devices.

    Parameters
    ----------
    devices
        Device -> that of the tensor whose costs it has, such as the device of which it is a visit.
    """

    def row(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[device] for device in devices) if values else ()

    def table(rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple(map(row, rows))

    forms = tuple(
        replace(
            form,
            routes=tuple(tuple(form.routes[a][b] for b in devices) for a in devices),
            encode_s=row(form.encode_s),
            decode_s=row(form.decode_s),
        )
        for form in flow.forms
    )
    return replace(
        flow,
        forms=forms,
        quantize_s=table(flow.quantize_s),
        dequantize_s=table(flow.dequantize_s),
        leave_s=table(flow.leave_s),
        enter_s=table(flow.enter_s),
    )


def by_device(problem: PlacementProblem, values: Sequence[float]) -> dict[str, float]:
    """Return device name -> sum over its visits."""
    totals: dict[str, float] = {}
    for d, value in enumerate(values):
        name = problem.devices[problem.physical_device(d)].name
        totals[name] = totals.get(name, 0.0) + value
    return totals
