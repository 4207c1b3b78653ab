"""Says which rows of "on the links" hold one transfer: a tensor that several devices get over one link."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from planner.formatting import names_text, short_name


class Crossing(Protocol):
    """A tensor's way from one device to another, in a form."""

    @property
    def tensor(self) -> str:
        """Name of the tensor."""
        ...

    @property
    def wire(self) -> str:
        """The form it is sent in."""
        ...

    @property
    def path(self) -> tuple[str, ...]:
        """The devices on the way, both ends with them."""
        ...


def shared_link_texts(crossings: Iterable[Crossing]) -> Iterator[str]:
    """Yield, for each link that several ways of a tensor share, that it is sent there once."""
    readers: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for crossing in crossings:
        for hop in zip(crossing.path, crossing.path[1:], strict=False):
            readers[crossing.tensor, str(crossing.wire), *hop].append(crossing.path[-1])
    for (tensor, _, start, end), targets in readers.items():
        if len(targets) > 1:
            yield (
                f"{short_name(tensor)} goes over {start} > {end} once, for {names_text(targets)}: "
                "each of its rows counts that, the costs count it once"
            )
