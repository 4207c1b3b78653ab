"""From a plan to a mixed-precision model and its stage models."""
