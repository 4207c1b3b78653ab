"""Kernels of a model whose node names say which unit or switch they work for, and their seconds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from profiling.on_device.clock.interruptions import UNINTERRUPTED, Interruptions
from profiling.on_device.onnx_reader import Node, read_nodes
from profiling.on_device.profiler_events import KERNEL_SUFFIX, kernel_events, kernel_events_of_runs
from profiling.on_device.robust_statistics import relative_iqr

NESTED = "@nested@"  # in the name of a node whose seconds are part of the If, Loop or Scan around it
_MICRO = 1e-6


class OwnerKind(Enum):
    """What a kernel works for; values are the letters of tags in node names."""

    UNIT = "u"
    QUANTIZE = "q"  # the switch of a tensor from fp32
    DEQUANTIZE = "d"  # the switch of a tensor to fp32
    ENCODE = "e"  # of a tensor for a link
    DECODE = "c"  # of a tensor from a link
    UNKNOWN = ""


SWITCH_KINDS = (OwnerKind.QUANTIZE, OwnerKind.DEQUANTIZE)
WIRE_KINDS = (OwnerKind.ENCODE, OwnerKind.DECODE)
# What the runtime puts between other nodes; it may write the tensor that the one before it wrote.
_CHANGE_FORM = frozenset(
    {
        "ReorderInput", "ReorderOutput", "Transpose", "Cast", "MemcpyFromHost", "MemcpyToHost",
        "QuantizeLinear", "DequantizeLinear",
    }
)  # fmt: skip
_TAG = re.compile(r"@([{}])(\d+)@".format("".join(kind.value for kind in OwnerKind)))


@dataclass(frozen=True)
class Owner:
    """Who a kernel works for: a unit, or what happens to a tensor, each by its index."""

    kind: OwnerKind
    index: int

    def tag(self, number: int) -> str:
        """Return a node name that tells its owner, whatever the runtime appends or prepends."""
        return f"@{self.kind.value}{self.index}@{number}"


UNKNOWN_OWNER = Owner(OwnerKind.UNKNOWN, 0)


@dataclass(frozen=True)
class Kernel:
    """One kernel of a model and its seconds per run.

    Parameters
    ----------
    runs_s
        Of every run, as the profiler saw them.
    """

    name: str
    op_type: str
    owner: Owner
    seconds: float
    runs_s: tuple[float, ...] = ()


class _KernelKey(NamedTuple):
    """What tells a kernel apart in every session: its tagged name, else which it is of its owner's own."""

    owner: Owner
    op_type: str
    name: str = ""
    number: int = 0


