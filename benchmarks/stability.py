"""Whether the same command gives the same plan, and `plan compare` the number that `plan` gives.

    python benchmarks/stability.py [--runs N] [--anew N] [--beside N] [SCENARIO ...]

SCENARIO is a name in scenarios/ (quickstart by default). Each command is a process of its own: `plan` several
times from one cache, then each time from an empty one, then `plan compare` at the scenario's own bandwidth
and over a range. `--beside` keeps the processors busy with processes that come and go.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bars import ROOT, Bar, bars_table, circumstances
from busy_processes import busy_processes
from rich.console import Console
from rich.table import Table

from planner.scenario.loader import load_scenario

_RANGE = (0.2, 5.0)  # times the scenario's own bandwidth
_QUIET, _BUSY = (1.0, 0.01, 0.02, 0.02, 0.02), (0.9, 0.01, 0.02, 0.03, 0.03)


@dataclass(frozen=True)
class Told:
    """What one `plan` told.

    Parameters
    ----------
    placed
        Device and precision of each unit.
    predicted, measured
        Seconds of all stages over the fp32 model's.
    tied
        Whether it said that other plans are as good, as far as costs can tell.
    """

    placed: tuple[tuple[str, str], ...]
    objective: float
    predicted: float
    measured: float
    tied: bool
    noisy: bool

    @classmethod
    def of(cls, plan: dict[str, Any]) -> "Told":
        """Return what a `plan.json` says."""
        return cls(
            tuple((one["device"], one["precision"]) for one in plan["assignments"]),
            plan["objective"]["value"],
            plan["predicted"]["chain_ratio_to_fp32"],
            plan["measured"]["chain_ratio_to_fp32"],
            plan.get("tie") is not None,
            bool(plan.get("noisy_costs")),
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--anew", type=int, default=5)
    parser.add_argument("--beside", type=int, default=0)
    given = parser.parse_args()
    console = Console()
    console.print(circumstances("onnxruntime", "splitquant"))
    console.print(f"beside {given.beside} busy processes that come and go")
    bars: list[Bar] = []
    for name in given.scenarios or ["quickstart"]:
        with busy_processes(given.beside):
            bars += _scenario(console, name, given)
    console.print(bars_table(bars))


def _scenario(console: Console, name: str, given: argparse.Namespace) -> list[Bar]:
    scenario = ROOT / "scenarios" / f"{name}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "cache"
        again = [_plan(scenario, kept, Path(folder)) for _ in range(given.runs)]
        ratios = _compared(scenario, kept, Path(folder), again[-1])
    anew = []
    for _ in range(given.anew):
        with tempfile.TemporaryDirectory() as folder:
            anew.append(_plan(scenario, Path(folder) / "cache", Path(folder)))
    console.print(_table(name, {"profile cached": again, "empty cache": anew}))
    same, near_again, near_anew, true, equal = _BUSY if given.beside else _QUIET
    errors = [abs(one.predicted / one.measured - 1) for one in (*again[:1], *anew)]
    share = _most_common(again) / len(again)
    return [
        _at_least(f"{name}: the same plan, cached", same, share),
        _at_most(f"{name}: objectives, cached", near_again, _apart(again)),
        _at_most(f"{name}: objectives, empty caches", near_anew, _apart(anew)),
        _at_most(f"{name}: delivered plan, median error of its time", true, statistics.median(errors)),
        _at_most(f"{name}: plan compare against plan", equal, max(ratios, default=0.0)),
    ]


def _plan(scenario: Path, cache: Path, folder: Path) -> Told:
    told = _command([str(scenario), "--json", "--out", str(folder / "plan")], cache)
    return Told.of(told)


def _compared(scenario: Path, cache: Path, folder: Path, plan: Told) -> list[float]:
    """Return by how much `plan compare` tells another latency for that plan, alone and in a range."""
    link = load_scenario(scenario).links[0]
    own = link.bandwidth_mbit_per_s
    low, high = (factor * own for factor in _RANGE)
    differences = []
    for bandwidths in (f"{own:g}", f"{low:g},{own:g},{high:g}"):
        command = ["compare", str(scenario), "--link", f"{link.source}-{link.target}"]
        found = _command([*command, "--bandwidth", bandwidths, "--json", "--out", str(folder / "c")], cache)
        for line in found["plans"]:
            if tuple(zip(line["devices"], line["precisions"], strict=True)) == plan.placed:
                latency = line["fixed_s"] + line["link_s"] / own
                differences.append(abs(latency / plan.objective - 1))
    return differences


def _command(arguments: Sequence[str], cache: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "planner", *arguments],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"plan {' '.join(arguments)}: exit code {done.returncode}")
    return dict(json.loads(done.stdout))


def _table(name: str, runs: dict[str, list[Told]]) -> Table:
    table = Table(
        "runs", "of", "the same plan", "objectives apart", "predicted / measured", "ties", "noisy", title=name
    )
    for what, told in runs.items():
        if told:
            ratios = [one.predicted / one.measured for one in told]
            table.add_row(
                what,
                str(len(told)),
                str(_most_common(told)),
                f"{_apart(told):.2%}",
                f"{min(ratios):.3f} to {max(ratios):.3f}",
                str(sum(one.tied for one in told)),
                str(sum(one.noisy for one in told)),
            )
    return table


def _most_common(told: Sequence[Told]) -> int:
    return Counter(one.placed for one in told).most_common(1)[0][1]


def _apart(told: Sequence[Told]) -> float:
    """Return how far objectives are from their median, at most."""
    if not told:
        return 0.0
    middle = statistics.median(one.objective for one in told)
    return max(abs(one.objective / middle - 1) for one in told)


def _at_least(text: str, wanted: float, seen: float) -> Bar:
    return Bar(text, f">= {wanted:.0%}", f"{seen:.0%}", seen >= wanted)


def _at_most(text: str, wanted: float, seen: float) -> Bar:
    return Bar(text, f"<= {wanted:.0%}", f"{seen:.2%}", seen <= wanted)


if __name__ == "__main__":
    main()
