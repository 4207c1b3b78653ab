"""Plans over bandwidths and budgets: sweeps, breakpoints, baselines, Pareto fronts, plan sets."""
