"""Losses by the name that `phases` gives them."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.config.network import LossConfig
from vesuv.losses.boundary import Boundary
from vesuv.losses.cldice import ClDice
from vesuv.losses.compound import Compound
from vesuv.losses.connectivity import Connectivity
from vesuv.losses.cross_entropy import CrossEntropy
from vesuv.losses.dice import Dice
from vesuv.losses.focal import Focal
from vesuv.losses.prediction import Loss
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


def build_losses(config: LossConfig, terms: Sequence[str]) -> dict[str, Loss]:
    """Build the named losses from the `loss` section, in the order given."""
    return {name: LOSSES[name].from_config(config) for name in terms}


__all__ = ["LOSSES", "Compound", "Loss", "build_losses"]
