"""Scores of predicted masks: measures, their summary over cases, and comparisons of folders."""

from vesuv.evaluation.arrays import evaluate

__all__ = ["evaluate"]
