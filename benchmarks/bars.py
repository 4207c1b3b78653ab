"""What a benchmark wants and what it saw, and where and when that was: what every table needs beside it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from profiling.on_device.processor import cpu_description

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bar:
    """One thing that is wanted, and whether it was so."""

    text: str
    wanted: str
    seen: str
    kept: bool


def bars_table(bars: Sequence[Bar]) -> Table:
    """Return the bars; one that is missed says so."""
    table = Table("bar", "wanted", "seen", "", title="bars", title_justify="left")
    for bar in bars:
        table.add_row(bar.text, bar.wanted, bar.seen, "kept" if bar.kept else "MISSED")
    return table


def circumstances(*packages: str) -> Table:
    """Return machine, versions, date, commit and command."""
    table = Table(show_header=False)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    table.add_row("machine", f"{cpu_description()}, load {load} at the start")
    table.add_row("packages", ", ".join(f"{name} {version(name)}" for name in packages))
    table.add_row("recorded", f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}")
    table.add_row("command", " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]))
    return table


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"
