"""What TensorFlow's and Keras' exceptions say, in one line."""

import re

_COLOUR = re.compile(r"\x1b\[\d*m")
_FRAMES = ("Traceback", "File ", "~", "^", "in user code:")
_CALLED = re.compile(r"Exception encountered when calling (.+?)\.?$")


def framework_error_line(exc: BaseException) -> str:
    """Return the first line that says something, without the frames that frameworks put around it.

    Where Keras tells which layer was called, that stands in front of what went wrong there.
    """
    lines = [line.strip() for line in _COLOUR.sub("", str(exc)).splitlines()]
    informative = [line for line in lines if line and not line.startswith(_FRAMES)] or [type(exc).__name__]
    called = [
        (match[1], number) for number, line in enumerate(informative[:-1]) if (match := _CALLED.search(line))
    ]
    layer, number = called[0] if called else ("", -1)
    return (f"{layer}: " if layer else "") + informative[number + 1].rstrip(".:")
