"""Sizes and names as people read them."""

from collections.abc import Sequence

from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

RUNTIME_TITLES = {ONNX_RUNTIME: "ONNX Runtime", LITERT: "LiteRT", TENSORFLOW: "TensorFlow"}
MILLI = 1e3
MICRO = 1e6
# Quantity -> what a column of it is headed, and its factor.
AXES = {
    "latency": ("latency, ms", MILLI),
    "makespan": ("makespan, ms", MILLI),
    "period": ("period, ms", MILLI),
    "energy": ("energy, mJ", MILLI),
    "noise": ("relative RMS error", 1.0),
    "memory": ("memory, MiB", 2.0**-20),
    "traffic": ("traffic, KiB", 2.0**-10),
    "money": ("money", 1.0),
}
_KIBI = 1024
_MEBI = 2**20
_GIBI = 2**30
_TIME_SCALES = ((1.0, "s"), (MILLI, "ms"), (MICRO, "µs"))
_SHOWN_AS_ONE, _FOUR_DIGITS = 0.9995, 999.5  # in three digits
_NAME_WIDTH = 32  # characters; of a longer name the end is kept


def size_text(size_bytes: int) -> str:
    """Return bytes for a person.

    Examples
    --------
    >>> size_text(1001), size_text(200_704), size_text(3 * 2**20)
    ('1001 B', '196.0 KiB', '3.00 MiB')
    """
    if size_bytes < _KIBI:
        return f"{size_bytes} B"
    if size_bytes < _MEBI:
        return f"{size_bytes / _KIBI:.1f} KiB"
    if size_bytes < _GIBI:
        return f"{size_bytes / _MEBI:.2f} MiB"
    return f"{size_bytes / _GIBI:.2f} GiB"


def counted(count: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "plan"), counted(3, "plan")
    ('1 plan', '3 plans')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def three_digits(value: float) -> str:
    """Return a number for a person, in three digits, without an exponent where it is large.

    Examples
    --------
    >>> three_digits(9.4263), three_digits(0.1), three_digits(121.84), three_digits(25_000.0)
    ('9.43', '0.1', '122', '25000')
    """
    return f"{value:.3g}" if value < _FOUR_DIGITS else f"{value:.0f}"


def time_text(seconds: float) -> str:
    """Return seconds for a person, in three digits and the unit that suits them.

    Examples
    --------
    >>> time_text(1.8812), time_text(0.99951), time_text(0.0123), time_text(3.55e-5), time_text(0.0)
    ('1.88 s', '1 s', '12.3 ms', '35.5 µs', '0 ms')
    """
    factor, unit = next(
        (scale for scale in _TIME_SCALES if seconds * scale[0] >= _SHOWN_AS_ONE),
        _TIME_SCALES[-1] if seconds else (MILLI, "ms"),
    )
    value = seconds * factor
    # Beyond three digits `g` would write an exponent.
    return f"{value:.3g} {unit}" if value < _FOUR_DIGITS else f"{value:.0f} {unit}"


def short_name(name: str) -> str:
    """Return the end of a converter's long tensor name, which tells it from others.

    Examples
    --------
    >>> short_name("serving/net/block/conv;net/block/relu")
    'net/block/relu'
    """
    last = name.split(";")[-1]
    return last if len(last) <= _NAME_WIDTH else "..." + last[3 - _NAME_WIDTH :]


def program_size(variables: int, constraints: int) -> str:
    """Return how large an integer program was; without one, the relaxation was enough.

    Examples
    --------
    >>> program_size(712, 762), program_size(0, 0)
    ('712 variables, 762 constraints', 'no program needed')
    """
    return f"{variables} variables, {constraints} constraints" if variables else "no program needed"


def range_text(low: float | None, high: float | None) -> str:
    """Return a range as people say it; None is without end.

    Examples
    --------
    >>> range_text(None, 3.6071), range_text(0.5, None), range_text(0.5, 2.0), range_text(None, None)
    ('below 3.607', 'above 0.5', '0.5 to 2', 'all')
    """
    if low is None:
        return "all" if high is None else f"below {high:.4g}"
    return f"above {low:.4g}" if high is None else f"{low:.4g} to {high:.4g}"


def names_text(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names for a message, and how many more there are.

    Examples
    --------
    >>> names_text(["ant", "cat"]), names_text(["a", "b", "c", "d", "e"])
    ('ant, cat', 'a, b, c and 2 more')
    """
    more = len(names) - most
    first = ", ".join(names[:most])
    return f"{first} and {more} more" if more > 0 else first
