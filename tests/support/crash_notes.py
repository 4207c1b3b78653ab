"""Notes of crashes in a journal, as a supervisor confirms them."""

from pathlib import Path

import msgspec


def write_crashes(path: Path, *notes: str, times: int = 2) -> None:
    """Write what ended processes into a journal; once is a note that nobody has confirmed."""
    lines = [msgspec.json.encode([1, note]) for note in notes for _ in range(times)]
    path.write_bytes(b"\n".join(lines) + b"\n")
