"""The command's standard output, as a terminal shows it."""

from rich.console import Console

from planner.cli.standard_output import standard_output


def print_text(text: str) -> None:
    """Print a text as it is."""
    print(text, file=standard_output())


def terminal() -> Console:
    """Return the terminal, to which a name in brackets is no markup."""
    return Console(file=standard_output(), highlight=False, markup=False, emoji=False)
