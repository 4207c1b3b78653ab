"""Whether a chain of two `.tflite` stages gives the bits of the whole, at every cut and in every mode."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bars import Bar
from litert_networks import MODES, all_in, alone_here
from rich.table import Table

from planner.deployment.litert_stages import litert_mixed, litert_stages
from planner.deployment.stage_tasks import Placement
from planner.errors import PlannerError
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.verification.stage_chain import Chain, same_bits
from profiling.arrays import Array, Feeds
from profiling.errors import ProfilingError
from profiling.precision import Precision

NETWORKS = ("digits", "MobileNetV2", "MobileNetV3Small", "ResNet20", "DS-CNN")
_FIRST, _SECOND = "first", "second"


@dataclass(frozen=True)
class Row:
    """The cuts of a network in a mode; `wrong` says which differ or failed, and how."""

    network: str
    mode: Precision
    units: int
    in_mode: int
    cuts: int
    wrong: tuple[str, ...]


def run(network: str, samples: int) -> list[Row]:
    """Cut a network before each unit and behind the last, in each mode."""
    rows = []
    for modes in ((Precision.FP32, *MODES), (Precision.INT16,)):
        with tempfile.TemporaryDirectory() as folder:
            precisions = tuple(dict.fromkeys((Precision.FP32, *modes)))
            prepared = prepare(alone_here(network, Path(folder), precisions))
            feeds = list(prepared.evaluation.spread(samples).samples)
            rows += [_row(network, prepared, mode, feeds) for mode in modes]
    return rows


def _row(network: str, prepared: Prepared, mode: Precision, feeds: Sequence[Feeds]) -> Row:
    mix, count = all_in(prepared, mode), len(prepared.models.graph.units)
    wrong = tuple(wrong_cuts(prepared, mix, feeds, range(count + 1)))
    return Row(network, mode, count, len(mix), count + 1, wrong)


def wrong_cuts(
    prepared: Prepared, mix: Mapping[int, Precision], feeds: Sequence[Feeds], cuts: Iterable[int]
) -> Iterator[str]:
    """Yield each cut at which a chain is not the whole, or that cannot be made.

    Parameters
    ----------
    cuts
        How many units lie before each.
    """
    graph, runtime = prepared.models.graph, prepared.runtime
    mixed = litert_mixed(graph, mix, prepared.ranges)
    expected = _answers(Chain([mixed], runtime), feeds, graph.outputs)
    for before in cuts:
        devices = (_FIRST,) * before + (_SECOND,) * (len(graph.units) - before)
        try:
            whole, stages = litert_stages(graph, mixed, mix, Placement(devices, _FIRST, _SECOND))
            got = _answers(Chain([stage.model for stage in stages], runtime), feeds, graph.outputs)
        except (PlannerError, ProfilingError) as exc:
            yield f"{before}: {exc}"
            continue
        if whole.content != mixed.content:  # readers behind the link take what crosses it
            expected_here = _answers(Chain([whole], runtime), feeds, graph.outputs)
        else:
            expected_here = expected
        if not all(same_bits(one, other) for one, other in zip(expected_here, got, strict=True)):
            yield f"{before}: other bits"


def _answers(chain: Chain, feeds: Sequence[Feeds], outputs: Sequence[str]) -> list[dict[str, Array]]:
    return [chain.run(each, outputs) for each in feeds]


def table(rows: Sequence[Row]) -> Table:
    made = Table(title="cuts: chains of two stages against the whole", title_justify="left")
    for head in ("network", "mode", "units", "in the mode", "cuts", "bit-equal", "the first that is not"):
        made.add_column(head, justify="left" if head in ("network", "mode") else "right")
    for row in rows:
        made.add_row(
            row.network, row.mode, str(row.units), str(row.in_mode), str(row.cuts),
            str(row.cuts - len(row.wrong)), next(iter(row.wrong), ""),
        )  # fmt: skip
    return made


def bars(rows: Sequence[Row]) -> list[Bar]:
    cuts = sum(row.cuts for row in rows)
    equal = cuts - sum(len(row.wrong) for row in rows)
    return [Bar("cuts: chains with the bits of the whole", "all", f"{equal} of {cuts}", equal == cuts)]
