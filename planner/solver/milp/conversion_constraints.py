"""What changing a tensor's format and cutting a stage at it cost, a function per constraint family."""

import itertools

import pulp

from planner.solver.milp.program import (
    AccountCosts,
    CostAccount,
    Program,
    add_shared_cost,
    variables_in_format,
)


def add_quantize(program: Program) -> None:
    """Quantize a tensor once, where it arises in another format (or per receiver, see Flow)."""
    for f, flow in enumerate(program.problem.flows):
        producer = program.problem.vertices[flow.producer].options
        for tensor_format in program.z[f]:
            if flow.converts_at_consumer:
                _quantize_on_arrival(program, f, tensor_format)
                continue
            for (o, k), variable in program.a[f].items():
                # An option that writes the format itself needs no conversion.
                if k == tensor_format and producer[o].format != tensor_format:
                    device = producer[o].device
                    program.add_cost(
                        variable, {(CostAccount.BUSY, device): flow.quantize_s[tensor_format][device]}
                    )


def _quantize_on_arrival(program: Program, f: int, tensor_format: int) -> None:
    """Quantize a tensor once on each device that reads it in a format, if it did not arise in that one."""
    flow, vertices = program.problem.flows[f], program.problem.vertices
    options = vertices[flow.producer].options
    made = [a for (o, k), a in program.a[f].items() if k == tensor_format == options[o].format]
    for device, seconds in enumerate(flow.quantize_s[tensor_format]):
        readers = [
            variables_in_format(program, vertex, with_formats, tensor_format, frozenset([device]))
            for vertex, with_formats in zip(flow.consumers, program.c[f], strict=True)
        ]
        name = f"quantize_{f}_{tensor_format}_{device}"
        costs: AccountCosts = {(CostAccount.BUSY, device): seconds}
        if not made:
            add_shared_cost(program, name, readers, costs)
        elif seconds and any(readers):
            paid = program.variable(f"s_{name}")
            program.add_cost(paid, costs)
            for read in readers:
                program.add("pay", pulp.lpSum(read) - pulp.lpSum(made) <= paid)


def add_dequantize(program: Program) -> None:
    """Bring a quantized tensor back once per device on which a consumer wants another format."""
    for f, flow in enumerate(program.problem.flows):
        for tensor_format, device in itertools.product(program.z[f], range(len(program.problem.devices))):
            readers = []
            for vertex, with_formats in zip(flow.consumers, program.c[f], strict=True):
                options = program.problem.vertices[vertex].options
                readers.append(
                    [
                        variable
                        for (o, k), variable in with_formats.items()
                        if k == tensor_format
                        and options[o].format != tensor_format
                        and options[o].device == device
                    ]
                )
            costs: AccountCosts = {(CostAccount.BUSY, device): flow.dequantize_s[tensor_format][device]}
            add_shared_cost(program, f"dequantize_{f}_{tensor_format}_{device}", readers, costs)


def add_stage_boundaries(program: Program) -> None:
    """Pay once where a unit's tensor leaves its device, and once per device on which units receive it."""
    vertices = program.problem.vertices
    for f, flow in enumerate(program.problem.flows):
        if vertices[flow.producer].is_terminal:
            continue
        for side, table in enumerate((flow.leave_s, flow.enter_s)):
            for tensor_format, row in enumerate(table):
                for device, seconds in enumerate(row):
                    transports = [
                        [
                            variable
                            for move, variable in transports.items()
                            if move[0] != move[1]
                            and move[side] == device
                            and flow.forms[move[2]].format == tensor_format
                        ]
                        for vertex, transports in zip(flow.consumers, program.g[f], strict=True)
                        if not vertices[vertex].is_terminal
                    ]
                    name = f"seam_{f}_{side}_{tensor_format}_{device}"
                    add_shared_cost(program, name, transports, {(CostAccount.BUSY, device): seconds})
