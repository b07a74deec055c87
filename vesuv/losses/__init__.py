"""Losses by their name in `phases`; each file holds one loss, which is also its section."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.config.labels import Targets
from vesuv.config.loss import LossConfig
from vesuv.losses.betti_matching import BettiMatching
from vesuv.losses.boundary import Boundary
from vesuv.losses.cldice import ClDice
from vesuv.losses.compound import Compound
from vesuv.losses.connectivity import Connectivity
from vesuv.losses.cross_entropy import CrossEntropy
from vesuv.losses.deep_supervision import deep_supervision
from vesuv.losses.dice import Dice
from vesuv.losses.focal import Focal
from vesuv.losses.lovasz import Lovasz
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.signed_distance import SignedDistance
from vesuv.losses.surface_dice import SurfaceDice
from vesuv.losses.surface_recall import SurfaceRecall
from vesuv.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from vesuv.losses.tversky import Tversky
from vesuv.losses.variance import Variance
from vesuv.types import Spacing

LOSSES: dict[str, type[Loss]] = {
    "dice": Dice,
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "variance": Variance,
    "boundary": Boundary,
    "cldice": ClDice,
    "connectivity": Connectivity,
    "tversky": Tversky,
    "lovasz": Lovasz,
    "symmetric_cross_entropy": SymmetricCrossEntropy,
    "surface_recall": SurfaceRecall,
    "surface_dice": SurfaceDice,
    "betti_matching": BettiMatching,
    "signed_distance": SignedDistance,
}
"""Name in the configuration -> loss."""

MASK_LOSSES = {name: kind for name, kind in LOSSES.items() if not kind.auxiliary}
"""Those that judge the mask; the others judge an output that only training has."""


def build_losses(
    section: LossConfig, names: Sequence[str], spacing: Spacing = (1.0, 1.0, 1.0)
) -> dict[str, Loss]:
    """Return the losses `names` of the section `loss`, in that order.

    Args:
        section: Their settings.
        names: Names of losses.
        spacing: Voxel edges along z, y, x of the patches.
    """
    return {name: section.term(name).with_spacing(spacing) for name in names}


def num_distances(section: LossConfig, names: Sequence[str], targets: Targets) -> int:
    """Return the outputs of signed distances that these losses need: one a foreground class."""
    return len(targets.names) if any(section.term(name).auxiliary for name in names) else 0


__all__ = [
    "LOSSES",
    "MASK_LOSSES",
    "BettiMatching",
    "Boundary",
    "ClDice",
    "Compound",
    "Connectivity",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Loss",
    "Lovasz",
    "Prediction",
    "SignedDistance",
    "SurfaceDice",
    "SurfaceRecall",
    "SymmetricCrossEntropy",
    "Tversky",
    "Variance",
    "build_losses",
    "deep_supervision",
    "num_distances",
]
