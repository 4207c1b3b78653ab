"""The public names of a package as a page of the reference."""

import inspect
from collections.abc import Iterator
from types import ModuleType


def interface_sections(package: ModuleType) -> Iterator[str]:
    """Yield a section for each public name: its call, its documentation, its methods and properties."""
    for name in package.__all__:
        thing = getattr(package, name)
        yield f"## {name}"
        yield _block(f"{name}{_parameters(thing)}", thing)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"### {name}.{member}"
                    yield _block(f"{member}{_parameters(value)}", value)


def _block(call: str, thing: object) -> str:
    # What structs inherit from their base is no documentation of their own.
    text = inspect.cleandoc(thing.__doc__ or "")
    return f"```text\n{call}\n\n{text}\n```".replace("\n\n\n```", "\n```")


def _parameters(thing: object) -> str:
    """Return the names of parameters with their defaults; nothing for properties and errors."""
    if isinstance(thing, property) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return ""
    shown = [one for one in inspect.signature(thing).parameters.values() if one.name != "self"]
    public = [one for one in shown if not one.name.startswith("_")]
    parts = [_parameter(one) for one in public]
    keywords = [one.kind is one.KEYWORD_ONLY for one in public]
    if any(keywords):
        parts.insert(keywords.index(True), "*")
    return f"({', '.join(parts)})"


def _parameter(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if parameter.kind is parameter.VAR_KEYWORD:
        return f"**{parameter.name}"
    if default is parameter.empty:
        return parameter.name
    # What a factory makes has no text of its own.
    plain = default is None or isinstance(default, str | int | float | tuple)
    return f"{parameter.name}={default!r}" if plain else f"{parameter.name}=..."
