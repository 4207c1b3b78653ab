"""Finds the best plan of consecutive stages where requests follow one another.

pipeline_dp: by dynamic programming over sets of finished units
pipeline_ideals: the sets of units that a pipeline can have finished between two stages
pipeline_loads: what stages load: devices and links
pipeline_passes: the same where units of several passes, forward and backward, share devices
pipeline_precisions: options of less noise for units that stay on their devices
"""
