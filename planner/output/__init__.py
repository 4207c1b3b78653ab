"""Folders that are written and read whole: plans, comparisons, stages; running an exported plan."""
