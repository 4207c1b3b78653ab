"""The placement problem in numbers, what an answer costs, and routes. No files, no clock, no models."""
