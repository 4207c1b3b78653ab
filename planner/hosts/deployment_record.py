"""What lies in the folder of a deployment for who asks: deploy.json."""

from planner.json_record import Record
from planner.plan.bandwidth_ranges import BandwidthRange, FollowedLinks, PlanCosts
from planner.plan.requests_record import RawInput

DEPLOYMENT = "deploy.json"


class DeployedHost(Record, frozen=True, kw_only=True):
    """A host of a deployment, and where it listens."""

    device: str
    address: str
    port: int
    stages: int


class DeployedPlan(Record, frozen=True, kw_only=True):
    """A plan of a deployment: where it lies for the client, when it runs, and what it should cost."""

    name: str
    folder: str
    range: BandwidthRange
    costs: PlanCosts


class Deployment(Record, frozen=True, kw_only=True):
    """What was deployed together.

    Parameters
    ----------
    encrypted
        Whether hosts have keys.
    followed
        The links whose bandwidth decides which plan runs, if there are several.
    raw_inputs
        Those for which the plans' predictions do not hold here.
    """

    format: int
    deployment: str
    source: str
    sink: str
    encrypted: bool
    most_requests: int
    hosts: tuple[DeployedHost, ...]
    plans: tuple[DeployedPlan, ...]
    followed: FollowedLinks | None = None
    raw_inputs: tuple[RawInput, ...] = ()
