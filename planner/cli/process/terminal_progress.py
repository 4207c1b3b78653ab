"""Progress: a bar on a terminal, a line now and then elsewhere; interrupts that no library swallows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.standard_output import end_without_reader
from planner.report.tables.table_style import line
from profiling.printable_text import shown
from profiling.progress import Progress

progress_hidden: ContextVar[bool] = ContextVar("progress_hidden", default=False)
"""Whether progress is not shown, even on a terminal."""

_LINES_APART_S = 10.0


@contextmanager
def terminal_progress(lines_apart_s: float = _LINES_APART_S) -> Iterator[Progress]:
    """Yield a reporter that draws a bar on a terminal's stderr, and writes a line now and then elsewhere.

    Parameters
    ----------
    lines_apart_s
        Seconds between two lines; what takes less writes none.
    """
    INTERRUPT.arm()
    console = Console(stderr=True)
    if progress_hidden.get():
        yield _check
    elif console.is_terminal:
        with _bar(console) as report:
            yield report
    else:
        with _lines(console, lines_apart_s) as report:
            yield report


def _check(*_progress: object) -> None:
    """End the command where it was interrupted, or nobody reads what it will answer."""
    INTERRUPT.check()
    end_without_reader()


class _HowFar(ProgressColumn):
    """How far a step is, about how long it still takes, and how long everything took so far."""

    def __init__(self) -> None:
        super().__init__()
        self._began_s = time.monotonic()

    def render(self, task: Task) -> Text:
        """Return it as text."""
        done, total = int(task.completed), int(task.total or 0)
        return Text(", ".join(_how_far(done, total, task.time_remaining or 0.0, self._began_s)))


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    """Yield a reporter that draws what is being done, how far it is, and about what is left of it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _HowFar(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        now = ""

        def report(what: str, done: int, total: int) -> None:
            nonlocal now
            _check()
            if what != now:
                now = what
                bars.reset(task, description=shown(what), total=total)
            bars.update(task, completed=done, total=total)

        yield report


@dataclass(frozen=True, slots=True)
class _Step:
    """What is being done, and how far it is."""

    what: str
    done: int
    total: int
    began_s: float


@contextmanager
def _lines(console: Console, apart_s: float) -> Iterator[Progress]:
    """Yield a reporter of which another thread writes a line now and then, also while one step takes long."""
    began_s, over = time.monotonic(), threading.Event()
    current: _Step | None = None

    def report(what: str, done: int, total: int) -> None:
        nonlocal current
        _check()
        step_began_s = current.began_s if current is not None and current.what == what else time.monotonic()
        current = _Step(what, done, total, step_began_s)

    def write() -> None:
        while not over.wait(apart_s):
            if current is not None:
                console.print(line(_step_text(current, began_s)), soft_wrap=True)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield report
    finally:
        over.set()
        thread.join()


def _step_text(step: _Step, began_s: float) -> str:
    """Return a step as a line: how far it is, what is left of it at this pace, and the time of all so far."""
    taken_s = time.monotonic() - step.began_s
    left_s = taken_s / step.done * (step.total - step.done) if step.done else 0.0
    parts = _how_far(step.done, step.total, left_s, began_s)
    return f"{step.what}: {', '.join(parts)}" if step.total > 1 else f"{step.what}, {', '.join(parts)}"


def _how_far(done: int, total: int, left_s: float, began_s: float) -> list[str]:
    """Return how far a step is, about how long it still takes, and how long everything took so far."""
    counts = [f"{done} of {total}"] if total > 1 else []
    left = [f"about {left_s:.0f} s left"] if counts and left_s else []
    return [*counts, *left, f"{time.monotonic() - began_s:.0f} s in all"]
