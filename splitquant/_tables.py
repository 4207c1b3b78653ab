"""Rows of a result as a DataFrame, and as the HTML that a notebook shows."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 20  # of a table in a notebook; a DataFrame has all
_WHOLE = 1000  # from here on numbers have no fraction


def data_frame(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "pd.DataFrame":
    """Return rows as a DataFrame; a column without any value is one of numbers that are missing.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise ImportError("tables need pandas: pip install 'splitquant[notebook]'") from exc
    frame = pd.DataFrame(list(rows), columns=list(columns))
    return frame.astype({name: float for name in frame if len(frame) and frame[name].isna().all()})


def heading(text: str) -> str:
    """Return a line that says the result."""
    return f"<p><strong>{escape(text)}</strong></p>"


def paragraph(text: str) -> str:
    """Return a line of text."""
    return f"<p>{escape(text)}</p>"


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a table: numbers to the right, with four digits or without a fraction."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:_MOST_ROWS])
    left_out = len(rows) - _MOST_ROWS
    more = f"<p>and {left_out} more</p>" if left_out > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: object) -> str:
    if isinstance(value, int | float) and abs(value) >= _WHOLE:  # bytes, say, of which none is left out
        return f'<td style="text-align: right">{value:,.0f}</td>'
    if isinstance(value, int | float):
        return f'<td style="text-align: right">{value:.4g}</td>'
    return f'<td style="text-align: left">{escape("" if value is None else str(value))}</td>'
