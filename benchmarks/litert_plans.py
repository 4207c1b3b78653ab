"""How true predicted seconds and noise of random mixed LiteRT plans are."""

import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from bars import Bar
from litert_networks import MODES, alone_here
from rich.table import Table
from thread_time import take_turns

from planner.costs.whole_model import WholeModelPredictor
from planner.deployment.litert_stages import litert_mixed
from planner.inputs.prepared_scenario import prepare
from planner.refinement.measured_scenario import measure_scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.noise.noise_power import noise_power
from profiling.precision import Precision
from profiling.runtime.open_session import run_samples
from profiling.stage_session import open_stage

NETWORKS = ("digits", "MobileNetV2", "ResNet20", "DS-CNN")
MEDIAN, WORST = 0.03, 0.1
LOWEST, HIGHEST, INSIDE = 0.8, 1.25, 0.9


@dataclass(frozen=True)
class Row:
    """A random plan; seconds relative to fp32, noise as power on the samples that the law is fitted on."""

    network: str
    units: int
    quantized: int
    switches: int
    predicted: float
    measured: float
    noise_predicted: float
    noise_measured: float

    @property
    def time_error(self) -> float:
        """How far the predicted seconds are from the measured ones, as a fraction of these."""
        return abs(self.predicted / self.measured - 1)

    @property
    def noise_ratio(self) -> float:
        """Predicted over measured noise power; infinite where none was measured."""
        return self.noise_predicted / self.noise_measured if self.noise_measured else math.inf

    @property
    def noise_is_true(self) -> bool:
        """Whether the predicted noise is as near as it should be."""
        return LOWEST <= self.noise_ratio <= HIGHEST


def run(network: str, count: int) -> list[Row]:
    """Predict and measure random plans of a network."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = alone_here(network, Path(folder), (Precision.FP32, *MODES))
        prepared = prepare(scenario)
        found = measure_scenario(prepared)
        graph = prepared.models.graph
        whole = WholeModelPredictor(scenario, graph, found.costs(found.latency))
        calibration = prepared.subject.calibration
        feeds = calibration.samples[0]
        samples = list(calibration.spread(scenario.profiling.noise_samples).samples)
        fp32 = litert_mixed(graph, {}, prepared.ranges)
        exact = list(run_samples(open_stage(fp32, prepared.runtime), samples))
        rows = []
        for mix in random_mixes(graph, count):
            mixed = litert_mixed(graph, mix, prepared.ranges)
            kinds = [mix.get(unit.index, Precision.FP32) for unit in graph.units]
            answers = run_samples(open_stage(mixed, prepared.runtime), samples)
            rows.append(
                Row(
                    network,
                    len(kinds),
                    len(mix),
                    sum(a is not b for a, b in pairwise(kinds)),
                    whole.ratio_to_fp32(mix),
                    take_turns([(fp32, feeds), (mixed, feeds)]).ratio(1, 0),
                    found.noise_model.predict(whole.cost(mix).noise_power),
                    noise_power(answers, exact),
                )
            )
        return rows


def random_mixes(graph: OperatorGraph, count: int) -> Iterator[dict[int, Precision]]:
    """Yield mixes that change their precision along the units, rarely in the first, often in the last."""
    rng = np.random.default_rng(0)
    kinds = (Precision.FP32, *MODES)
    for probability in np.linspace(0.05, 0.4, count):
        mix: dict[int, Precision] = {}
        while not mix:  # fp32 alone has nothing to predict
            kind = kinds[rng.integers(len(kinds))]
            wanted = {}
            for unit in graph.units:
                if rng.random() < probability:
                    kind = kinds[rng.integers(len(kinds))]
                if kind is not Precision.FP32 and unit.can_be(kind):
                    wanted[unit.index] = kind
            mix = graph.resolve_precisions(wanted)
        yield mix


def table(rows: Sequence[Row]) -> Table:
    made = Table(title="plans: predicted against measured", title_justify="left")
    heads = ("network", "units", "plans", "changes of precision", "time / fp32", "time: median error",
             "p90", "worst", f"noise within {LOWEST} to {HIGHEST}", "lowest", "highest")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head == "network" else "right")
    for network, own in by_network(rows).items():
        errors, noise = [row.time_error for row in own], [row.noise_ratio for row in own]
        measured, switches = [row.measured for row in own], [row.switches for row in own]
        made.add_row(
            network, str(own[0].units), str(len(own)), f"{min(switches)} to {max(switches)}",
            f"{min(measured):.2f} to {max(measured):.2f}", f"{statistics.median(errors):.1%}",
            f"{np.quantile(errors, 0.9):.1%}", f"{max(errors):.1%}",
            f"{sum(row.noise_is_true for row in own)} of {len(own)}",
            f"{min(noise):.2f}", f"{max(noise):.2f}",
        )  # fmt: skip
    return made


def by_network(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        name: [row for row in rows if row.network == name] for name in dict.fromkeys(r.network for r in rows)
    }


def bars(rows: Sequence[Row]) -> list[Bar]:
    medians = {
        name: statistics.median(row.time_error for row in own) for name, own in by_network(rows).items()
    }
    slowest = max(medians, key=lambda name: medians[name])
    worst = max(rows, key=lambda row: row.time_error)
    true = sum(row.noise_is_true for row in rows)
    return [
        Bar(
            "plans: median error of time, of each network",
            f"<= {MEDIAN:.0%}",
            f"{medians[slowest]:.1%} ({slowest})",
            medians[slowest] <= MEDIAN,
        ),
        Bar(
            "plans: worst error of time",
            f"<= {WORST:.0%}",
            f"{worst.time_error:.1%} ({worst.network})",
            worst.time_error <= WORST,
        ),
        Bar(
            f"plans: noise within {LOWEST} to {HIGHEST} of measured",
            f">= {INSIDE:.0%}",
            f"{true} of {len(rows)}",
            true >= INSIDE * len(rows),
        ),
    ]
