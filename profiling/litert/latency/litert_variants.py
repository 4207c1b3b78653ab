"""The models that are timed of a plan: quantized, cut, and opened where they are."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from profiling.arrays import Feeds
from profiling.graph.any_model import Stage
from profiling.litert.calibration import Ranges
from profiling.litert.cut import cut, whole_stage
from profiling.litert.interpreter import OpenedStage
from profiling.litert.latency.owned_groups import OwnedGroups, owned_groups
from profiling.litert.latency.time_in_place import group_calls
from profiling.litert.load import parse_litert
from profiling.litert.one_operator import one_operator
from profiling.litert.planning.mixed_model import MixedModel, mixed_model
from profiling.litert.unit_graph import LitertGraph
from profiling.on_device.kernels import Owner
from profiling.on_device.litert.litert_timing import GroupCalls
from profiling.on_device.measurement_order import SwitchTensor
from profiling.precision import Precision


class VariantModels:
    """The models of a plan, each quantized when it is first asked for.

    Parameters
    ----------
    mixes
        Precisions of the quantized units of each variant.
    """

    def __init__(self, graph: LitertGraph, mixes: Sequence[Mapping[int, Precision]], ranges: Ranges) -> None:
        self._graph, self._mixes, self._ranges = graph, mixes, ranges
        self._made: dict[int, MixedModel] = {}

    def whole(self, variant: int) -> MixedModel:
        """Return a variant."""
        if variant not in self._made:
            self._made[variant] = mixed_model(self._graph, self._mixes[variant], self._ranges)
        return self._made[variant]

    def stages(self, variant: int, units: Sequence[Sequence[int]]) -> tuple[Stage, ...]:
        """Return a variant cut into stages of some units."""
        parted = self.whole(variant).quantized
        return cut(parted.model, [parted.operators_of(own) for own in units], parted.shared)

    def groups(self, variant: int, switches: Sequence[SwitchTensor]) -> OwnedGroups:
        """Return the groups of a variant's operators that are timed."""
        return owned_groups(self.whole(variant).quantized, switches)


class InMemory:
    """Opens variants as they are here, as `LitertVariants` does.

    Parameters
    ----------
    stages
        Units of each stage.
    """

    def __init__(
        self,
        models: VariantModels,
        switches: Sequence[SwitchTensor],
        stages: Sequence[Sequence[int]],
        threads: int,
    ) -> None:
        self._models, self._switches, self._units, self._threads = models, switches, stages, threads
        self._stages: dict[int, tuple[Stage, ...]] = {}

    def plain(self, variant: int) -> OpenedStage:
        """Return a variant as whoever has it would run it."""
        return OpenedStage(self._models.whole(variant).content, self._threads)

    def stage(self, variant: int, number: int) -> OpenedStage:
        """Return a stage of a variant."""
        if variant not in self._stages:
            self._stages = {variant: self._models.stages(variant, self._units)}
        return OpenedStage(self._stages[variant][number].content, self._threads)

    def groups(self, variant: int, feeds: Feeds) -> Iterator[tuple[Owner, GroupCalls]]:
        """Yield what shows the seconds of a variant's units and conversions."""
        return timed_groups(self._models.groups(variant, self._switches), feeds, self._threads)

    def tiny(self) -> tuple[OpenedStage, Feeds]:
        """Return a model that computes hardly anything, and its sample."""
        return tiny_model(self._threads)


def timed_groups(owned: OwnedGroups, feeds: Feeds, threads: int) -> Iterator[tuple[Owner, GroupCalls]]:
    """Yield the owner of each group, and what shows its seconds."""
    return zip(owned.owners, group_calls(owned.groups, feeds, threads), strict=True)


def tiny_stage() -> Stage:
    """Return a model that computes hardly anything, its input a single float."""
    return whole_stage(parse_litert(one_operator(), "one operator"))


def tiny_model(threads: int) -> tuple[OpenedStage, Feeds]:
    """Return that model opened, and its sample."""
    tiny = tiny_stage()
    return OpenedStage(tiny.content, threads), {name: np.ones(1, np.float32) for name in tiny.inputs}
