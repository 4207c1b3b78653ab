"""Solve, try out, solve again: the search over noise limits and the closed loop."""
