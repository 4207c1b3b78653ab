"""PROBLEM.json in, its answer out: `plan solve`."""
