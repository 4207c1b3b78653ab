"""Text from outside as a terminal may show it: no control characters, one line, not too long."""

import unicodedata

_MOST_CHARACTERS = 600  # six lines of a terminal: whole messages of the runtime, no list of a thousand sizes
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control, format (bidirectional overrides, zero widths), surrogate, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def shown(text: str) -> str:
    r"""Return a text with every character that does not print written as an escape.

    >>> shown("a\tb\x1b[31m")
    'a\\tb\\x1b[31m'
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004


def one_line(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text in one line that a person can read: escaped, its middle left out if it is long.

    Parameters
    ----------
    most
        Characters of the line. What went wrong is said at the start of a message, where at its end.

    >>> one_line("a very long text", 11)
    'a v ... xt'
    """
    half = most // 2
    # Cut before escaping too: an escape is up to six times as long as what it stands for.
    cut = text if len(text) <= most else f"{text[: half - 2]} ... {text[-half + 3 :]}"
    line = shown(cut.strip())
    return line if len(line) <= most else f"{line[: half - 2]} ... {line[-half + 3 :]}"


def reason(exc: BaseException) -> str:
    """Return what an exception says in one line; its type where it says nothing, or fails to."""
    try:
        text = str(exc)
    except BaseException:  # noqa: BLE001  an exception of a user's own class may raise anything
        text = ""
    return one_line(text) or type(exc).__name__


def first_line(exc: BaseException) -> str:
    r"""Return the first line of what an exception says, its type where it says nothing.

    For the runtime, whose later lines are stack traces and contexts of its own source.

    >>> first_line(ValueError("no such operator\n==> Context: ..."))
    'no such operator'
    """
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)
