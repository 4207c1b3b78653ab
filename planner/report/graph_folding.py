"""A large graph's units folded into blocks by the names of their layers."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeVar

MOST_DRAWN = 64  # units that are drawn one by one
_MOST_BLOCKS = 40
_CHUNK = 16  # units of a block where names say nothing
_NEARBY = 4  # units by which a block may be longer or shorter, to end where few tensors pass
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive units that are drawn as one box, and what they are called."""

    name: str
    units: range


def fold(
    units: range, names: Sequence[str], devices: Sequence[str], edges: Sequence[tuple[int, int]]
) -> list[Block]:
    """Return consecutive units as blocks, in order; few units are blocks of their own.

    Blocks are units in a row, so that no two blocks wait for each other. Where that gives few enough, each
    block is of one device.

    Parameters
    ----------
    units
        To be folded, in topological order.
    names, devices
        Of all units.
    edges
        Between units.
    """
    if len(units) <= MOST_DRAWN:
        return [Block(names[unit], range(unit, unit + 1)) for unit in units]
    paths = _layer_paths(units, names)
    shared = _shared_depth(paths)
    for of_device in (devices, [""] * len(names)):
        for depth in range(max(map(len, paths)), shared, -1):
            keys = [(path[shared:depth], of_device[unit]) for unit, path in zip(units, paths, strict=True)]
            blocks = [
                Block("/".join(layers) or _range_name(run), run) for (layers, _), run in _runs(units, keys)
            ]
            if len(blocks) <= _MOST_BLOCKS:
                return blocks
    runs = [run for _, run in _runs(units, [devices[unit] for unit in units])]
    parts = runs if len(runs) <= _MOST_BLOCKS // 2 else [units]
    return [Block(_range_name(chunk), chunk) for part in parts for chunk in _chunks(part, len(units), edges)]


def _layer_paths(units: range, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the layers around each unit, from its name; without any, those of the unit before or behind."""
    own = [tuple(part for part in names[unit].split(";")[0].split("/") if part)[:-1] for unit in units]
    last = next((path for path in own if path), ())
    paths = []
    for path in own:
        last = path or last
        paths.append(last)
    return paths


def _shared_depth(paths: Sequence[tuple[str, ...]]) -> int:
    """Return how many layers are around all units."""
    low, high = min(paths), max(paths)
    depth = 0
    while depth < min(len(low), len(high)) and low[depth] == high[depth]:
        depth += 1
    return depth


def _runs(units: range, keys: Sequence[_Key]) -> list[tuple[_Key, range]]:
    """Return the longest runs of units that share a key."""
    runs = []
    for key, pairs in groupby(zip(units, keys, strict=True), key=lambda pair: pair[1]):
        members = [unit for unit, _ in pairs]
        runs.append((key, range(members[0], members[-1] + 1)))
    return runs


def _range_name(members: Sequence[int]) -> str:
    return f"units {members[0]} to {members[-1]}" if len(members) > 1 else f"unit {members[0]}"


def _chunks(units: range, count: int, edges: Sequence[tuple[int, int]]) -> list[range]:
    """Return parts of about one size that end where few tensors pass.

    Parameters
    ----------
    count
        Of all units that are folded.
    """
    size = max(_CHUNK, -(-2 * count // _MOST_BLOCKS))
    passing = dict.fromkeys(units, 0)
    for source, target in edges:
        for unit in range(max(source + 1, units.start), min(target + 1, units.stop)):
            passing[unit] += 1  # over the border before this unit
    borders = [units.start]
    while units.stop - borders[-1] > size + _NEARBY:
        middle = borders[-1] + size
        near = range(middle - _NEARBY, middle + _NEARBY + 1)
        borders.append(min((passing[unit], abs(unit - middle), unit) for unit in near)[-1])
    return [range(start, stop) for start, stop in pairwise([*borders, units.stop])]
