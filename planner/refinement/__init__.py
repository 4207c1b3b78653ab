"""Solve, try out, solve again: the search over noise limits and the closed loop.

infeasibility_text: a conflict of budgets in the scenario's own keys and units
joint_loop_state: the closed loop for several models
loop_state: plans timed in place, and solved for again with the costs that they showed
measured_models: several measured scenarios, and the search for their noise limits
measured_scenario: a prepared scenario with its profiles, noise and noise model
models_assembly: solve result of several models -> models.json
noise_limit_search: the limit on summed noise under which the best plan keeps the error budgets
outcome: what came of planning a scenario
plan_assembly: solve result -> plan.json
planning_problem: a scenario with the current costs -> PlacementProblem
single_device: what all units on one device would cost, to compare a plan with
unconstrained_noise: plans without a limit on noise, each solved for once
"""
