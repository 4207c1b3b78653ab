"""Several models on the same devices and links as one problem.

Each model's stage on a device is a visit of that device (`Device.model`): memory, load and joules add up, and
stages of different models have no order. Seconds, bytes on links, joules and noise of a model are multiplied
with its share of the requests. So the whole costs are means over the requests of all models: the latency of
a request, its energy, traffic and money, and the period, the seconds of the most loaded device or link for
each request that arrives. One device or link is busy for period times requests per second of its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from planner.errors import ProblemError
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import Limit, ObjectiveTerm
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Vertex

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ModelPart:
    """One of several models.

    Parameters
    ----------
    share
        Of all requests; the shares of all models sum to 1.
    problem
        The model alone on the devices and links. Its limits on latency, makespan and noise are its own;
        others speak of what all models share, and are left out, as is its objective.
    """

    name: str
    share: float
    problem: PlacementProblem


@dataclass(frozen=True, slots=True)
class JointProblem:
    """Several models as one problem, and each of them alone.

    Parameters
    ----------
    problem
        Its vertices are those of the first model, then those of the next; so are its flows and devices.
    """

    parts: tuple[ModelPart, ...]
    problem: PlacementProblem

    def choice_of(self, model: int, choice: Choice) -> Choice:
        """Return a model's part of a choice, as one of the model alone."""
        first, end = _ranges([len(part.problem.vertices) for part in self.parts])[model]
        first_flow, end_flow = _ranges([len(part.problem.flows) for part in self.parts])[model]
        return Choice(choice.options[first:end], choice.wires[first_flow:end_flow])

    def joined(self, choices: Sequence[Choice]) -> Choice:
        """Return the choice whose parts are choices of the models alone."""
        options = tuple(option for choice in choices for option in choice.options)
        if not any(choice.wires for choice in choices):
            return Choice(options)
        pairs = zip(self.parts, choices, strict=True)
        wires = (choice.wire(f) for part, choice in pairs for f in range(len(part.problem.flows)))
        return Choice(options, tuple(wires))

    def cost_of(self, model: int, choice: Choice) -> Cost:
        """Return what one request of a model costs."""
        return evaluate(self.parts[model].problem, self.choice_of(model, choice))

    def limit_of(self, model: int, limit: Limit) -> Limit:
        """Return a limit on one model's requests as one of the joint problem."""
        quantity = replace(limit.quantity, model=model)
        return Limit(quantity, limit.at_most * self.parts[model].share)


def join_models(
    parts: Sequence[ModelPart],
    limits: Sequence[Limit] = (),
    objective: Sequence[ObjectiveTerm] | None = None,
) -> JointProblem:
    """Return several models as one problem.

    Parameters
    ----------
    limits
        On what the models share; for each request of any model, but for memory.
    objective
        By default the mean latency of a request.

    Raises
    ------
    ProblemError
        If the models are not on the same devices and links, or know other formats.
    """
    first = parts[0].problem
    for part in parts:
        if not _same_places(first, part.problem):
            raise ProblemError(f"model {part.name!r}: is not on the devices and links of the others")
    joined = [_Relabelled(parts, model) for model in range(len(parts))]
    terms = PlacementProblem((), (), ()).objective if objective is None else objective
    problem = PlacementProblem(
        devices=tuple(
            replace(
                device,
                start_s=device.start_s * part.share,
                # The first model's devices stand for the devices themselves.
                visit_of=d if model and device.visit_of is None else device.visit_of,
                model=model,
            )
            for model, part in enumerate(parts)
            for d, device in enumerate(part.problem.devices)
        ),
        vertices=tuple(vertex for one in joined for vertex in one.vertices()),
        flows=tuple(flow for one in joined for flow in one.flows()),
        links=first.links,
        formats=first.formats,
        together=tuple(group for one in joined for group in one.together()),
        apart=tuple(pair for one in joined for pair in one.apart()),
    )
    joint = JointProblem(tuple(parts), problem)
    own = (
        joint.limit_of(model, limit)
        for model, part in enumerate(parts)
        for limit in part.problem.limits
        if limit.quantity.is_of_models
    )
    return replace(joint, problem=replace(problem, limits=(*limits, *own), objective=tuple(terms)))


def _same_places(first: PlacementProblem, other: PlacementProblem) -> bool:
    """Return whether two models' devices differ in nothing but the start of a stage, and links in nothing."""
    places = [
        (tuple(replace(device, start_s=0.0) for device in problem.devices), problem.links, problem.formats)
        for problem in (first, other)
    ]
    return places[0] == places[1]


def _ranges(counts: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate(counts, initial=0)))


class _Relabelled:
    """A model's units and tensors in the numbers of the joint problem, its costs times its share."""

    def __init__(self, parts: Sequence[ModelPart], model: int) -> None:
        self._part, self._problem, self._model = parts[model], parts[model].problem, model
        self._first = sum(len(part.problem.vertices) for part in parts[:model])
        self._count = len(self._problem.devices)
        self._models = len(parts)

    def vertices(self) -> list[Vertex]:
        share = self._part.share
        return [
            replace(
                vertex,
                options=tuple(
                    replace(
                        option,
                        device=option.device + self._model * self._count,
                        seconds=option.seconds * share,
                        noise_power=option.noise_power * share,
                        joules=option.joules * share,
                    )
                    for option in vertex.options
                ),
                coupled_with=self._moved(vertex.coupled_with),
                model=self._model,
            )
            for vertex in self._problem.vertices
        ]

    def flows(self) -> list[Flow]:
        return [self._flow(flow) for flow in self._problem.flows]

    def together(self) -> list[tuple[int, ...]]:
        return [self._moved(group) for group in self._problem.together]

    def apart(self) -> list[tuple[int, int]]:
        return [(a + self._first, b + self._first) for a, b in self._problem.apart]

    def _moved(self, vertices: Sequence[int]) -> tuple[int, ...]:
        return tuple(v + self._first for v in vertices)

    def _flow(self, flow: Flow) -> Flow:
        return replace(
            flow,
            producer=flow.producer + self._first,
            consumers=self._moved(flow.consumers),
            quantizers=self._moved(flow.quantizers),
            forms=tuple(self._form(form) for form in flow.forms),
            noise_power=tuple(power * self._part.share for power in flow.noise_power),
            quantize_s=self._table(flow.quantize_s),
            dequantize_s=self._table(flow.dequantize_s),
            leave_s=self._table(flow.leave_s),
            enter_s=self._table(flow.enter_s),
        )

    def _table(self, rows: Table) -> Table:
        return tuple(self._row(row) for row in rows)

    def _row(self, row: tuple[float, ...]) -> tuple[float, ...]:
        """Return seconds per device, for the devices of all models: those of others do not matter."""
        return tuple(value * self._part.share for value in row) * self._models

    def _form(self, form: WireForm) -> WireForm:
        share = self._part.share
        return replace(
            form,
            size_bytes=form.size_bytes * share,
            link_s=tuple(seconds * share for seconds in form.link_s),
            routes=tuple(row * self._models for row in form.routes) * self._models,
            link_j=tuple((send * share, receive * share) for send, receive in form.link_j),
            encode_s=self._row(form.encode_s),
            decode_s=self._row(form.decode_s),
            noise_power=form.noise_power * share,
        )
