"""What a terminal shows, as plain text."""

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType


def printed(what: RenderableType, width: int = 220) -> str:
    """Return what rich prints of something on a wide terminal without colours."""
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(what)
    return text.getvalue()


def without_progress(err: str) -> str:
    """Return what stderr got but for lines of progress, which depend on how long it took."""
    return "".join(row for row in err.splitlines(keepends=True) if not row.endswith(" s in all\n"))


def check_golden(text: str, path: Path, request: pytest.FixtureRequest) -> None:
    """Hold a text against a golden file, or write that anew where `--golden` is given."""
    text = "".join(f"{row.rstrip()}\n" for row in text.splitlines())
    if request.config.getoption("--golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
