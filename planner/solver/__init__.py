"""Solves a placement problem and bounds what any answer to it can cost."""
