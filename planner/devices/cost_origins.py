"""Where the costs of devices come from that were not measured on this machine, in words."""

from pathlib import Path

from planner.devices.profile_files import is_cost_table
from planner.devices.runtime import origin_of
from planner.scenario.schema import Scenario


def costs_from_elsewhere(scenario: Scenario) -> dict[str, str]:
    """Return device -> the file of its costs, of devices that are not measured on this machine."""
    origins = {device.name: origin_of(scenario, device)[0] for device in scenario.devices}
    return {name: str(origin.profile) for name, origin in origins.items() if not origin.is_measured_here}


def cost_origins_text(scenario: Scenario) -> str:
    """Return which devices' costs come from which files; "" where all are measured on this machine."""
    of_file: dict[str, list[str]] = {}
    for device, path in costs_from_elsewhere(scenario).items():
        of_file.setdefault(path, []).append(device)
    parts = [f"costs of {', '.join(devices)}: {Path(path).name}" for path, devices in of_file.items()]
    return f"{'; '.join(parts)}; not measured here" if parts else ""


def costs_name(scenario: Scenario) -> str:
    """Return what to call the costs of a scenario: those of a table of seconds are given."""
    tables = any(is_cost_table(Path(path)) for path in costs_from_elsewhere(scenario).values())
    return "the given costs" if tables else "the measured costs"
