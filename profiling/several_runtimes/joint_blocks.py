"""Which units of several runtimes compute the same between tensors that all of them have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from profiling.errors import ModelError
from profiling.graph.operator_graph import OperatorGraph


@dataclass(frozen=True, slots=True)
class OwnTensor:
    """A runtime's form of a tensor that another runtime has, too.

    Parameters
    ----------
    axes
        Its axes in the other's order: the other's is `numpy.transpose(own, axes)`.
    """

    name: str
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JointBlock:
    """Units that compute the same in all runtimes.

    Parameters
    ----------
    units
        Runtime -> its units, in running order.
    inputs, outputs
        Tensors read from other blocks or the caller, and read outside, by the first runtime's names.
    tensors
        Runtime -> the first runtime's name of an input or output -> the runtime's own.
    """

    units: Mapping[str, tuple[int, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Mapping[str, OwnTensor]]


_Node = tuple[str, int]  # runtime, unit


def join_blocks(
    graphs: Mapping[str, OperatorGraph], matches: Mapping[str, Mapping[str, OwnTensor]]
) -> list[JointBlock]:
    """Return blocks, as small as can be, in an order in which they can run.

    Units are in one block if a tensor between them is not in all runtimes.

    Parameters
    ----------
    graphs
        Runtime -> its graph.
    matches
        Every runtime -> the first one's name of a tensor -> the own tensor; inputs and outputs are among
        them.

    Raises
    ------
    ModelError
        If the runtimes' models are not the same network.
    """
    first = next(iter(graphs.values()))
    common = [
        name for name in first.boundary_tensors() if all(name in tensors for tensors in matches.values())
    ]
    missing = [name for name in (*first.inputs, *first.outputs) if name not in common]
    if missing:
        raise ModelError(f"model: its runtimes compute different values of {missing[0]!r}")
    joining = _Joining(graphs, matches, common)
    cuts = set(common)
    while True:
        groups = joining.groups(cuts)
        odd = joining.read_differently(groups, cuts)
        if not odd:
            return [joining.block(group) for group in groups]
        cuts -= odd


class _Joining:
    """Groups of units of all runtimes."""

    def __init__(
        self,
        graphs: Mapping[str, OperatorGraph],
        matches: Mapping[str, Mapping[str, OwnTensor]],
        common: Sequence[str],
    ) -> None:
        self._graphs, self._matches, self._common = graphs, matches, common
        self._first = next(iter(graphs))

    def groups(self, cuts: Collection[str]) -> list[set[_Node]]:
        """Return units that only tensors to cut at connect, in an order in which the groups can run."""
        tied: nx.Graph = nx.Graph()
        for runtime, graph in self._graphs.items():
            tied.add_nodes_from((runtime, unit.index) for unit in graph.units)
        for ends in self._tied_ends(cuts):
            nx.add_path(tied, ends)
        parts = list(nx.connected_components(tied))
        number = {node: index for index, part in enumerate(parts) for node in part}
        order: nx.DiGraph = nx.DiGraph()
        order.add_nodes_from(range(len(parts)))
        for runtime, graph in self._graphs.items():
            order.add_edges_from(
                (number[runtime, a], number[runtime, b])
                for a, b in graph.dag.edges
                if number[runtime, a] != number[runtime, b]
            )
        condensed = nx.condensation(order)  # groups that wait for each other are one
        members = {
            node: set().union(*(parts[index] for index in indices))
            for node, indices in condensed.nodes(data="members")
        }
        sequence = nx.lexicographical_topological_sort(
            condensed, key=lambda node: min((r != self._first, u) for r, u in members[node])
        )
        return [members[node] for node in sequence]

    def _tied_ends(self, cuts: Collection[str]) -> Iterator[list[_Node]]:
        """Yield what must be in one group: around tensors that are not cut, and who writes one that is."""
        cut_names = {runtime: {found[n].name for n in cuts} for runtime, found in self._matches.items()}
        for runtime, graph in self._graphs.items():
            for name in graph.boundary_tensors():
                if name not in cut_names[runtime]:
                    yield list(self._ends(runtime, name))
        for name in self._common:
            own = [(runtime, found[name].name) for runtime, found in self._matches.items()]
            if name in cuts:
                ends = [(runtime, self._graphs[runtime].producer(tensor)) for runtime, tensor in own]
                yield [(runtime, writer) for runtime, writer in ends if writer is not None]
            else:
                yield [end for runtime, tensor in own for end in self._ends(runtime, tensor)]

    def _ends(self, runtime: str, name: str) -> Iterator[_Node]:
        graph = self._graphs[runtime]
        writer = graph.producer(name)
        if writer is not None:
            yield runtime, writer
        for reader in graph.consumers(name):
            yield runtime, reader

    def read_differently(self, groups: Sequence[Collection[_Node]], cuts: Collection[str]) -> set[str]:
        """Return tensors that a group reads in one runtime and not in another."""
        odd = set[str]()
        for group in groups:
            read = [self._read(group, runtime) for runtime in self._graphs]
            odd.update(name for some in read for name in some if not all(name in one for one in read))
        return odd & set(cuts)

    def _read(self, group: Collection[_Node], runtime: str) -> set[str]:
        """Return common tensors that a group's units of a runtime read from others."""
        graph, found = self._graphs[runtime], self._matches[runtime]
        inside = {unit for r, unit in group if r == runtime}
        return {
            name
            for name in self._common
            if graph.producer(found[name].name) not in inside
            and not inside.isdisjoint(graph.consumers(found[name].name))
        }

    def block(self, group: Collection[_Node]) -> JointBlock:
        """Return a group as a block."""
        graph = self._graphs[self._first]
        units = {r: tuple(sorted(u for runtime, u in group if runtime == r)) for r in self._graphs}
        empty = [runtime for runtime, inside in units.items() if not inside]
        if empty:
            raise ModelError(f"model: what {empty[0]} computes is not what the other runtime computes")
        inside = set(units[self._first])
        read = self._read(group, self._first)
        inputs = tuple(name for name in self._common if name in read)
        outputs = tuple(
            name
            for name in self._common
            if graph.producer(name) in inside
            and (name in graph.outputs or not inside.issuperset(graph.consumers(name)))
        )
        ends = (*inputs, *outputs)
        tensors = {r: {name: found[name] for name in ends} for r, found in self._matches.items()}
        return JointBlock(units, inputs, outputs, tensors)
