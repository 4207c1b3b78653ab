"""How terminal tables look: an empty table, and cells and lines of text as it is."""

from rich import box
from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from profiling.printable_text import shown


def line(text: str) -> Text:
    """Return a text that may come from outside as a line: its characters escaped, its brackets no markup."""
    return Text(shown(text))


class PlainTable(Table):
    """A table whose cells are text as it is, whatever a name in it looks like."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, **options: bool) -> None:
        """Add a row, each cell as `line` gives it."""
        super().add_row(*(line(str(cell or "")) for cell in cells), style=style, **options)


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
