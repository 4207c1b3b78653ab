"""Whether models that hold many precisions at once are whole when they are cut, with every wire.

    python benchmarks/precision_mixes.py [--mixes N] [--cuts N] [MODEL ...]

MODEL is mobilenetv2, mobilenetv1, resnet56, kwt1 or yolox (by default all of these); their data lie where
SPLITQUANT_DATA points. Each unit gets one of the precisions that it can have, at random. The model is built,
cut at evenly spread places and, for each wire, float tensors that cross are written so. A chain of the two
stages has to have the bits of the whole model, and as many kernels on integers. Nothing is timed.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bars import Bar, bars_table, circumstances
from precision_profiles import MODELS
from prediction import scenario_of
from ranges import scenario_with
from rich.console import Console
from rich.table import Table

from planner.costs.whole_model import single_device_scenario
from planner.deployment.build import build
from planner.deployment.built_models import verification_target
from planner.devices.runtime import measured_devices
from planner.errors import PlannerError
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.configuration import Configuration
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.schema import Scenario
from planner.verification.accuracy_and_noise import MetricsSum
from planner.verification.chain_check import check_chain
from profiling.arrays import Feeds
from profiling.errors import ProfilingError
from profiling.graph.unit_graph import ModelGraph
from profiling.precision import OFFERED, Precision, Wire
from profiling.runtime.open_session import open_session, run_samples

_SAMPLES = 2  # that a chain and the whole answer
_LEAST = 3  # precisions that a model is to hold, fp32 apart
_FIRST, _SECOND = "first", "second"
_WITHOUT_SCENARIO = "mobilenetv1"


@dataclass(frozen=True)
class Row:
    """A mix of a model, cut with one kind of wire; `wrong` says which cuts differ or failed, and how."""

    model: str
    mix: int
    precisions: tuple[tuple[Precision, int], ...]
    noise: float
    wire: str
    cuts: int
    crossings: int
    wrong: tuple[str, ...]


def run(name: str, mixes: int, cuts: int) -> Iterator[Row]:
    """Yield the rows of a model."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = _on_two_devices(prepare(_scenario(name, Path(folder))))
        graph = prepared.models.graph
        if not isinstance(graph, ModelGraph):
            raise TypeError(f"{name} is no ONNX model")
        feeds = list(prepared.evaluation.spread(_SAMPLES).samples)
        before = np.unique(np.linspace(0, len(graph.units), cuts).round().astype(int)).tolist()
        for seed in range(mixes):
            mix = random_mix(graph, seed)
            counts, noise = Counter(mix.values()), _noise(prepared, graph, mix, feeds)
            for wire in (None, *Wire):
                wrong, crossings = [], 0
                for cut in before:
                    fault, crossed = _cut(prepared, graph, mix, cut, wire, feeds)
                    crossings += crossed
                    wrong += [f"{cut}: {fault}"] if fault else []
                yield Row(
                    name,
                    seed,
                    tuple((kind, counts[kind]) for kind in Precision if counts[kind]),
                    noise,
                    "as computed" if wire is None else wire.value,
                    len(before),
                    crossings,
                    tuple(wrong),
                )


def random_mix(graph: ModelGraph, seed: int) -> dict[int, Precision]:
    """Return unit -> its precision, fp32 apart, each drawn from those that it can have."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for unit in graph.units:
        able = [kind for kind in (Precision.FP32, *OFFERED) if unit.can_be(kind)]
        drawn[unit.index] = able[int(rng.integers(len(able)))] if able else Precision.FP32
    asked = {unit: kind for unit, kind in drawn.items() if kind is not Precision.FP32}
    return graph.resolve_precisions(asked)


def _scenario(name: str, folder: Path) -> Scenario:
    """Return a model's scenario on its measured device alone, in all precisions, without its budget."""
    full = scenario_with(name, {}, 200, folder) if name == _WITHOUT_SCENARIO else scenario_of(name, folder)
    changes = {"precisions": (Precision.FP32, *OFFERED), "budget": BudgetSpec()}
    full = full.model_copy(update=changes)
    return single_device_scenario(full, measured_devices(full)[0])


