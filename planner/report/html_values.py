"""Numbers of a record as an HTML page shows them: rounded for people, each with its path in the record."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from planner.formatting import MICRO, MILLI, size_text, three_digits

_STYLES: Mapping[str, Callable[[Any], str]] = {
    "ms": lambda value: _time(value),
    "s": lambda value: f"{value:.2f} s",
    "mJ": lambda value: f"{value * MILLI:.3g} mJ",
    "rate": lambda value: f"{value:.4g} /s",
    "ratio": lambda value: f"{value:.3f}",
    "noise": lambda value: f"{value:.4f}",
    "scientific": lambda value: f"{value:.2e}" if value else "0",
    "percent": lambda value: f"{value:.2%}",
    "size": lambda value: size_text(round(value)),
    "significant4": lambda value: f"{value:.4g}",
    "digits3": three_digits,
    "count": str,
    "text": str,
}


def _time(seconds: float) -> str:
    """Return seconds with two decimals of milliseconds, or more where those would show nothing."""
    if seconds >= 1:
        return f"{seconds:.3f} s"
    return f"{seconds * MICRO:.1f} µs" if 0 < seconds < 1 / MILLI else f"{seconds * MILLI:.2f} ms"


class FormattedValues:
    """Gives the numbers of a record by their path in its JSON.

    Examples
    --------
    >>> print(FormattedValues({"latency_s": 0.0125})("ms", "latency_s"))
    <span data-path="[&#34;latency_s&#34;]" data-value="0.0125">12.50 ms</span>
    """

    def __init__(self, record: object) -> None:
        self._root = msgspec.json.decode(msgspec.json.encode(record))

    def __call__(self, style: str, *path: str | int) -> Markup:
        """Return the value at a path, escaped; a dash where it is null.

        Parameters
        ----------
        style
            How it is rounded, and its unit: `ms` of seconds, `percent` of a fraction ...
        path
            Keys and indices from the record's root.
        """
        value = self._value(path)
        if value is None:
            return Markup("-")
        return _marked(path, value, _STYLES[style](value))

    def unbounded(self, style: str, *path: str | int) -> Markup:
        """Return a number that is null where it is infinite; parameters as of a call."""
        value = self._value(path)
        return _marked(path, value, "infinite" if value is None else _STYLES[style](value))

    def _value(self, path: Sequence[str | int]) -> Any:
        value = self._root
        for step in path:
            value = value[step]
        return value


def _marked(path: Sequence[str | int], value: object, text: str) -> Markup:
    return Markup('<span data-path="{}" data-value="{}">{}</span>').format(
        json.dumps(path), json.dumps(value), text
    )


def join(parts: Sequence[str]) -> Markup:
    """Return texts, escaped, and formatted numbers with commas between them."""
    return Markup(", ").join(parts)
