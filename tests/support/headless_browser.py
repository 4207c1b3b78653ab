"""Pages in a headless Chromium: their elements after scripts ran, and what an expression finds in them."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
_DARK = "--blink-settings=preferredColorScheme=0"
# A window of a headless browser is never as narrow as a phone; a frame in it is.
_FRAME = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title></title>
<iframe src="page.html" style="width: {width}px; height: 900px; border: 0"></iframe>
<script>onmessage = (event) => {{ document.title = JSON.stringify(event.data); }};</script>"""


def in_browser(path: Path, script: str = "", tmp: Path | None = None) -> tuple[str, str]:
    """Return the page's elements after its scripts ran, and what the browser complained of."""
    if script:
        path = _with_script(path, script, tmp)
    return _opened(path)


def evaluate(
    path: Path, expression: str, tmp: Path, width: int = 1280, *, dark: bool = False
) -> tuple[object, str]:
    """Return what an expression is on a page so many pixels wide, and what the browser complained of."""
    _with_script(path, f"parent.postMessage({expression}, '*');", tmp)
    frame = tmp / "frame.html"
    frame.write_text(_FRAME.format(width=width))
    dom, complaints = _opened(frame, *([_DARK] if dark else []))
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1])), complaints


def _with_script(path: Path, script: str, tmp: Path) -> Path:
    page = tmp / "page.html"
    page.write_text(path.read_text().replace("</body>", f"<script>{script}</script></body>"))
    return page


def _opened(path: Path, *settings: str) -> tuple[str, str]:
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--window-size=1400,1000", "--host-resolver-rules=MAP * ~NOTFOUND", *settings,
            "--dump-dom", f"file://{path}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)