def _on_two_devices(prepared: Prepared) -> Prepared:
    """Return the same on two devices like the one that it has."""
    (device,) = prepared.scenario.devices
    scenario = prepared.scenario.model_copy(
        update={
            "devices": tuple(device.model_copy(update={"name": name}) for name in (_FIRST, _SECOND)),
            "source": _FIRST,
            "sink": _SECOND,
        }
    )
    schemes = dict.fromkeys((_FIRST, _SECOND), prepared.schemes[device.name])
    return replace(prepared, scenario=scenario, schemes=schemes)


def _cut(
    prepared: Prepared,
    graph: ModelGraph,
    mix: dict[int, Precision],
    before: int,
    wire: Wire | None,
    feeds: Sequence[Feeds],
) -> tuple[str, int]:
    """Return what is wrong with a cut behind so many units, and how many tensors cross in the wire's form."""
    devices = (_FIRST,) * before + (_SECOND,) * (len(graph.units) - before)
    quantized = graph.tensor_precisions(mix)
    wires = {
        name: wire
        for name in graph.boundary_tensors()
        if wire is not None and name not in quantized and graph.tensors[name].is_float
    }
    precisions = tuple(mix.get(unit.index, Precision.FP32) for unit in graph.units)
    configuration = Configuration(devices, precisions, tuple(wires.items()))
    try:
        built = build(prepared, configuration)
        check = check_chain(verification_target(prepared, built), feeds, prepared.runtime)
    except (PlannerError, ProfilingError) as exc:
        return str(exc), 0
    received = {name for stage in built.stages[1:] for name in stage.inputs}
    crossed = sum(1 for name in received if name not in graph.tensors)
    if not check.basic_bit_equal:
        return "other bits", crossed
    if check.integer_kernels < check.integer_kernels_whole:
        return f"{check.integer_kernels} of {check.integer_kernels_whole} kernels on integers", crossed
    return "", crossed


def _noise(prepared: Prepared, graph: ModelGraph, mix: dict[int, Precision], feeds: Sequence[Feeds]) -> float:
    """Return the relative RMS error of the whole model in a mix."""
    precisions = tuple(mix.get(unit.index, Precision.FP32) for unit in graph.units)
    built = build(prepared, Configuration((_SECOND,) * len(graph.units), precisions))
    total = MetricsSum()
    answers = (
        run_samples(open_session(model, prepared.runtime), feeds) for model in (built.mixed, graph.model)
    )
    for got, want in zip(*answers, strict=True):
        total.add(got, want, None)
    return total.result().noise_relative_rms


def table(rows: Sequence[Row]) -> Table:
    """Return what became of the cuts."""
    heads = ("model", "mix", "units in", "error", "wire", "coded tensors", "cuts", "whole", "first fault")
    made = Table(*heads, title="mixes: chains of two stages against the whole model", title_justify="left")
    for row in rows:
        made.add_row(
            row.model,
            str(row.mix),
            ", ".join(f"{count} {kind}" for kind, count in row.precisions),
            f"{row.noise:.3g}",
            row.wire,
            str(row.crossings),
            str(row.cuts),
            str(row.cuts - len(row.wrong)),
            next(iter(row.wrong), ""),
        )
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return whether every mix holds enough precisions, and every chain is the whole."""
    least = min(len(row.precisions) for row in rows)
    cuts, wrong = sum(row.cuts for row in rows), sum(len(row.wrong) for row in rows)
    models = {row.model for row in rows}
    finite = sum(np.isfinite(row.noise) for row in rows)
    return [
        Bar("models", f"{len(MODELS)}", f"{len(models)}", len(models) == len(MODELS)),
        Bar("precisions in a model at once, fp32 apart", f">= {_LEAST}", str(least), least >= _LEAST),
        Bar("chains with the bits of the whole", "all", f"{cuts - wrong} of {cuts}", wrong == 0),
        Bar("mixes with answers that are numbers", "all", f"{finite} of {len(rows)}", finite == len(rows)),
    ]


def main() -> None:
    """Print a row for each mix and wire, and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--mixes", type=int, default=2, help="of each model (default: 2)")
    parser.add_argument("--cuts", type=int, default=9, help="of each mix, with each wire (default: 9)")
    given = parser.parse_args()
    console = Console(width=max(200, Console().width))
    console.print(circumstances("onnxruntime", "splitquant"))
    rows = [row for name in given.models or MODELS for row in run(name, given.mixes, given.cuts)]
    console.print(table(rows))
    console.print(bars_table(bars(rows)))


if __name__ == "__main__":
    main()
