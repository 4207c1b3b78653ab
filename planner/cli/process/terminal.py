"""What the command prints: answers on standard output as a terminal shows them, failures beside it."""

import sys

from rich.console import Console

from planner.cli.process.standard_output import standard_output
from profiling.printable_text import one_line


def print_text(text: str) -> None:
    """Print a text as it is."""
    print(text, file=standard_output())


def terminal() -> Console:
    """Return the terminal, to which a name in brackets is no markup."""
    return Console(file=standard_output(), highlight=False, markup=False, emoji=False)


def fail(code: int, *lines: str) -> int:
    """Tell each of some lines as a terminal may show it, and return the exit code."""
    for text in lines:
        print(one_line(text), file=sys.stderr)
    return code
