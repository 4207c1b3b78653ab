"""Progress on the terminal, and interrupts that no library swallows."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from planner.cli.process.interrupts import INTERRUPT
from profiling.printable_text import shown
from profiling.progress import Progress

progress_hidden: ContextVar[bool] = ContextVar("progress_hidden", default=False)
"""Whether progress is not shown, even on a terminal."""


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Yield a reporter that draws bars on a terminal's stderr and is silent elsewhere."""
    INTERRUPT.arm()
    console = Console(stderr=True)
    if progress_hidden.get() or not console.is_terminal:
        yield INTERRUPT.check
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            INTERRUPT.check()
            if what not in tasks:
                tasks[what] = bars.add_task(shown(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report
