"""Whether the networks of keras.applications become `.tflite` files, and those a plan that is verified.

They are built for small pictures: what is asked is whether each operator goes all the way, not how fast. Nor
is it how much noise there is: with random weights a network in int8 differs several times as much on one
picture as on another, so that plans have room.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bars import Bar
from keras_models import NETWORKS as TABULATED
from litert_cuts import wrong_cuts
from litert_networks import all_in, subject
from rich.table import Table

from planner.deployment.built_models import VerificationTarget
from planner.deployment.litert_stages import litert_mixed
from planner.errors import PlannerError
from planner.inputs.dataset import Dataset
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.plan_record import Metrics
from planner.refinement.outcome import Outcome
from planner.run import plan_scenario
from planner.scenario.schema import Scenario
from planner.verification.error_budgets import cautious_noise
from planner.verification.measure_errors import measure_errors
from profiling.errors import ProfilingError
from profiling.graph.any_model import Stage
from profiling.litert.unit_graph import LitertGraph
from profiling.on_device.clock import core_contention
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.runtime_names import LITERT

NETWORKS = tuple(TABULATED)
SIDE = 96  # of pictures
ROOM = 2.0  # for noise, over what all-int8 has
CUTS = 9  # of all-int8, evenly apart
_SAMPLES = 2  # at each cut
_CAMERA, _SERVER = "camera", "server"


@dataclass(frozen=True)
class Row:
    """What became of a network; `failed` says where it ended if it did.

    Parameters
    ----------
    difference
        The largest between its answers in Keras and in LiteRT.
    int8
        How many units are in int8 where every one is that can be.
    cuts, wrong
        Of all-int8: how many chains of two stages were tried, and which are not the whole.
    placed
        How many units the plan gives each device.
    """

    network: str
    failed: str = ""
    difference: float = 0.0
    operators: int = 0
    units: int = 0
    int8: int = 0
    cuts: int = 0
    wrong: tuple[str, ...] = ()
    int8_noise: float = 0.0
    noise_budget: float = 0.0
    placed: str = ""
    plan_int8: int = 0
    plan_noise: float = 0.0
    variables: int = 0
    plans_timed: int = 0
    bit_equal: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the network went all the way, and every chain has the bits of the whole."""
        return not self.failed and not self.wrong and self.bit_equal


def run(network: str) -> list[Row]:
    """Convert a network, put all of it in int8 and cut that, and plan it with room for noise."""
    core_contention._PATIENCE = core_contention.Patience(0.0, 0.0)  # noqa: SLF001 - nothing here is timed
    row = Row(network)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        try:
            prepared = prepare(scenario(network, folder))
            row, units = _in_int8(row, prepared), prepared.models.graph.units
            wanted = {
                "budget": {"noise_relative_rms": row.noise_budget},
                # So that there is a cut, wherever it is.
                "placement": {"pin": {units[0].name: _CAMERA, units[-1].name: _SERVER}},
            }
            return [_planned(row, plan_scenario(scenario(network, folder, **wanted)))]
        except (PlannerError, ProfilingError) as exc:
            return [replace(row, failed=str(exc))]


def scenario(network: str, folder: Path, **wanted: dict[str, Any]) -> Scenario:
    """Return a network's scenario: a camera that takes the pictures, a server twice as fast.

    Parameters
    ----------
    wanted
        Further keys of the scenario.
    """
    content: dict[str, Any] = {
        "devices": [
            {"name": _CAMERA, "scaled_from": _SERVER, "speedup": 0.5},
            {"name": _SERVER, "runtime": LITERT, "threads": 1},
        ],
        "links": [{"from": _CAMERA, "to": _SERVER, "bandwidth_mbit_per_s": 100}],
        "source": _CAMERA,
        "sink": _SERVER,
        "profiling": {"noise_samples": 2, "rounds": 3},
    } | wanted
    return subject(network, folder, side=SIDE).scenario(folder, content)


def _in_int8(row: Row, prepared: Prepared) -> Row:
    """Return the row with what every unit in int8 shows."""
    graph, made = prepared.models.graph, prepared.converted_from
    if not isinstance(graph, LitertGraph):
        raise TypeError(f"{row.network} is no .tflite model")
    mix, count = all_in(prepared, Precision.INT8), len(graph.units)
    whole = litert_mixed(graph, mix, prepared.ranges)
    noise = _errors(prepared, whole, prepared.evaluation).noise_relative_rms
    cautious = cautious_noise(_errors(prepared, whole, prepared.held_back))
    cuts = [int(cut) for cut in np.unique(np.linspace(0, count, CUTS).round())]
    feeds = list(prepared.evaluation.spread(_SAMPLES).samples)
    return replace(
        row,
        difference=made.max_abs_difference if made else 0.0,
        operators=len(graph.model.operators),
        units=count,
        int8=len(mix),
        cuts=len(cuts),
        wrong=tuple(wrong_cuts(prepared, mix, feeds, cuts)),
        int8_noise=noise,
        noise_budget=max(noise, cautious) * ROOM,
    )


def _errors(prepared: Prepared, model: Stage, data: Dataset) -> Metrics:
    whole = VerificationTarget(prepared.models.source, model, [model], [Optimization.DEFAULT])
    return measure_errors(whole, data, prepared.runtime)


def _planned(row: Row, outcome: Outcome) -> Row:
    """Return the row with what its plan shows."""
    plan = outcome.plan
    if plan.measured is None:
        return replace(row, failed=outcome.conflict or "; ".join(outcome.failures) or "no plan")
    chosen = list(plan.devices().values())
    return replace(
        row,
        failed="; ".join(outcome.failures),
        placed=", ".join(f"{name} {chosen.count(name)}" for name in dict.fromkeys(chosen)),
        plan_int8=list(plan.precisions().values()).count(Precision.INT8),
        plan_noise=plan.measured.noise_relative_rms,
        variables=plan.solver.variables,
        plans_timed=len(plan.loop),
        bit_equal=plan.measured.chain.basic_bit_equal,
    )


def table(rows: Sequence[Row]) -> Table:
    made = Table(
        title=f"networks: from keras.applications to a verified plan, pictures of {SIDE} x {SIDE}",
        title_justify="left",
    )
    heads = ("network", "difference", "operators", "units", "all int8", "chains equal", "noise int8",
             "(may be)", "plan's units of", "int8", "noise", "variables", "plans timed",
             "verified")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head == "network" else "right")
    for row in rows:
        made.add_row(
            row.network, f"{row.difference:.1e}", str(row.operators), str(row.units), str(row.int8),
            f"{row.cuts - len(row.wrong)} of {row.cuts}", f"{row.int8_noise:.3f}", f"{row.noise_budget:.3f}",
            row.placed, str(row.plan_int8), f"{row.plan_noise:.3f}", str(row.variables),
            str(row.plans_timed), row.failed or ("bit-equal" if row.bit_equal else "NO"),
        )  # fmt: skip
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    kept = [row for row in rows if row.is_kept]
    seen = f"{len(kept)} of {len(rows)}"
    return [Bar("networks: converted, all int8 cut, plan verified", "all", seen, len(kept) == len(rows))]
