"""How terminal tables look: an empty table, and cells and lines of text as it is."""

import re
from collections.abc import Iterator

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, JustifyMethod, OverflowMethod, RenderableType
from rich.containers import Lines
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from profiling.printable_text import shown

# A number stays with its unit; of anything else, a word ends at a space.
_WORD = re.compile(r"\s*(?:\S*\d (?:[KMG]iB|B|[mµ]?s|m?J|Mbit/s|%)(?!\w)\S*|\S+)\s*")
_PIECE = re.compile(r"[^/_.;]*[/_.;]+|[^/_.;]+")  # of a name, up to what separates it from the next one


class WrappedText(Text):
    """A text that breaks between words, and a word that is longer than its line between parts of its name."""

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """Return its lines, none wider than `width` cells."""
        if no_wrap or self.no_wrap or "\n" in self.plain:
            return super().wrap(
                console, width, justify=justify, overflow=overflow, tab_size=tab_size, no_wrap=no_wrap
            )
        lines = self.divide(_breaks(self.plain, width))
        for part in lines:
            part.rstrip_end(width)
        if how := justify or self.justify:
            lines.justify(console, width, justify=how, overflow="fold")
        return lines


def _breaks(text: str, width: int) -> Iterator[int]:
    """Yield the indices at which lines of a text end."""
    column = 0
    for match in _WORD.finditer(text):
        start, word = match.start(), match[0]
        wide = cell_len(word.rstrip())
        if column and column + wide > width >= wide:
            yield start
            column = 0
        for piece in [word] if wide <= width else _pieces(word, width):
            if column and column + cell_len(piece.rstrip()) > width:
                yield start
                column = 0
            column += cell_len(piece)
            start += len(piece)


def _pieces(word: str, width: int) -> Iterator[str]:
    for piece in _PIECE.findall(word):
        yield from chop_cells(piece, width) if cell_len(piece.rstrip()) > width else [piece]


def line(text: str) -> Text:
    """Return a text that may come from outside as a line: its characters escaped, its brackets no markup."""
    return WrappedText(shown(text))


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
