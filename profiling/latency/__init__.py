"""Seconds per unit, switch and stage, measured in place."""
