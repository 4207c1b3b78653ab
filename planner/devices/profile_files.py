"""Profile files that a scenario names: what they may be, and messages that say where each is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.records.cost_table import SUFFIX

_TABLES_PAGE = "see docs/how-to/own-measured-costs.md"
_ACCEPTED = (
    "a profile is a file that plan profile wrote, or a CSV table (.csv) with columns unit, precision and "
    f"seconds, {_TABLES_PAGE}"
)


def is_cost_table(path: Path) -> bool:
    """Return whether a profile file is a table of one's own seconds."""
    return path.suffix.lower() == SUFFIX


def profile_key(scenario: Scenario, device: DeviceSpec) -> str:
    """Return the key under which the scenario names a device's profile; that of a class is the fleet's."""
    names = [one.name for one in scenario.devices if one.profile == device.profile]
    if device.name not in names:
        return "fleet.classes.profile"
    number = [one.name for one in scenario.devices].index(device.name)
    return f"devices.{number}.profile"


@contextmanager
def naming_profile(scenario: Scenario, device: DeviceSpec) -> Iterator[None]:
    """Raise what is wrong with a profile file in the block with its key and what would be right.

    Raises
    ------
    ProfileError
        Where the block does.
    """
    try:
        yield
    except ProfileError as exc:
        # Who wrote a table knows what a profile may be.
        hint = _TABLES_PAGE if is_cost_table(Path(str(device.profile))) else _ACCEPTED
        raise ProfileError(f"{profile_key(scenario, device)}: {exc}; {hint}") from exc
