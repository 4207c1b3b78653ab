"""The scenario of a deployment, with what its hosts measured: for planning again."""

from pathlib import Path

from planner.errors import OutputError
from planner.hosts.deployment_record import DEPLOYMENT, Deployment
from planner.hosts.measured_costs import scenario_as_measured
from planner.hosts.zenoh_config import CLIENT
from planner.output.atomic_folder import add_file
from planner.output.record_files import read_record
from planner.plan.manifest import SCENARIO
from planner.plan.measured_costs import FORMAT, MeasuredCosts
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario

MEASURED = "measured.json"


def save_measured(folder: Path, measured: MeasuredCosts) -> None:
    """Write what was measured into a deployment's folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    add_file(folder, DEPLOYMENT, MEASURED, measured)


def read_measured(folder: Path) -> MeasuredCosts | None:
    """Return what was measured for the deployment in a folder, if anything was.

    Raises
    ------
    OutputError
        If the file is damaged, or of another deployment.
    """
    path = folder / MEASURED
    if not path.is_file():
        return None
    measured = read_record(path, MeasuredCosts, FORMAT)
    if measured.deployment != read_record(folder / DEPLOYMENT, Deployment).deployment:
        raise OutputError(f"{path}: is of another deployment; run plan request again")
    return measured


def measured_scenario(folder: Path) -> Scenario:
    """Return a deployment's scenario with the costs that were measured.

    Raises
    ------
    OutputError
        If the folder is no deployment, or nothing was measured yet.
    """
    read_record(folder / DEPLOYMENT, Deployment)
    measured = read_measured(folder)
    if measured is None:
        raise OutputError(f"{folder}: nothing was measured yet; run plan request or plan links {folder}")
    text = (folder / CLIENT / SCENARIO).read_bytes()
    return scenario_as_measured(parse_scenario(text), measured)
