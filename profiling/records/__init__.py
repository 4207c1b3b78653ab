"""Profiles as files: JSON, differences, the cache.

cache: measurements kept on disk under a key of everything that they depend on
cache_eviction: what the cache holds, by kind, size and age, and what of it is removed
code_hash: a hash of the code that makes a value
cost_table: a device's own seconds as a CSV table
json_files: JSON files, written whole or not at all
npz_files: arrays by name as an .npz file, whatever the names are
profile: profile.json
profile_diff: two profiles of one device side by side
"""
