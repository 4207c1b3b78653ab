"""Three hosts at full load, what they weigh, and how soon they answer.

    python benchmarks/hosts_load.py [quickstart|mobilenetv2] [--rate 20] [--requests 200]

Needs root, for network namespaces; scenarios are changed as `host_scenarios.py` says. The plan is the one of
most requests per second. Memory is a host's own, less that of a process that only runs the same stages.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from awake_processors import awake_processors
from host_scenarios import CABLE_MBIT_PER_S, HOSTS, HostScenario
from rich.console import Console
from rich.table import Table
from shaped_hosts import run, shaped_hosts

_OVERLOAD = 1.5  # times what the plan promises
_BARE = """
import sys
import onnxruntime as ort, numpy as np
sys.path.insert(0, {folder!r})
from pathlib import Path
from planner.hosts.on_host.host_manifest import read_host_manifest
from planner.hosts.on_host.stage_runtime import open_stages
from planner.hosts.on_host.status import resident_mib
manifest = read_host_manifest(Path({folder!r}))
opened = open_stages(Path({folder!r}), manifest.plans, manifest.runtime) if manifest.runtime else None
print(resident_mib())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="quickstart")
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    table = Table(title=f"{options.model}, {options.rate:g} Mbit/s")
    for heading in ("what", "seen", "bar"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as name, shaped_hosts(HOSTS) as hosts, awake_processors():
        folder, scenario = Path(name), HostScenario(options.model, Path(name))
        hosts.shape(options.rate, CABLE_MBIT_PER_S)
        links = hosts.seen_links(scenario.write(), folder / "links")
        path = scenario.write(links, {"objective": "throughput"})
        done = run(["plan", str(path), "--out", str(folder / "plan"), "--quiet"])
        if done.returncode:
            raise SystemExit(done.stderr)
        one, many = (str(scenario.samples(count)) for count in (1, options.requests))
        began = time.monotonic()
        used = hosts.deploy(folder / "plan", folder / "deploy")
        with hosts.serving(used, "--paced"):
            hosts.command("request", "--input", one)
            first_s = time.monotonic() - began
            predicted = hosts.ask("request", "--input", one)["predicted_per_s"]
            rate = ("--rate", str(_OVERLOAD * predicted))
            asked = hosts.ask("request", "--input", many, "--deadline-s", "600", *rate)
            statuses = hosts.ask("hosts")["hosts"]
        share = asked["requests_per_s"] / predicted
        table.add_row("from plan deploy to the first answer", f"{first_s:.1f} s", "<= 10 s")
        table.add_row(
            "requests per second over the plan's",
            f"{asked['requests_per_s']:.1f} / {predicted:.1f} = {share:.2f}",
            ">= 0.9",
        )
        for host in used:
            bare = float(_bare(folder / "deploy" / host))
            own = statuses[host]["memory_mib"]
            table.add_row(
                f"memory of {host} beyond its stages",
                f"{own:.0f} - {bare:.0f} = {own - bare:.0f} MiB",
                "<= 60",
            )
    Console().print(table)


def _bare(folder: Path) -> str:
    """Return the MiB of a process that opens a host's stages and runs each once."""
    code = _BARE.format(folder=str(folder))
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=folder
    ).stdout


if __name__ == "__main__":
    main()
