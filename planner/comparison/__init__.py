"""Plans over bandwidths and budgets: sweeps, breakpoints, baselines, Pareto fronts, plan sets.

bandwidth_and_budget_sweep: the flow of `plan compare`: plans over bandwidths and budgets
bandwidth_traces: how often each bandwidth occurs: traces, distributions, ranges
bandwidth_values: bandwidths and budgets to compare plans over
baseline_rows: the baselines of each row of a comparison, under the same costs and budgets
baselines: one device, one cut, the minimum cut, precision first or placement first
breakpoints: bandwidths at which the best plan changes, and the best plan at each point
compare_options: the options of `plan compare` -> sweep and request
comparison_front: the Pareto front of a comparison
comparison_record: compare.json
lower_envelope: where the best of plans changes whose costs are lines over 1/bandwidth
plan_measurements: builds and measures the plans of a comparison, each once
plan_registry: the plans that a comparison meets, each registered once under a number
plan_selection: the few plans that serve a changing bandwidth best, and when to change from one to another
plan_set: the plan set of a comparison, and what a runtime needs to follow the bandwidth
request_rates: several models over request rates
solved_sweep: the best plan at each point, and the ranges in which plans stay the best
sweep_points: the problem at each bandwidth and set of budgets
timed_sweep: the closed loop of a comparison: plans are timed in place, and points solved again
"""
