"""Runs stages against the fp32 model: errors, bit equality, latency."""
