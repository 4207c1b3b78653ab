"""End to end over three hosts with shaped links: what a plan predicts beside what requests take.

    python benchmarks/hosts.py [quickstart] [mobilenetv2] [--rates 1,5,20,100] [--requests 200]

Needs root, for network namespaces. For each rate of the link from the camera to the gateway: hosts
that serve nothing measure the links, a plan is made from them, deployed, started, and asked; so are the
plans that people would use instead. Slower devices are this machine, paced; scenarios are changed as
`host_scenarios.py` says. Processors are kept awake: see `awake_processors.py`.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awake_processors import awake_processors
from host_scenarios import CABLE_MBIT_PER_S, HOSTS, HostScenario
from rich.console import Console
from rich.table import Table
from shaped_hosts import ShapedHosts, run, shaped_hosts
from stolen_time import processor_times

_MILLI = 1e3
_MOST_S = 60.0  # of requests by one plan: of slow ones fewer are sent, but at least these
_LEAST = 10
_JOINT = "joint"
_OTHERS: dict[str, dict[str, Any]] = {
    "all on camera": {"placement": {"pin": {"*": "camera"}}},
    "all on server": {"placement": {"pin": {"*": "server"}}},
    "best fp32 cut": {"placement": {"precision": {"*": "fp32"}}},
}


@dataclass(frozen=True)
class Row:
    """A plan at a rate."""

    model: str
    mbit_per_s: float
    measured_mbit_per_s: float
    plan: str
    requests: int
    predicted_s: float
    p50_s: float
    p90_s: float
    overhead_s: float
    stolen: float  # share of the processors' time that this virtual machine did not get meanwhile

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.p50_s / self.predicted_s - 1


def ask(
    model: HostScenario, hosts: ShapedHosts, folder: Path, scenario: Path, most: int
) -> tuple[int, dict[str, Any], float] | None:
    """Plan, deploy, start and ask; None where there is no plan."""
    done = run(["plan", str(scenario), "--out", str(folder / "plan"), "--quiet"])
    if done.returncode:
        return None
    used = hosts.deploy(folder / "plan", folder / "deploy")
    with hosts.serving(used, "--paced"):
        few = hosts.ask("request", "--input", str(model.samples(_LEAST)), "--deadline-s", "120")
        count = min(most, max(_LEAST, int(_MOST_S / few["round_trip"]["p50_s"])))
        before = processor_times()
        asked = hosts.ask("request", "--input", str(model.samples(count)), "--deadline-s", "120")
        stolen = processor_times().stolen_since(before)
    return count, asked, stolen


def rows(model: HostScenario, hosts: ShapedHosts, rate: float, folder: Path, most: int) -> Iterator[Row]:
    """Yield what each plan took at a rate."""
    hosts.shape(rate, CABLE_MBIT_PER_S)
    links = hosts.seen_links(model.write(), folder / "links")
    first = next(link for link in links["links"] if link["from"] == HOSTS[0])
    for name, changes in ({_JOINT: {}} | _OTHERS).items():
        found = ask(model, hosts, folder, model.write(links, changes), most)
        if found is None:
            continue
        count, asked, stolen = found
        yield Row(
            model.name,
            rate,
            first["bandwidth_mbit_per_s"],
            name,
            count,
            asked["predicted_latency_s"],
            asked["latency"]["p50_s"],
            asked["latency"]["p90_s"],
            asked["overhead"]["p50_s"],
            stolen,
        )


def table_of(all_rows: list[Row]) -> Table:
    """Return the table, with a remark on the best plan of each rate."""
    table = Table(title="one request after the other; milliseconds")
    for heading in (
        "model",
        "Mbit/s",
        "seen",
        "plan",
        "n",
        "predicted",
        "p50",
        "p90",
        "hosts",
        "off",
        "stolen",
        "best",
    ):
        table.add_column(heading, justify="left" if heading in {"model", "plan"} else "right")
    for row in all_rows:
        beside = [one for one in all_rows if (one.model, one.mbit_per_s) == (row.model, row.mbit_per_s)]
        marks = [
            word
            for word, best in (
                ("predicted", min(one.predicted_s for one in beside) == row.predicted_s),
                ("measured", min(one.p50_s for one in beside) == row.p50_s),
            )
            if best
        ]
        table.add_row(
            row.model,
            f"{row.mbit_per_s:g}",
            f"{row.measured_mbit_per_s:.3g}",
            row.plan,
            str(row.requests),
            *(
                f"{_MILLI * seconds:.2f}"
                for seconds in (row.predicted_s, row.p50_s, row.p90_s, row.overhead_s)
            ),
            f"{row.error:+.1%}",
            f"{row.stolen:.0%}",
            ", ".join(marks),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", default=["quickstart", "mobilenetv2"])
    parser.add_argument("--rates", default="1,5,20,100")
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    found: list[Row] = []
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as name, shaped_hosts(HOSTS) as hosts, awake_processors():
        for model in [HostScenario(one, Path(name)) for one in options.models]:
            for rate in map(float, options.rates.split(",")):
                for row in rows(model, hosts, rate, Path(name), options.requests):
                    found.append(row)
                    console.print(row)
    console.print(table_of(found))


if __name__ == "__main__":
    main()
