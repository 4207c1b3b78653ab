"""Which host sends what to which: a plan's stages and cuts, seen from each device."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from planner.errors import OutputError
from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage, RoutedTensor
from planner.hosts.on_host.messages import MOST_NUMBERED, TensorSpec
from planner.plan.manifest import PlanStages, Port


@dataclass(slots=True)
class _Way:
    """How one tensor travels: from where it arises along a tree of devices."""

    spec: TensorSpec
    origin: str
    sender: dict[str, str] = field(default_factory=dict)
    receivers: dict[str, list[str]] = field(default_factory=dict)
    stages: dict[str, list[int]] = field(default_factory=dict)
    answer_at: str | None = None

    def extend(self, path: Sequence[str]) -> None:
        """Send it along a path that begins where it arises; a device gets it once."""
        for before, after in itertools.pairwise(path):
            if after == self.origin or after in self.sender:
                continue
            self.sender[after] = before
            self.receivers.setdefault(before, []).append(after)

    @property
    def devices(self) -> set[str]:
        """Every device that has it at some time."""
        return {self.origin, *self.sender}


class PlanRoutes:
    """The ways of all tensors of a plan.

    Parameters
    ----------
    links
        Device -> devices that it has a link to, for tensors whose way the plan does not tell.

    Raises
    ------
    OutputError
        If a stage needs what nobody gives, or there is no way to it, or there are too many tensors.
    """

    def __init__(self, manifest: PlanStages, links: nx.DiGraph) -> None:
        self._manifest, self._links = manifest, links
        self._numbers = tensor_numbers(manifest)
        self._ways: dict[str, _Way] = {}
        for port in manifest.inputs:
            self._ways[port.name] = _Way(spec_of(port), manifest.source)
        for stage in manifest.stages:
            for port in stage.outputs:
                self._ways.setdefault(port.name, _Way(spec_of(port), stage.device))
        for stage in manifest.stages:
            for port in stage.inputs:
                way = self._bring(port.name, stage.device)
                way.stages.setdefault(stage.device, []).append(stage.number)
        for port in manifest.outputs:
            self._bring(port.name, manifest.sink).answer_at = manifest.sink
        self._start_stages_that_read_nothing()

    def _start_stages_that_read_nothing(self) -> None:
        """See that each request comes to their devices: else those would hear of none.

        What follows from such stages comes too late. Inputs never do, and the smallest costs least.
        """
        manifest = self._manifest
        first = [stage for stage in manifest.stages if not stage.inputs]
        late = {port.name for stage in first for port in stage.outputs}
        for stage in manifest.stages:  # in running order
            if any(port.name in late for port in stage.inputs):
                late |= {port.name for port in stage.outputs}
        for device in dict.fromkeys(stage.device for stage in first):
            ways = (way for name, way in self._ways.items() if name not in late)
            comes = device == manifest.source or any(device in way.sender for way in ways)
            if manifest.inputs and not comes:
                smallest = min(manifest.inputs, key=lambda port: spec_of(port).size_bytes)
                self._bring(smallest.name, device)

    def _bring(self, name: str, device: str) -> _Way:
        if name not in self._ways:
            raise OutputError(f"the manifest has no stage that gives {name!r}")
        way = self._ways[name]
        if device not in way.devices:
            way.extend(self._path(name, way.origin, device))
        return way

    def _path(self, name: str, origin: str, device: str) -> Sequence[str]:
        """Return the way that the plan gives a tensor: its own cut's, or one between the same devices."""
        between = [cut for cut in self._manifest.cuts if (cut.source, cut.target) == (origin, device)]
        # A tensor crosses under its own name, or with what its conversion adds to the name.
        own = [cut for cut in between if name == cut.tensor or name.startswith(f"{cut.tensor}_")]
        if own or between:
            return max(own or between, key=lambda cut: len(cut.tensor)).path
        try:
            path: Sequence[str] = nx.shortest_path(self._links, origin, device)
        except (nx.NetworkXNoPath, nx.NodeNotFound) as exc:
            raise OutputError(f"{name!r}: there is no way from {origin} to {device}") from exc
        return path

    def hops(self) -> Iterator[tuple[str, str]]:
        """Yield each (device, next device) that some tensor takes."""
        for _, before, after in self.crossings():
            yield before, after

    def crossings(self) -> Iterator[tuple[str, str, str]]:
        """Yield each (tensor, device, next device): what crosses for each request."""
        for name, way in self._ways.items():
            yield from ((name, before, after) for after, before in way.sender.items())

    def devices(self) -> set[str]:
        """Return the devices that do something for the plan."""
        return set().union(*(way.devices for way in self._ways.values()))

    def hosted(self, device: str, name: str, stages: Mapping[int, HostedStage]) -> HostedPlan:
        """Return what one device does.

        Parameters
        ----------
        name
            Of the plan.
        stages
            The device's own, by number.
        """
        tensors = {
            tensor: RoutedTensor(
                way.spec,
                way.sender.get(device),
                tuple(way.receivers.get(device, ())),
                tuple(way.stages.get(device, ())),
                way.answer_at == device,
            )
            for tensor, way in self._ways.items()
            if device in way.devices
        }
        inputs = tuple(port.name for port in self._manifest.inputs)
        outputs = tuple(port.name for port in self._manifest.outputs)
        return HostedPlan(name, inputs, outputs, tuple(stages.values()), tensors, self._numbers)


def tensor_numbers(manifest: PlanStages) -> dict[str, int]:
    """Return what messages call the tensors of a plan, by name.

    Raises
    ------
    OutputError
        If there are more than messages can number.
    """
    ports = [*manifest.inputs, *manifest.outputs]
    for stage in manifest.stages:
        ports += [*stage.inputs, *stage.outputs]
    names = sorted({port.name for port in ports})
    if len(names) > MOST_NUMBERED:
        raise OutputError(f"a plan of {len(names)} tensors; hosts exchange at most {MOST_NUMBERED}")
    return {name: number for number, name in enumerate(names)}


def spec_of(port: Port) -> TensorSpec:
    """Return what a port's tensor is on a wire."""
    return TensorSpec(port.name, port.dtype, port.shape)


def missing_before(hops: set[tuple[str, str]], source: str, device: str, missing: set[str]) -> str | None:
    """Return the first missing device on the way from the source to a device; None if there is none."""
    if device == source or device not in nx.Graph(hops):
        return None
    path: list[str] = nx.shortest_path(nx.Graph(hops), source, device)
    return next((name for name in path[:-1] if name in missing), None)


def next_hops(hops: set[tuple[str, str]], device: str) -> dict[str, str]:
    """Return, for each other device, the neighbour on the way to it; connections work both ways."""
    paths: dict[str, list[str]] = nx.single_source_shortest_path(nx.Graph(hops), device)
    return {target: path[1] for target, path in paths.items() if target != device}
