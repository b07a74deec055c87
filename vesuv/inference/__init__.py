"""Whole volumes through a network that sees patches."""
