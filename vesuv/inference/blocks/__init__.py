"""Prediction block by block with bounded memory, equal to that of the whole volume."""
