"""Numbers of a record as they stand in a page: rounded for people, each with its place in the record."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from planner.formatting import MILLI, size_text

_KINDS: Mapping[str, Callable[[Any], str]] = {
    "ms": lambda value: f"{value * MILLI:.2f} ms",
    "s": lambda value: f"{value:.2f} s",
    "mJ": lambda value: f"{value * MILLI:.3g} mJ",
    "ratio": lambda value: f"{value:.3f}",
    "noise": lambda value: f"{value:.4f}",
    "power": lambda value: f"{value:.2e}",
    "percent": lambda value: f"{value:.2%}",
    "size": lambda value: size_text(round(value)),
    "plain": lambda value: f"{value:.4g}",
    "count": str,
    "text": str,
}


class FormattedValues:
    """Gives the numbers of a record by their place in its JSON."""

    def __init__(self, record: object) -> None:
        self._root = msgspec.json.decode(msgspec.json.encode(record))

    def __call__(self, kind: str, *path: str | int) -> Markup:
        """Return the value at a place; a dash where there is none.

        Parameters
        ----------
        kind
            How it is rounded: `ms`, `percent` ...
        path
            Keys and places from the record's root.
        """
        value = self._root
        for step in path:
            value = value[step]
        if value is None:
            return Markup("-")
        shown = _KINDS[kind](value)
        return Markup('<span data-path="{}" data-value="{}">{}</span>').format(
            json.dumps(path), json.dumps(value), shown
        )


def joined(parts: Sequence[str]) -> Markup:
    """Return texts and numbers, one after another, with commas between them."""
    return Markup(", ").join(parts)
