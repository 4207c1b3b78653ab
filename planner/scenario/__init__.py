"""What people write: the schema of a scenario, loading it, checking it."""
