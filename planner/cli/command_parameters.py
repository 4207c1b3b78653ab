"""Parameters that several commands have, and how their examples are shown."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from planner.errors import ScenarioError

_MOST_DIGITS = 18


class Engine(StrEnum):
    """What carries tensors between hosts, and starts stages there."""

    ZENOH = "zenoh"
    RAY = "ray"


InputFile = Annotated[
    Path,
    Parameter(
        name="--input",
        help=".npz with one array per input, a folder of pictures, or one, or a scenario: "
        "its evaluation samples.",
    ),
]


def examples(*lines: str) -> str:
    """Return what stands below a command's options; in a docstring it would be taken for a section."""
    return "\n".join(("Example:" if len(lines) == 1 else "Examples:", "", "```", *lines, "```"))


ScenarioFile = Annotated[Path, Parameter(help="The scenario file.")]


def whole_number(_type: object, tokens: Sequence[Token]) -> int:
    """Return a whole number; by itself the parser would round 0.5."""
    text = tokens[0].value
    if not text.removeprefix("-").isdecimal() or len(text) > _MOST_DIGITS:
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def number_or_name(_type: object, tokens: Sequence[Token]) -> int | str:
    """Return a whole number where a text is one, else the text: a device's name."""
    text = tokens[0].value
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else text


Settings = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="KEY=VALUE replaces one value of the scenario; repeatable."),
]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")
]
Conversion = Annotated[
    list[str] | None,
    Parameter(
        negative="", help="KEY=VALUE of the scenario's `conversion`, unless it is an ONNX file; repeatable."
    ),
]
Shape = Annotated[
    list[str] | None,
    Parameter(negative="", help="NAME=1,3,224,224 for an input with dynamic dimensions; repeatable."),
]


def input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return name and dimensions from NAME=1,3,224,224.

    Raises
    ------
    ScenarioError
        If it is of another form.
    """
    name, _, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if not name or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ScenarioError(f"--shape {text}: write NAME=1,3,224,224, each dimension at least 1")
    return name, tuple(int(part) for part in parts)
