"""What timing asks of a session, whichever runtime it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Protocol

Feeds = Mapping[str, Any]
"""Input name -> array, one sample."""

Report = Callable[[str, int, int], object]
"""Called with what is being done, how much of it is done, and how much there is."""


class SessionEnd(Protocol):
    """An input or output of a session."""

    @property
    def name(self) -> str:
        """Its name in the model."""


class Session(Protocol):
    """An open model, or stage of one."""

    def get_inputs(self) -> Sequence[SessionEnd]:
        """Return what it reads."""

    def get_outputs(self) -> Sequence[SessionEnd]:
        """Return what it gives."""

    def run(self, names: Sequence[str] | None, feeds: Any, options: Any = None, /) -> Sequence[Any]:
        """Return outputs by name, or all of them in order, of one sample."""


class StagedVariants(Protocol):
    """Opens the models of a measurement plan; each call opens a session."""

    def plain(self, variant: int) -> Session:
        """Return a variant as a user would run it."""

    def stage(self, variant: int, number: int) -> Session:
        """Return a stage of one of the first variants."""


def session_runner(session: Session, feeds: Feeds) -> Callable[[], Sequence[Any]]:
    """Return a call that runs one sample."""
    return lambda: session.run(None, dict(feeds))
