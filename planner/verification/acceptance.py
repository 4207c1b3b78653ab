"""What verifying a plan says of it: the chain is the whole model, and which error budgets it broke."""

import msgspec

from planner.errors import RebuildError
from planner.plan.plan_record import Measured, Plan
from planner.scenario.schema import Scenario
from planner.verification.budget_margins import budget_verdicts, verdict_clause
from planner.verification.cost_doubt import cost_doubt_of
from planner.verification.error_budgets import has_error_budget
from planner.verification.sample_size import too_few_evaluated


def with_measured(plan: Plan, scenario: Scenario, measured: Measured) -> Plan:
    """Return a plan with what running it showed, and what is in doubt: few samples, other seconds."""
    if plan.is_exact:
        # That no index was wrong is no chance.
        measured = msgspec.structs.replace(measured, noise_standard_error=0.0)
    planned = (few for few in plan.too_few_samples if few.data == "calibration")
    doubts = (*planned, *too_few_evaluated(scenario.budget, measured))
    return msgspec.structs.replace(
        plan,
        measured=measured,
        too_few_samples=doubts,
        budget_verdicts=budget_verdicts(scenario.budget, measured),
        cost_doubt=cost_doubt_of(plan, scenario, measured),
    )


def require_equal_chain(measured: Measured) -> None:
    """Refuse stages whose chain is not the whole model.

    Raises
    ------
    RebuildError
        If their bits differ, or cutting cost an integer kernel.
    """
    chain = measured.chain
    if not chain.basic_bit_equal:
        raise RebuildError("the chain of stages does not give the same bits as the whole model")
    if chain.integer_kernels < chain.integer_kernels_whole:
        raise RebuildError(
            f"the stages run {chain.integer_kernels} integer kernels, the whole model "
            f"{chain.integer_kernels_whole}: cutting lost a fusion"
        )


def broken_budget_sentences(scenario: Scenario, measured: Measured) -> tuple[str, ...]:
    """Return a sentence per error budget that the evaluation data broke."""
    if not has_error_budget(scenario.budget):
        return ()
    return tuple(
        f"{one.budget} is {one.value:.6g} on {one.samples} evaluation samples, budget {one.limit:.6g} "
        f"({verdict_clause(one)})"
        for one in budget_verdicts(scenario.budget, measured)
        if not one.kept
    )
