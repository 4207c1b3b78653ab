"""Seconds of a tensor on its way to one consumer: on links, and of changes by units that stand alone."""

from dataclasses import dataclass

import pulp

from planner.problem.lone_switches import lone_switches
from planner.problem.stage_ways import free_seconds
from planner.problem.tensors import FLOAT
from planner.solver.milp.program import Program, Terms, TransportVariables, host_of, sum_of


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor on its way to one of its consumers."""

    program: Program
    f: int
    k: int

    @property
    def is_given(self) -> bool:
        """Whether it comes from a source."""
        return self.program.problem.vertices[self.producer].is_terminal

    @property
    def is_due(self) -> bool:
        """Whether it goes to a sink."""
        return self.program.problem.vertices[self.consumer].is_terminal

    @property
    def producer(self) -> int:
        """The vertex that writes it."""
        return self.program.problem.flows[self.f].producer

    @property
    def consumer(self) -> int:
        """The vertex that reads it."""
        return self.program.problem.flows[self.f].consumers[self.k]

    @property
    def transports(self) -> TransportVariables:
        """The variables of its transport to this consumer."""
        return self.program.g[self.f][self.k]

    def stands_alone(self, device: int) -> bool:
        """Return whether units of a device are stages of their own."""
        return not self.program.problem.devices[device].contiguous

    def is_pooled(self, source: int, target: int) -> bool:
        """Return whether the tensor waits for others of the same stages: no unit of its ends stands alone."""
        from_unit = not self.is_given and self.stands_alone(source)
        to_unit = not self.is_due and self.stands_alone(target)
        return not from_unit and not to_unit

    def transfer(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds on links that block neither end."""
        problem = self.program.problem
        forms = problem.flows[self.f].forms
        return sum_of([(g, free_seconds(problem, forms[m], d, e)) for (d, e, m), g in moves.items()])

    def sending(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds of changes by a producer that stands alone."""
        problem, flow = self.program.problem, self.program.problem.flows[self.f]
        options, terms = problem.vertices[flow.producer].options, []
        for (o, k), a in self.program.a[self.f].items():
            at = options[o].device
            if (
                self.stands_alone(at)
                and k not in (FLOAT, options[o].format)
                and not flow.converts_at_consumer
            ):
                terms.append((a, flow.quantize_s[k][at]))
        for (d, e, m), g in moves.items():
            if self.stands_alone(d) and d != e:
                terms.append((g, _boundary_s(flow.leave_s, flow.forms[m].format, d) * self._is_boundary))
                terms.append((g, flow.forms[m].encode_s[d] if flow.forms[m].encode_s else 0.0))
        return sum_of(terms)

    def receiving(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds of changes by a consumer that stands alone."""
        problem, flow = self.program.problem, self.program.problem.flows[self.f]
        options, terms = problem.vertices[self.consumer].options, []
        for (o, k), c in self.program.c[self.f][self.k].items():
            at = options[o].device
            if self.stands_alone(at) and k not in (FLOAT, options[o].format):
                terms.append((c, flow.dequantize_s[k][at]))
        for (d, e, m), g in moves.items():
            if self.stands_alone(e) and d != e:
                terms.append((g, _boundary_s(flow.enter_s, flow.forms[m].format, e) * self._is_boundary))
                terms.append((g, flow.forms[m].decode_s[e] if flow.forms[m].decode_s else 0.0))
        return sum_of(terms) + self._quantized_on_arrival()

    @property
    def _is_boundary(self) -> bool:
        return not self.is_given and not self.is_due

    def _quantized_on_arrival(self) -> pulp.LpAffineExpression:
        """Return the seconds in which a consumer quantizes what crosses as it arose."""
        program, flow = self.program, self.program.problem.flows[self.f]
        terms: Terms = []
        if flow.converts_at_consumer:
            made = program.problem.vertices[flow.producer].options
            read = program.problem.vertices[self.consumer].options
            for k in program.z[self.f]:
                asked = [a for (o, of), a in program.a[self.f].items() if of == k == made[o].format]
                for (o, of), c in program.c[self.f][self.k].items():
                    at = read[o].device
                    if of == k and self.stands_alone(at) and flow.quantize_s[k][at]:
                        program.counts["arrival"] += 1
                        quantized = program.variable(f"arrival_{program.counts['arrival']}")
                        program.add("makespan", c - pulp.lpSum(asked) <= quantized)
                        terms.append((quantized, flow.quantize_s[k][at]))
        return sum_of(terms)

    def lone(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds in which a source's or sink's device changes it where no unit runs."""
        problem, program, terms = self.program.problem, self.program, []
        for (d, e, m), g in moves.items():
            flow = problem.flows[self.f]
            for device, changed_s in lone_switches(problem, flow, m, d, e, is_due=self.is_due):
                total_s = changed_s + problem.devices[device].start_s
                if problem.devices[device].contiguous and total_s:
                    program.counts["lone_s"] += 1
                    alone = program.variable(f"lone_{program.counts['lone_s']}")
                    program.add("lone", g - host_of(program, device) <= alone)
                    terms.append((alone, total_s))
        return sum_of(terms)


def _boundary_s(table: tuple[tuple[float, ...], ...], tensor_format: int, device: int) -> float:
    return table[tensor_format][device] if table else 0.0
