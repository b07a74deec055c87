"""Measurements of a run for its diagnosis."""
