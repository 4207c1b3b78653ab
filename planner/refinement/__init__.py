"""Solve, try out, solve again: the search over noise limits and the closed loop.

closed_loop: times a plan in place, corrects its costs by what it showed, and solves again
fixed_costs: planning again with the costs of an earlier plan
infeasibility_text: a conflict of budgets in the scenario's own keys and units
joint_closed_loop: the closed loop for several models
joint_loop_state: what that loop knows
loop_state: what the closed loop knows: the current costs, and the plans that were timed
measured_models: several measured scenarios, and the search for their noise limits
measured_scenario: a prepared scenario with its profiles, noise and noise model
models_assembly: solve result of several models -> models.json
noise_limit_search: the limit on summed noise under which the best plan keeps the error budgets
outcome: what came of planning a scenario
plan_assembly: solve result -> plan.json
plan_timings: what plans took in place, kept beside the profiles that they correct
planning_problem: a scenario with the current costs -> PlacementProblem
single_device: what all units on one device would cost, to compare a plan with
ties: of plans that costs cannot tell apart, the simplest
time_in_place: times a plan's models on this machine, for each device of the scenario that it stands for
unconstrained_noise: plans without a limit on noise, each solved for once
"""
