"""Scores that no loss weight can change: overlap, foreground fractions, choice of a threshold."""
