"""From a prepared model to units: the groups of nodes that the runtime runs as one."""
