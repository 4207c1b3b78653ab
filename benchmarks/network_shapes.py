"""Graphs of networks, without costs: for each unit the later units that read what it writes."""

import random
from collections.abc import Callable

Readers = tuple[tuple[int, ...], ...]
Shape = Callable[[int, random.Random], Readers]

_DENSE_BLOCK = 13  # units whose last one begins the next block
_HEADS = 16
_INCEPTION_STEM = 4


class _Graph:
    """A graph that grows unit by unit: numbers are a topological order."""

    def __init__(self) -> None:
        self.readers: list[list[int]] = []

    def add(self, *reads: int) -> int:
        """Add a unit that reads what others write, and return its number."""
        unit = len(self.readers)
        self.readers.append([])
        for producer in dict.fromkeys(reads):
            self.readers[producer].append(unit)
        return unit

    def add_chain(self, length: int, *reads: int) -> int:
        """Add units in a row, and return the last."""
        last = self.add(*reads)
        for _ in range(length - 1):
            last = self.add(last)
        return last

    def of(self, units: int) -> Readers:
        """Return the graph, filled up to a number of units with a chain at its end."""
        if len(self.readers) > units:
            raise ValueError(f"{len(self.readers)} units, more than {units}")
        while len(self.readers) < units:
            self.add(*(() if not self.readers else (len(self.readers) - 1,)))
        return tuple(map(tuple, self.readers))


def chain(units: int, _: random.Random) -> Readers:
    """Return units in a row."""
    return _Graph().of(units)


def series_parallel(units: int, rng: random.Random) -> Readers:
    """Return chains, residual blocks and blocks of branches that hold such blocks themselves."""
    graph = _Graph()
    last = graph.add()
    while (left := units - len(graph.readers)) > 0:
        last = _series(graph, last, min(left, rng.randint(1, 60)), rng)
    return graph.of(units)


def _series(graph: _Graph, begin: int, units: int, rng: random.Random) -> int:
    """Add this many units after one, in a row or side by side, and return the last."""
    if units < 4 or rng.random() < 0.3:
        return graph.add_chain(units, begin)
    branches = rng.randint(2, min(5, units - 1))
    sizes = [1] * branches
    for _ in range(units - 1 - branches):
        sizes[rng.randrange(branches)] += 1
    ends = [_series(graph, begin, size, rng) for size in sizes]
    shortcut = (begin,) if rng.random() < 0.3 else ()
    return graph.add(*ends, *shortcut)


def transformer(units: int, _: random.Random) -> Readers:
    """Return encoder layers of 12 units: attention and a feed-forward block, each with its shortcut."""
    graph = _Graph()
    last = graph.add()
    while units - len(graph.readers) >= 12:
        norm = graph.add(last)
        query, key, value = (graph.add(norm) for _ in range(3))
        weights = graph.add_chain(2, query, key)
        attended = graph.add_chain(2, weights, value)
        middle = graph.add(attended, last)
        last = graph.add(graph.add_chain(2, middle), middle)
    return graph.of(units)


def u_net(units: int, _: random.Random) -> Readers:
    """Return a chain in which every second unit on the way down is read on the way up, too."""
    graph = _Graph()
    for unit in range(units):
        mirrored = units - 1 - unit
        skip = (mirrored,) if mirrored < unit - 1 and mirrored % 2 == 0 else ()
        graph.add(*((unit - 1,) if unit else ()), *skip)
    return graph.of(units)


def dense(units: int, _: random.Random) -> Readers:
    """Return blocks in which each unit reads all earlier ones of its block."""
    graph = _Graph()
    for unit in range(units):
        begin = (unit - 1) // _DENSE_BLOCK * _DENSE_BLOCK
        graph.add(*range(max(begin, 0), unit))
    return graph.of(units)


def wide_attention(units: int, _: random.Random) -> Readers:
    """Return layers whose attention heads are units of their own: query, key, value, weights, product."""
    graph = _Graph()
    last = graph.add()
    while units - len(graph.readers) > 5 * _HEADS:
        heads = []
        for _head in range(_HEADS):
            query, key, value = (graph.add(last) for _ in range(3))
            heads.append(graph.add(graph.add(query, key), value))
        last = graph.add(*heads, last)
    return graph.of(units)


def nasnet(units: int, rng: random.Random) -> Readers:
    """Return cells of five pairs of operations, each cell on the outputs of the two before it."""
    graph = _Graph()
    before = graph.add()
    last = graph.add(before)
    while units - len(graph.readers) >= 16:
        at_hand, sums = [before, last], []
        for _ in range(5):
            operands = [graph.add(rng.choice(at_hand)) for _ in range(2)]
            sums.append(graph.add(*operands))
            at_hand.append(sums[-1])
        unread = [one for one in sums if not graph.readers[one]]
        before, last = last, graph.add(*unread, before)
    return graph.of(units)


def inception(units: int, _: random.Random) -> Readers:
    """Return blocks of four branches of one, two, three and two units, and what joins them."""
    graph = _Graph()
    last = graph.add_chain(_INCEPTION_STEM)
    while units - len(graph.readers) >= 9:
        last = graph.add(*(graph.add_chain(length, last) for length in (1, 2, 3, 2)))
    return graph.of(units)
