"""Parameters that several commands have, and how their examples are shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

SCENARIOS = (".yaml", ".yml")  # how the names of scenario files end
_MOST_DIGITS = 18


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


Settings = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="KEY=VALUE replaces one value of the scenario; repeatable."),
]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")
]
