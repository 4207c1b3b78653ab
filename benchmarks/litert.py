"""Prints how exact, how true and how good plans of `.tflite` models are, against what we want.

    python benchmarks/litert.py [cuts] [plans] [modes] [runtimes] [two] [networks] [--models NAME ...]

Needs the extras litert and tensorflow. Each network has a process of its own; what they measure is kept in a
folder that is empty at first, so run it on an otherwise idle machine. Seconds are processor time of the one
thread that computes. Digits is trained, and MobileNetV2, ResNet20 and DS-CNN are where `SPLITQUANT_DATA` has
them; else weights are random, and noise is that of random weights.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import litert_cuts
import litert_keras
import litert_modes
import litert_plans
import litert_runtimes
import litert_two
from bars import Bar, bars_table, circumstances
from own_process import alone
from rich.console import Console
from rich.table import Table

_CONSOLE = Console(width=190)
_PACKAGES = ("ai-edge-litert", "onnxruntime")


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Parameters
    ----------
    run
        Network -> rows.
    table, bars
        Of the rows of all networks.
    at_once
        How many networks: one where anything is timed.
    """

    networks: tuple[str, ...]
    run: Callable[[str], Sequence[Any]]
    table: Callable[[Sequence[Any]], Table]
    bars: Callable[[Sequence[Any]], list[Bar]]
    at_once: int = 1


def parts(plans: int, samples: int) -> dict[str, Part]:
    """Return the parts by name."""
    modules = {
        "cuts": (litert_cuts, partial(litert_cuts.run, samples=samples)),
        "plans": (litert_plans, partial(litert_plans.run, count=plans)),
        "modes": (litert_modes, litert_modes.run),
        "runtimes": (litert_runtimes, litert_runtimes.run),
        "two": (litert_two, litert_two.run),
        "networks": (litert_keras, litert_keras.run),
    }
    return {
        name: Part(one.NETWORKS, run, one.table, one.bars, (os.cpu_count() or 1) if name == "cuts" else 1)
        for name, (one, run) in modules.items()
    }


def show(name: str, part: Part, networks: Sequence[str]) -> list[Bar]:
    """Run a part, print its table, and return its bars; a network that fails is one that is missed."""
    with ThreadPoolExecutor(part.at_once) as pool:
        found = list(pool.map(partial(_rows, name, part), networks))
    failures = [each for each in found if isinstance(each, Bar)]
    rows = [row for each in found if not isinstance(each, Bar) for row in each]
    if rows:
        _CONSOLE.print(part.table(rows))
    return [*(part.bars(rows) if rows else []), *failures]


def _rows(name: str, part: Part, network: str) -> Sequence[Any] | Bar:
    began = time.perf_counter()
    try:
        found, peak = alone(part.run, network)
    except Exception as exc:  # noqa: BLE001  whatever it is, the other rows are wanted
        text = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
        return Bar(f"{name}: {network}", "rows", text, kept=False)
    seconds = time.perf_counter() - began
    print(f"{name}, {network}: {seconds:.0f} s, {peak:.0f} MiB", file=sys.stderr, flush=True)
    return found  # type: ignore[return-value]


def main() -> None:
    known = parts(0, 0)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    parser.add_argument("--models", nargs="+", metavar="NAME", help="of those that a part has")
    parser.add_argument("--plans", type=int, default=12, help="random ones of each network (default: 12)")
    parser.add_argument("--samples", type=int, default=2, help="at each cut (default: 2)")
    parser.add_argument("--cache", metavar="FOLDER", help="where measurements stay; an empty one by default")
    given = parser.parse_args()
    names = {network for part in known.values() for network in part.networks}
    for word, choices in ((given.parts, known), (given.models or [], names)):
        unknown = [each for each in word if each not in choices]
        if unknown:
            parser.error(f"no such one: {unknown[0]}; there are {', '.join(sorted(choices))}")
    chosen = parts(given.plans, given.samples)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = given.cache or folder
        _CONSOLE.print(circumstances(*_PACKAGES))
        bars = []
        for name in given.parts or chosen:
            part = chosen[name]
            bars += show(name, part, [n for n in part.networks if not given.models or n in given.models])
    if bars:
        _CONSOLE.print(bars_table(bars))


if __name__ == "__main__":
    main()
