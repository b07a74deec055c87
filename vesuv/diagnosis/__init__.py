"""Findings: what is wrong with a run, with evidence and a remedy; one finding a file."""
