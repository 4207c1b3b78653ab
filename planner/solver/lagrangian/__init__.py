"""The Lagrangian relaxation: multipliers, the dual bound, and what it rules out."""
