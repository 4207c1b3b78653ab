"""How long work says how far it is: a callable, so that nothing here prints."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total); `what` is a short phrase for a person."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
