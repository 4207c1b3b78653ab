"""Progress: a bar on a terminal, a line now and then elsewhere; interrupts that no library swallows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf

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


@dataclass(frozen=True, slots=True)
class Step:
    """What is being done, how far it is, and when it ends at this pace.

    Parameters
    ----------
    began_s, ends_s
        On the clock that `step_after` is given; `ends_s` is infinite where no pace is known.
    """

    what: str
    done: int
    total: int
    began_s: float
    ends_s: float = inf

    def how_far(self, now_s: float) -> list[str]:
        """Return how far it is, and about how long it still takes where that can be said."""
        if self.total <= 1:
            return []
        left_s = self.ends_s - now_s
        return [f"{self.done} of {self.total}", *([f"about {left_s:.0f} s left"] if 0 < left_s < inf else [])]


def step_after(before: Step | None, what: str, done: int, total: int, now_s: float) -> Step:
    """Return how far a step is after a report.

    Its parts may differ in length, so an end is foreseen only once half is done, and is never put off: the
    seconds left that a person sees only fall.
    """
    if before is None or before.what != what:
        return Step(what, done, total, now_s)
    if done == before.done or 2 * done < total:
        return Step(what, done, total, before.began_s, before.ends_s)
    ends_s = now_s + (now_s - before.began_s) / done * (total - done)
    return Step(what, done, total, before.began_s, min(ends_s, before.ends_s))


class _HowFar(ProgressColumn):
    """How far a step is, about how long it still takes, and how long everything took so far."""

    def __init__(self) -> None:
        super().__init__()
        self._began_s = time.monotonic()
        self.step: Step | None = None

    def render(self, task: Task) -> Text:  # noqa: ARG002
        """Return it as text."""
        return Text(", ".join(_how_far(self.step, self._began_s)))


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    """Yield a reporter that draws what is being done, how far it is, and about what is left of it."""
    how_far = _HowFar()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), how_far)
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            _check()
            before = how_far.step
            how_far.step = step_after(before, what, done, total, time.monotonic())
            if before is None or before.what != what:
                bars.reset(task, description=shown(what), total=total)
            bars.update(task, completed=done, total=total)

        yield report


@contextmanager
def _lines(console: Console, apart_s: float) -> Iterator[Progress]:
    """Yield a reporter of which another thread writes a line now and then, also while one step takes long."""
    began_s, over = time.monotonic(), threading.Event()
    current: Step | None = None

    def report(what: str, done: int, total: int) -> None:
        nonlocal current
        _check()
        current = step_after(current, what, done, total, time.monotonic())

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


def _step_text(step: Step, began_s: float) -> str:
    """Return a step as a line: how far it is, what is left of it, and the time of all so far."""
    parts = ", ".join(_how_far(step, began_s))
    return f"{step.what}: {parts}" if step.total > 1 else f"{step.what}, {parts}"


def _how_far(step: Step | None, began_s: float) -> list[str]:
    """Return how far a step is, about how long it still takes, and how long everything took so far."""
    now_s = time.monotonic()
    return [*(step.how_far(now_s) if step is not None else ()), f"{now_s - began_s:.0f} s in all"]
