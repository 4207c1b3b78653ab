"""Does what a page of the documentation says, as a reader would; `documentation` says what marks mean."""

import contextlib
import functools
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documentation import Block, Mark, Page
from repository import ROOT

_LONGEST_S = 900  # on a machine with much else to do
_SCENARIOS = ("litert.yaml", "litert-onnx.yaml", "quickstart.yaml", "two-models.yaml", "problem.json")
# Pages say what to type, not how long to measure: in the scenarios that they begin with it is little.
_FEW = "\nprofiling: {rounds: 3, noise_samples: 8}\n"
_START = r"""
set -euo pipefail
running=""
background() {  # FOLDER READY COMMAND: start a command and wait until it says that it is ready
  local log; log=$(mktemp)
  ( cd "$1"; exec bash -c "exec $3" ) > "$log" 2>&1 &
  local process=$!
  running="$running $process"
  for _ in $(seq 600); do
    grep -q "$2" "$log" && return 0
    kill -0 $process 2> /dev/null || break
    sleep 0.1
  done
  echo "not ready: $3"; cat "$log"; return 1
}
stop() { for one in $running; do kill $one || true; wait $one || true; done; running=""; }
trap stop EXIT
"""


class FollowedPages:
    """Pages that were followed, each once, in the folder in which the page before it ended.

    A page that comes after no other begins where the folder `scenarios` is.
    """

    def __init__(self, new_folder: Callable[[str], Path]) -> None:
        self._new_folder = new_folder
        self._folders: dict[Path, Path] = {}

    def follow(self, page: Page) -> Path:
        """Return the folder in which the page's commands ran; skip the test if a module is missing."""
        if page.path not in self._folders:
            needed = [name for mark in page.marks if mark.name == "needs" for name in mark.text.split(", ")]
            for module in needed:
                if importlib.util.find_spec(module) is None:
                    pytest.skip(f"{page} needs {module}")
            before = page.before
            folder = self.follow(Page((page.path.parent / before).resolve())) if before else self._start(page)
            follow(page, folder)
            self._folders[page.path] = folder
        return self._folders[page.path]

    def _start(self, page: Page) -> Path:
        folder = self._new_folder(page.path.stem)
        for name in ("quickstart", "litert"):
            shutil.copytree(ROOT / "scenarios" / name, folder / "scenarios" / name)
        for name in _SCENARIOS:
            text = (ROOT / "scenarios" / name).read_text(encoding="utf-8")
            if not name.endswith(".json"):
                assert "\nprofiling:" not in text
                text += _FEW
            (folder / "scenarios" / name).write_text(text, encoding="utf-8")
        return folder


def script_of(page: Page) -> str:
    """Return the page as a shell script."""
    lines, replaced = [_START], {}
    for step in page.steps:
        if isinstance(step, Mark):
            if step.name == "stop":
                lines.append("stop")
            continue
        if (pairs := step.mark("in the test")) is not None:
            replaced |= dict(pair.split(" = ") for pair in pairs.split(", "))
        text = step.text
        for old, new in replaced.items():
            text = text.replace(old, new)
        lines += _commands(step, text)
    return "\n".join(lines)


def _commands(block: Block, text: str) -> Iterator[str]:
    """Yield the lines of shell for a block; none for what is only shown."""
    name, ready = block.mark("file"), block.mark("background")
    if name is not None:
        yield f'printf %s {shlex.quote(text)} > "$START"/{shlex.quote(name)}'
    elif block.language != "sh" or block.mark("not run") is not None:
        return
    elif (code := block.mark("exit code")) is not None:
        yield f"code=0; {{ {text}}} || code=$?; test $code = {code}"
    elif ready is None:
        yield text
    else:
        said, _, folders = ready.partition(", in ")
        for folder in folders.split() or ["."]:
            for command in text.splitlines():
                yield f"background {folder} {shlex.quote(said)} {shlex.quote(command)}"


@functools.cache
def own_network() -> tuple[str, ...]:
    """Return what gives a command a network of its own, in which its ports are free; nothing elsewhere."""
    begin = (
        "unshare",
        "--map-root-user",
        "--net",
        "--",
        "bash",
        "-c",
        'ip link set lo up && exec "$@"',
        "bash",
    )
    tried = shutil.which("unshare") and subprocess.run([*begin, "true"], check=False, capture_output=True)
    return begin if tried and tried.returncode == 0 else ()


def follow(page: Page, folder: Path) -> None:
    """Do in a folder what a page says."""
    binaries = folder / ".bin"
    binaries.mkdir(exist_ok=True)
    for name, start in (("python", ""), ("python3", ""), ("plan", "-m planner ")):
        (binaries / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {start}"$@"\n')
        (binaries / name).chmod(0o755)
    modules = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(modules),
        "START": str(folder),
    }
    script = script_of(page)
    if "plan cache clear" in script:  # other tests use theirs
        own["XDG_CACHE_HOME"] = str(folder / "cache")
    with subprocess.Popen(
        [*own_network(), "bash", "-c", script],
        cwd=folder,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=_LONGEST_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it started
    assert process.returncode == 0, out[-4000:] + err[-4000:]
