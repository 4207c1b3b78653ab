"""Runs every generated bad input and prints, per door, what came of it.

    python benchmarks/bad_input.py [DOOR ...]

Each case has a process and a copy of a small folder of its own, at most 30 s and 2 GiB. It is forked from one
that has loaded the command, so that the table is of the planner and not of its imports.
"""

import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from bad_inputs import Case, build, cases, fresh_copy, shortcomings  # noqa: E402

# Commands load what they need when they are called: here once for all.
from planner.cli.commands import main as plan  # noqa: E402
from planner.cli.process.standard_output import keep_standard_output  # noqa: E402

_MOST_S, _MOST_BYTES = 30, 2 * 2**30


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a case."""

    case: Case
    code: int
    seconds: float
    peak_bytes: int
    faults: tuple[str, ...]
    said: str


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bad-input-") as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        good = Path(place) / "good"
        good.mkdir()
        build(good)
        written = [("profile", "s.yaml", "--out", name) for name in ("profile.json", "before.json")]
        plans = [(name, "--out", f"../plan-{name}") for name in ("s.yaml", "p.yaml")]
        for command in (*written, *plans, ("solve", "problem.json")):
            if run_in(good, Case("", "", command, lambda _: None))[0]:
                sys.exit(f"plan {' '.join(command)}: what is to be spoiled is not good")
        wanted = [case for case in cases() if not sys.argv[1:] or case.door in sys.argv[1:]]
        ran = [run(case, good, Path(place) / "here") for case in wanted]
    _print_table(ran)
    sys.exit(any(one.faults for one in ran))


def run(case: Case, good: Path, here: Path) -> Ran:
    """Run a case in a copy of the good folder."""
    fresh_copy(good, here)
    case.spoil(here)
    begin = time.monotonic()
    code, peak_bytes = run_in(here, case)
    seconds = time.monotonic() - begin
    out, err = ((here.parent / name).read_text(errors="backslashreplace") for name in ("out", "err"))
    faults = shortcomings(case, code, out, err, here)
    if seconds > _MOST_S:
        faults.append(f"{seconds:.0f} s")
    if peak_bytes > _MOST_BYTES:
        faults.append(f"{peak_bytes / 2**30:.1f} GiB")
    ran = Ran(case, code, seconds, peak_bytes, tuple(faults), err[:300])
    if faults:
        print(f"{case.door}: {case.name}: {', '.join(faults)}: {err[:300]!r}", flush=True)
    os.system(f"rm -rf '{here}'")
    return ran


def run_in(folder: Path, case: Case) -> tuple[int, int]:
    """Return (exit code, bytes at the peak) of a case's command in a process of its own."""
    child = os.fork()
    if not child:
        _be_the_command(folder, case)
    deadline = time.monotonic() + 2 * _MOST_S
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)


def _be_the_command(folder: Path, case: Case) -> None:
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = 99
    try:
        keep_standard_output()
        plan(list(case.arguments))
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 98
    except BaseException as exc:  # noqa: BLE001  a table tells of it
        sys.stderr.write(f"Traceback: {type(exc).__name__}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _print_table(ran: list[Ran]) -> None:
    print("| door | cases | exit codes | internal errors | tracebacks | other faults | slowest | largest |")
    print("|---|---|---|---|---|---|---|---|")
    for door in (*dict.fromkeys(one.case.door for one in ran), "all"):
        rows = [one for one in ran if door in ("all", one.case.door)]
        codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(one.code for one in rows).items()))
        named = [sum(word in one.faults for one in rows) for word in ("internal error", "Traceback")]
        others = sum(bool(set(one.faults) - {"internal error", "Traceback"}) for one in rows)
        slowest, largest = max(one.seconds for one in rows), max(one.peak_bytes for one in rows)
        print(
            f"| {door} | {len(rows)} | {codes} | {named[0]} | {named[1]} | {others} | {slowest:.1f} s "
            f"| {largest / 2**20:.0f} MiB |"
        )


if __name__ == "__main__":
    main()
