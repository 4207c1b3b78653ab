"""How many plans break an error budget on samples that planning has never seen.

    python benchmarks/held_out.py [--plans N] [--processes N]

Needs SPLITQUANT_DATA. Each plan of ResNet20 has samples of its own, to calibrate and to evaluate with, and a
budget of its own, on noise or on accuracy, all drawn at random. What it shows on the other test pictures of
CIFAR-10 is compared with the budget. Seconds are made up, so that nothing is timed to choose a plan.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from bars import Bar, bars_table, circumstances
from rich.console import Console
from rich.table import Table
from trained_networks import NETWORKS, is_there, test_labels

from planner.run import plan_scenario
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from planner.verification.binomial_confidence import share_bounds
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model
from profiling.runtime.open_session import Runtime, open_session, run_samples

_NETWORK, _TRAIN, _TEST, _CALIBRATION, _EVALUATION = NETWORKS["ResNet20"], 500, 2000, 200, 300
_DROPS = (0.01, 0.02, 0.03, 0.05)
_LEAST_NOISE, _MOST_NOISE = 0.005, 0.05  # all in int8 makes 0.04
_MOST_BROKEN = 0.03
_INT8_SPEED = 2.0


@dataclass(frozen=True)
class Trial:
    """A plan: its budget, and what evaluation samples and unseen ones show of what the budget limits."""

    number: int
    budget: str
    limit: float
    delivered: bool
    int8: int
    evaluated: float
    unseen: float

    @property
    def is_broken(self) -> bool:
        """Whether unseen samples are above the limit."""
        return self.unseen > self.limit


def try_one(number: int) -> Trial:
    """Plan with samples and a budget that follow from a number, and run the plan on unseen samples."""
    rng = np.random.default_rng(number)
    pictures, labels = _channels_first(_NETWORK.samples(_TEST, 1)), test_labels(_TEST)
    order = rng.permutation(_TEST)
    seen, unseen = order[:_EVALUATION], order[_EVALUATION:]
    budget = (
        {"noise_relative_rms": float(np.exp(rng.uniform(np.log(_LEAST_NOISE), np.log(_MOST_NOISE))))}
        if number % 2
        else {"accuracy_drop": float(rng.choice(_DROPS))}
    )
    calibration = _channels_first(_NETWORK.samples(_TRAIN, 0))[rng.permutation(_TRAIN)[:_CALIBRATION]]
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"calibration": (calibration, None), "evaluation": (pictures[seen], labels[seen])}
        outcome = plan_scenario(_scenario(Path(folder), arrays, budget))
    ((name, limit),) = budget.items()
    measured = outcome.plan.measured
    if measured is None or outcome.built is None:
        return Trial(number, name, limit, delivered=False, int8=0, evaluated=0.0, unseen=0.0)
    model = load_model(_NETWORK.path, {})
    (feed,), (answer,) = ([end.name for end in ends] for ends in (model.graph.input, model.graph.output))
    samples = [{feed: picture} for picture in pictures[unseen]]
    want, got = (
        np.concatenate([one[answer] for one in run_samples(open_session(each, Runtime()), samples)])
        for each in (model, outcome.built.mixed)
    )
    hits = [float((scores.argmax(axis=-1).ravel() == labels[unseen]).mean()) for scores in (want, got)]
    noise = float(np.sqrt(np.square(got - want).sum() / np.square(want).sum()))
    is_noise = name == "noise_relative_rms"
    lost = (measured.accuracy_fp32 or 0.0) - (measured.accuracy or 0.0)
    return Trial(
        number,
        name,
        limit,
        delivered=outcome.is_delivered,
        int8=sum(one.precision == "int8" for one in outcome.plan.assignments),
        evaluated=measured.noise_relative_rms if is_noise else lost,
        unseen=noise if is_noise else hits[0] - hits[1],
    )


def _channels_first(pictures: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(pictures, -1, 2))


def _scenario(
    folder: Path, arrays: dict[str, tuple[np.ndarray, np.ndarray | None]], budget: dict[str, float]
) -> Scenario:
    graph = build_graph(prepare_model(load_model(_NETWORK.path, {})))
    data: dict[str, dict[str, str]] = {}
    for part, (pictures, labels) in arrays.items():
        given = {} if labels is None else {"labels": labels}
        np.savez(folder / f"{part}.npz", **{graph.inputs[0]: pictures}, **given)
        data[part] = {"npz": str(folder / f"{part}.npz")} | ({"labels": "labels"} if given else {})
    rows = [
        f"{unit.name},{precision},{1e-4 / speed}"
        for unit in graph.units
        for precision, speed in (("fp32", 1.0), ("int8", _INT8_SPEED))
    ]
    (folder / "seconds.csv").write_text("\n".join(["unit,precision,seconds", *rows]))
    content = {
        "model": str(_NETWORK.path),
        "data": data,
        "devices": [{"name": "here", "profile": str(folder / "seconds.csv")}],
        "source": "here",
        "sink": "here",
        "budget": budget,
    }
    scenario, faults = check_scenario(json.dumps(content))
    if scenario is None:
        raise SystemExit(str(faults))
    return scenario


def table(trials: Sequence[Trial]) -> Table:
    """Return what each budget's plans show on unseen samples."""
    shown = Table(
        "budget", "plans", "delivered", "broken on unseen samples", "of the limit: median", "p90", "most"
    )
    for name in dict.fromkeys(trial.budget for trial in trials):
        own = [trial for trial in trials if trial.budget == name]
        kept = [trial for trial in own if trial.delivered]
        parts = [trial.unseen / trial.limit for trial in kept] or [0.0]
        shown.add_row(
            name,
            str(len(own)),
            str(len(kept)),
            str(sum(trial.is_broken for trial in kept)),
            f"{np.median(parts):.2f}",
            f"{np.percentile(parts, 90):.2f}",
            f"{max(parts):.2f}",
        )
    return shown


def bars(trials: Sequence[Trial]) -> list[Bar]:
    """Return how many delivered plans may break their budget, and how many do."""
    kept = [trial for trial in trials if trial.delivered]
    broken = sum(trial.is_broken for trial in kept)
    low, high = share_bounds(broken, len(kept))
    seen = f"{broken} of {len(kept)} ({low:.1%} to {high:.1%} of all such plans)"
    return [
        Bar("delivered plans that unseen samples show broken", f"<= {_MOST_BROKEN:.0%}", seen,
            broken <= _MOST_BROKEN * len(kept)),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if not is_there():
        raise SystemExit("ResNet20 and CIFAR-10 are not where SPLITQUANT_DATA points")
    console = Console()
    console.print(circumstances("onnxruntime", "onnx", "numpy"))
    trials = []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for trial in pool.map(try_one, range(given.plans)):
            trials.append(trial)
            console.print(
                f"{trial.number}: {trial.budget} {trial.limit:.3f}, {trial.int8} int8, on evaluation samples "
                f"{trial.evaluated:.4f}, unseen {trial.unseen:.4f}"
                f"{'' if trial.delivered else ', not delivered'}{', BROKEN' if trial.is_broken else ''}",
                highlight=False,
            )
    console.print(table(trials))
    console.print(bars_table(bars(trials)))


if __name__ == "__main__":
    main()
