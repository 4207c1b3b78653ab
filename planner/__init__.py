"""Decides which precision and which device each unit gets, and acts on it."""
