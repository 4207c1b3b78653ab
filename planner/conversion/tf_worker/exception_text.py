"""What TensorFlow's and Keras' exceptions say, in one line."""

import re

_COLOUR = re.compile(r"\x1b\[\d*m")
_FRAMES = ("Traceback", "File ", "~", "^", "in user code:")
_CALLED = re.compile(r"Exception encountered when calling (.+?)\.?$")


def first_line(exc: BaseException) -> str:
    """Return the first line that says something, without the frames that frameworks put around it.

    Where Keras tells which layer was called, that stands in front of what went wrong there.
    """
    lines = [line.strip() for line in _COLOUR.sub("", str(exc)).splitlines()]
    said = [line for line in lines if line and not line.startswith(_FRAMES)] or [type(exc).__name__]
    called = [(found[1], place) for place, line in enumerate(said[:-1]) if (found := _CALLED.search(line))]
    layer, place = called[0] if called else ("", -1)
    return (f"{layer}: " if layer else "") + said[place + 1].rstrip(".:")
