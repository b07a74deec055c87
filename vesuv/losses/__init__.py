"""Losses by their name in `phases`; each file holds one loss, which is also its section."""

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
    """Return the losses `names` of the section `loss`, in that order."""
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
