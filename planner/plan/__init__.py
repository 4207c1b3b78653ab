"""The records of a plan: plan.json, manifest.json."""
