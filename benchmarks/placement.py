"""Published placement workloads as PROBLEM.json.

python benchmarks/placement.py FILE.json [throughput | latency | training | revisited] > problem.json
plan solve problem.json
"""

import json
import sys
from pathlib import Path


def placement_problem(
    workload: dict, *, visits_of_cpu: int | None = 1, visits_of_accelerator: int = 1
) -> dict:
    """Return a workload of accelerators around a processor, as in Tarnawski et al. (NeurIPS 2020).

    An accelerator's load counts what it gets and gives, a processor transfers free of charge; bytes stand
    for the seconds that moving a tensor takes.

    Parameters
    ----------
    visits_of_cpu
        None lets a processor run units at any time; 1 keeps its units as contiguous as an accelerator's.
    visits_of_accelerator
        2 lets it run a part of the forward pass, and one of the backward pass.
    """
    accelerators = [f"fpga{k}" for k in range(workload["maxFPGAs"])]
    processors = [f"cpu{k}" for k in range(workload["maxCPUs"])]
    hub = processors[0]
    cost = {edge["sourceId"]: edge["cost"] for edge in workload["edges"]}
    readers: dict[int, list[str]] = {}
    for edge in workload["edges"]:
        readers.setdefault(edge["sourceId"], []).append(str(edge["destId"]))
    colours: dict[object, list[str]] = {}
    for node in workload["nodes"]:
        colours.setdefault(node.get("colorClass", ("none", node["id"])), []).append(str(node["id"]))
    return {
        "devices": [
            *(
                {"name": name, "transfers_block": True, "visits": visits_of_accelerator}
                for name in accelerators
            ),
            *({"name": name, "visits": visits_of_cpu} for name in processors),
        ],
        "links": [
            *({"from": name, "to": hub, "bytes_per_s": 1} for name in accelerators),
            *({"from": hub, "to": name, "bytes_per_s": 1} for name in accelerators),
            *({"from": hub, "to": name} for name in processors[1:]),
            *({"from": name, "to": hub} for name in processors[1:]),
        ],
        "units": [
            {"name": str(node["id"]), "options": _options(node, accelerators, processors)}
            for node in workload["nodes"]
        ],
        "tensors": [
            {"name": f"of {source}", "from": str(source), "to": targets, "bytes": cost[source]}
            for source, targets in readers.items()
        ],
        "limits": [
            {"measure": "memory", "of": name, "at_most": workload["maxSizePerFPGA"]} for name in accelerators
        ],
        "objective": [{"measure": "period"}],
        "together": [group for group in colours.values() if len(group) > 1],
        "solver": {"time_limit_s": 60, "gap": 1e-4},
    }


def latency_problem(workload: dict) -> dict:
    """Return a workload whose single sample is to be done soon; a processor runs any units at once."""
    problem = placement_problem(workload | {"maxCPUs": 1}, visits_of_cpu=None)
    return problem | {"objective": [{"measure": "makespan"}]}


def training_problem(workload: dict) -> dict:
    """Return a workload with a forward and a backward pass, each contiguous on each device.

    No edge of the files leads from one pass to the other, and those of the backward pass point ahead as those
    of the forward pass do. So a path meets a device in one pass only, and one visit is contiguous in each.
    """
    return placement_problem(workload)


def revisited_problem(workload: dict) -> dict:
    """Return a workload whose passes may each be on a device twice: more plans than the published ones."""
    return placement_problem(workload, visits_of_cpu=2, visits_of_accelerator=2)


STATED = {
    "throughput": placement_problem,
    "latency": latency_problem,
    "training": training_problem,
    "revisited": revisited_problem,
}


def _options(node: dict, accelerators: list[str], processors: list[str]) -> list[dict]:
    fast = {"seconds": node["fpgaLatency"], "weight_bytes": node["size"]}
    usable = accelerators if node["supportedOnFpga"] else []
    return [
        *({"device": name, **fast} for name in usable),
        *({"device": name, "seconds": node["cpuLatency"]} for name in processors),
    ]


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    stated = STATED[sys.argv[2] if len(sys.argv) > 2 else "throughput"]
    print(json.dumps(stated(json.loads(Path(sys.argv[1]).read_text()))))
