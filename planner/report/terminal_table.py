"""What terminal tables share."""

from rich import box
from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from profiling.printable_text import shown

MILLI = 1e3
# Quantity -> what a column of it is headed, and its factor.
AXES = {
    "latency": ("latency, ms", MILLI),
    "makespan": ("makespan, ms", MILLI),
    "period": ("period, ms", MILLI),
    "energy": ("energy, mJ", MILLI),
    "noise": ("noise, relative rms", 1.0),
    "memory": ("memory, MiB", 2.0**-20),
    "traffic": ("traffic, KiB", 2.0**-10),
    "money": ("money", 1.0),
}
_KIBI = 1024
_MEBI = 2**20
_NAME_WIDTH = 32


def line(text: str) -> Text:
    """Return a text that may come from outside as a line: its characters escaped, its brackets no markup."""
    return Text(shown(text))


class PlainTable(Table):
    """A table whose cells are text as it is, whatever a name in it looks like."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, **how: bool) -> None:
        """Add a row, each cell as `line` gives it."""
        super().add_row(*(line(str(cell or "")) for cell in cells), style=style, **how)


def new_table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> PlainTable:
    """Return an empty table with columns of text and of numbers."""
    table = PlainTable(
        title=line(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in left:
        table.add_column(line(column), overflow="fold")
    for column in right:
        table.add_column(line(column), justify="right", overflow="fold")
    return table


def size_text(size_bytes: int) -> str:
    """Return bytes for a person: 196 KiB."""
    if size_bytes < _KIBI:
        return f"{size_bytes} B"
    if size_bytes < _MEBI:
        return f"{size_bytes / _KIBI:.1f} KiB"
    return f"{size_bytes / _MEBI:.2f} MiB"


def short_name(name: str) -> str:
    """Return the end of a converter's long tensor name, which tells it from others."""
    last = name.split(";")[-1]
    return last if len(last) <= _NAME_WIDTH else "..." + last[3 - _NAME_WIDTH :]


def program_size(variables: int, constraints: int) -> str:
    """Return how large an integer program was; without one, the relaxation was enough."""
    return f"{variables} variables, {constraints} constraints" if variables else "no program needed"
