"""The records that commands write as JSON, by the name of the file or command."""

from planner.comparison.comparison_record import Comparison
from planner.comparison.request_rates import RateComparison
from planner.output.comparison_folder import RunnableFleet, RunnableSet
from planner.plan.graph_record import UnitGraph
from planner.plan.manifest import Manifest
from planner.plan.measured_costs import MeasuredCosts
from planner.plan.models_record import ModelsPlan
from planner.plan.plan_diff import PlanDiff
from planner.plan.plan_record import Plan
from planner.plan.requests_record import RequestsRecord
from planner.problem_io.solution import Answer
from profiling.inspection import Inspection
from profiling.records.profile import Profile
from profiling.records.profile_diff import ProfileDiff

RECORDS = {
    "plan.json": Plan,
    "manifest.json": Manifest,
    "graph.json": UnitGraph,
    "models.json": ModelsPlan,
    "profile": Profile,
    "compare.json": Comparison,
    "rates.json": RateComparison,
    "plans.json": RunnableSet,
    "fleet.json": RunnableFleet,
    "plan inspect --json": Inspection,
    "plan diff --json": PlanDiff,
    "plan profile --diff --json": ProfileDiff,
    "plan request --json": RequestsRecord,
    "measured.json": MeasuredCosts,
    "plan solve --json": Answer,
}
