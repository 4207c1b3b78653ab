"""Profiles as files: JSON, differences, the cache."""
