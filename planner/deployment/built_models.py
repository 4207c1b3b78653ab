"""The models of a plan, as they are built and as they are verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from planner.deployment.stage_tasks import StageModel
from planner.inputs.prepared_scenario import Prepared
from planner.plan.graph_record import GRAPH_FORMAT, GraphTensor, GraphUnit, UnitGraph
from profiling.graph.any_model import AnyModel, outputs_of
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.create_session import Optimization
from profiling.stage_session import runtime_of_model


@dataclass(frozen=True, slots=True)
class VerificationTarget:
    """What is about to be handed over.

    Parameters
    ----------
    source
        The user's model with static shapes: the fp32 truth.
    mixed
        The whole mixed-precision model.
    stages
        Its parts in running order, as models or files.
    levels
        Graph optimization at which each stage gives the numbers of its device.
    whole
        The whole mixed model as a chain, cut only where the runtime changes; `mixed` alone in one runtime.
    fp32
        Runtime -> the fp32 model there; `source` in one runtime.
    """

    source: AnyModel
    mixed: AnyModel | Path
    stages: Sequence[AnyModel | Path]
    levels: Sequence[Optimization]
    whole: Sequence[AnyModel | Path] = ()
    fp32: Mapping[str, AnyModel] = field(default_factory=dict)

    @property
    def is_cut(self) -> bool:
        """Whether there is more than one stage."""
        return len(self.stages) > 1

    @property
    def whole_chain(self) -> Sequence[AnyModel | Path]:
        """The whole mixed model as a chain."""
        return self.whole or (self.mixed,)

    def fp32_beside(self, model: AnyModel | Path) -> AnyModel:
        """Return the fp32 model in the runtime of another model."""
        return self.fp32.get(runtime_of_model(model), self.source)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the model's outputs."""
        return tuple(tensor.name for tensor in outputs_of(self.source))


@dataclass(frozen=True, slots=True)
class BuiltModels:
    """A plan's models, and the graph that they are made of.

    Parameters
    ----------
    mixed
        The whole model in the plan's precisions, in the runtime of the source.
    whole
        The same as a chain, cut only where the runtime changes; empty if it does not.
    mixed_in
        Runtime -> the whole model there, if there are several.
    """

    graph: OperatorGraph
    mixed: AnyModel
    stages: tuple[StageModel, ...]
    whole: tuple[AnyModel, ...] = ()
    mixed_in: Mapping[str, AnyModel] = field(default_factory=dict)


def verification_target(prepared: Prepared, built: BuiltModels) -> VerificationTarget:
    """Return built models as they are verified."""
    return VerificationTarget(
        prepared.models.source,
        built.mixed,
        [stage.model for stage in built.stages],
        [prepared.level(stage.device) for stage in built.stages],
        built.whole,
        prepared.models.fp32,
    )


def unit_graph_of(graph: OperatorGraph) -> UnitGraph:
    """Return the record of a model's units and the tensors between them."""
    names = [unit.name for unit in graph.units]
    tensors = [graph.tensors[name] for name in graph.boundary_tensors()]
    producers = [graph.producer(tensor.name) for tensor in tensors]
    return UnitGraph(
        format=GRAPH_FORMAT,
        units=tuple(GraphUnit(unit=unit.name, operators=unit.op_types) for unit in graph.units),
        tensors=tuple(
            GraphTensor(
                tensor=tensor.name,
                source=None if producer is None else names[producer],
                targets=tuple(names[reader] for reader in graph.consumers(tensor.name)),
                is_output=tensor.name in graph.outputs,
                dtype=tensor.dtype,
                shape=tensor.shape,
                size_bytes=tensor.size_bytes,
            )
            for tensor, producer in zip(tensors, producers, strict=True)
        ),
    )
