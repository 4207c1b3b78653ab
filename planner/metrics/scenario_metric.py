"""The metric that a scenario names: a measure of the field, or a function of the user."""

from planner.metrics.coco_ap import CocoAp
from planner.scenario.schema import Scenario
from planner.user_objects import Metric, hash_code_beside, load_metric


def scenario_metric(scenario: Scenario) -> Metric | None:
    """Return what judges a scenario's outputs; None if nothing does.

    Raises
    ------
    DataError
        If it is not there, or what it needs is not installed.
    """
    return CocoAp(scenario.coco_ap) if scenario.coco_ap else load_metric(scenario.metric_function)


def metric_fingerprint(scenario: Scenario) -> str:
    """Return a text that changes with whatever a metric's values depend on."""
    return repr(scenario.coco_ap) if scenario.coco_ap else hash_code_beside(scenario.metric_function)