@dataclass(frozen=True)
class KernelTimes:
    """All kernels of one model, and what interrupted the runs that they were timed in."""

    kernels: tuple[Kernel, ...]
    interruptions: Interruptions = UNINTERRUPTED

    @classmethod
    def merged(cls, sessions: Sequence[KernelTimes], paces: Sequence[float]) -> KernelTimes:
        """Return the kernels of a model from its runs in several sessions.

        Each session makes up names for the kernels that the runtime adds, as those that change layouts: the
        same name may be of different ones. They are told apart by what they work for, in running order.

        Parameters
        ----------
        paces
            What the seconds of each session are multiplied by.
        """
        counts = [max((len(kernel.runs_s) for kernel in one.kernels), default=0) for one in sessions]
        parts = zip((one.interruptions for one in sessions), counts, paces)
        interruptions = Interruptions.together(list(parts))
        shown: dict[_KernelKey, list[tuple[Kernel, float]]] = defaultdict(list)
        for one, pace in zip(sessions, paces):
            for key, kernel in _keyed(one.kernels):
                shown[key].append((kernel, pace))
        kernels = []
        for same in shown.values():
            runs_s = tuple(seconds * pace for kernel, pace in same for seconds in kernel.runs_s)
            own_s = interruptions.own_seconds(runs_s) * len(same) / len(sessions)
            kernels.append(replace(same[0][0], seconds=own_s, runs_s=runs_s))
        return cls(tuple(kernels), interruptions)

    @property
    def count(self) -> int:
        """Number of kernels that run."""
        return len(self.kernels)

    @property
    def total_s(self) -> float:
        """Seconds of all kernels."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def attributed_s(self) -> float:
        """Seconds of the kernels whose owner is known."""
        return sum(kernel.seconds for kernel in self.kernels if kernel.owner.kind is not OwnerKind.UNKNOWN)

    def of(self, kind: OwnerKind) -> dict[int, float]:
        """Return index -> seconds of all owners of a kind."""
        seconds: dict[int, float] = defaultdict(float)
        for kernel in self.kernels:
            if kernel.owner.kind is kind:
                seconds[kernel.owner.index] += kernel.seconds
        return dict(seconds)

    def relative_iqrs(self, kind: OwnerKind) -> dict[int, float]:
        """Return index -> relative interquartile range of the seconds of owners of a kind.

        It is that of the runs in which nothing interrupted the owner, if there are some.
        """
        runs: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        for kernel in self.kernels:
            if kernel.owner.kind is kind:
                runs[kernel.owner.index].append(kernel.runs_s)
        sums = {index: [sum(run) for run in zip(*each)] for index, each in runs.items()}
        return {
            index: relative_iqr(self.interruptions.untouched(seconds) if seconds else [])
            for index, seconds in sums.items()
        }

    def as_unprofiled(self, wall_s: float) -> KernelTimes:
        """Return these times with the profiler's own cost taken off, so that they fit into `wall_s`.

        The profiler adds a constant to every kernel, at most what the cheapest kernel takes; the rest
        of the excess slows all kernels alike (its records compete for the cache).
        """
        excess = self.total_s - wall_s
        if excess <= 0 or not self.kernels:
            return self
        constant = min(excess / self.count, min(kernel.seconds for kernel in self.kernels))
        rest = self.total_s - constant * self.count
        if rest <= 0:  # all kernels took the same, and nothing but the profiler
            return self._with([wall_s / self.count] * self.count)
        scale = wall_s / rest
        return self._with([(kernel.seconds - constant) * scale for kernel in self.kernels])

    def scaled(self, factor: float) -> KernelTimes:
        """Return these times on a machine that takes `factor` times as long."""
        return self._with([kernel.seconds * factor for kernel in self.kernels])

    def _with(self, seconds: Sequence[float]) -> KernelTimes:
        kernels = tuple(replace(kernel, seconds=own) for kernel, own in zip(self.kernels, seconds))
        return replace(self, kernels=kernels)


def _keyed(kernels: Sequence[Kernel]) -> Iterator[tuple[_KernelKey, Kernel]]:
    """Yield each kernel of a session with what tells it apart in every session."""
    made: dict[tuple[Owner, str], int] = defaultdict(int)
    for kernel in kernels:
        if _tagged_owner(kernel.name) is not None:
            yield _KernelKey(kernel.owner, kernel.op_type, kernel.name), kernel
            continue
        made[kernel.owner, kernel.op_type] += 1
        yield _KernelKey(kernel.owner, kernel.op_type, number=made[kernel.owner, kernel.op_type]), kernel


@dataclass(frozen=True)
class TracedRuns:
    """The last runs under the profiler, behind those that warmed up.

    Parameters
    ----------
    taken
        How many.
    kept
        Which of them count.
    interruptions
        What interrupted those.
    """

    taken: int
    kept: Sequence[int]
    interruptions: Interruptions = UNINTERRUPTED


def read_kernels(profile: Path, optimized: Path, runs: TracedRuns | None = None) -> KernelTimes:
    """Return the kernels of a tagged model from the runtime's profile and the graph that it ran.

    Parameters
    ----------
    profile
        The JSON that the session wrote.
    optimized
        The optimized model that the session wrote; tells the neighbours of unnamed layout kernels.
    runs
        Those that count; without it all, and as if nothing interrupted them.
    """
    micros: dict[str, list[float]] = defaultdict(list)
    op_types: dict[str, str] = {}
    events = kernel_events(profile) if runs is None else kernel_events_of_runs(profile, runs.taken, runs.kept)
    for event in events:
        kernel = event["name"][: -len(KERNEL_SUFFIX)]
        if NESTED in kernel:  # counted with the node around it
            continue
        micros[kernel].append(float(event["dur"]))
        op_types[kernel] = event["args"]["op_name"]
    places = _places(read_nodes(optimized))
    interruptions = UNINTERRUPTED if runs is None else runs.interruptions
    kernels = []
    for name, times in micros.items():
        runs_s = tuple(time * _MICRO for time in times)
        own_s = interruptions.own_seconds(runs_s)
        kernels.append(Kernel(name, op_types[name], _owner(name, places), own_s, runs_s))
    return KernelTimes(tuple(kernels), interruptions)


def read_op_types(profile: Path) -> list[str]:
    """Return the operator type of every kernel that ran, from the runtime's profile of one run."""
    return [str(event["args"]["op_name"]) for event in kernel_events(profile)]


class _Place(NamedTuple):
    """Where a node stands: who it works for, if names tell, and the nodes directly behind and before it."""

    owner: Owner | None
    behind: list[str]
    before: list[str]


def _places(nodes: Sequence[Node]) -> dict[str, _Place]:
    writer = {tensor: node.name for node in nodes for tensor in node.outputs if tensor}
    places = {
        node.name: _Place(_named_owner(node), [], [writer[one] for one in node.inputs if one in writer])
        for node in nodes
    }
    for name, place in places.items():
        for source in place.before:
            places[source].behind.append(name)
    return places


def _named_owner(node: Node) -> Owner | None:
    """Return the owner by a node's own tag, else by what it writes: a fused kernel keeps that, not its name.

    What changes a layout or format writes the tensor of another.
    """
    owner = _tagged_owner(node.name)
    if owner is not None or node.op_type in _CHANGE_FORM:
        return owner
    written = (_tagged_owner(tensor) for tensor in node.outputs)
    return next((one for one in written if one is not None and one.kind is OwnerKind.UNIT), None)


def _owner(kernel: str, places: Mapping[str, _Place]) -> Owner:
    """Return the owner by names, else by those of neighbours.

    A layout kernel beside a switch belongs to the switch, else to the unit that reads its result. Beside
    other kernels without an owner, it belongs to what is beside those.
    """
    if kernel not in places:
        return _tagged_owner(kernel) or UNKNOWN_OWNER
    own = places[kernel].owner
    if own is not None:
        return own
    seen, beside = {kernel}, [kernel]
    while beside:
        near = [name for one in beside for name in (*places[one].behind, *places[one].before)]
        owners = [owner for owner in (places[name].owner for name in near) if owner is not None]
        if owners:
            return next((owner for owner in owners if owner.kind in SWITCH_KINDS), owners[0])
        beside = [name for name in dict.fromkeys(near) if name not in seen]
        seen.update(beside)
    return UNKNOWN_OWNER


def _tagged_owner(name: str) -> Owner | None:
    tag = _TAG.search(name)
    return None if tag is None else Owner(OwnerKind(tag[1]), int(tag[2]))
