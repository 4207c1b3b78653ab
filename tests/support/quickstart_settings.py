"""Settings of the quickstart under which a test's outcome does not depend on this machine's seconds."""

FAST = ("--set", "profiling.rounds=3", "--set", "profiling.noise_samples=4")

# The camera computes an early unit and the gateway a late one: the plan has two stages or more.
CUT = ("--set", "placement.pin={Conv__56: camera, Conv__106: gateway}")
