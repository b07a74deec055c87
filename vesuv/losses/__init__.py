"""Losses by the name that `phases` gives them: one a file, each its own section."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.config.loss import LossConfig
from vesuv.losses.boundary import Boundary
from vesuv.losses.cldice import ClDice
from vesuv.losses.compound import Compound
from vesuv.losses.connectivity import Connectivity
from vesuv.losses.cross_entropy import CrossEntropy
from vesuv.losses.dice import Dice
from vesuv.losses.focal import Focal
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.variance import Variance

LOSSES: dict[str, type[Loss]] = {
    "dice": Dice,
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "variance": Variance,
    "boundary": Boundary,
    "cldice": ClDice,
    "connectivity": Connectivity,
}
"""Name in the configuration -> loss."""


def build_losses(section: LossConfig, names: Sequence[str]) -> dict[str, Loss]:
    """Return the named losses of the section `loss`, in the order given."""
    return {name: section.term(name) for name in names}


__all__ = [
    "LOSSES",
    "Boundary",
    "ClDice",
    "Compound",
    "Connectivity",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Loss",
    "Prediction",
    "Variance",
    "build_losses",
]
