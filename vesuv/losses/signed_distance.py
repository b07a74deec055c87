"""Regression of the signed distance to the label's boundary, by an output of its own."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from vesuv.config.data import PositiveFloat
from vesuv.losses.distance import distance_beyond_patch, face_distance
from vesuv.losses.prediction import Loss, Prediction
from vesuv.types import Spacing


class SignedDistance(Loss):
    """Mean of |tanh(x) - phi|, x an output of the network that only training has, one a class.

    phi is the distance from a voxel's centre to the boundary of the label, negative inside,
    clipped at R and divided by R. The boundary consists of voxel faces: the first voxel on each
    side of a flat boundary is half an edge away. Distances are physical; their unit is the finest
    voxel edge.

    Ignored voxels lie on neither side, and beyond the patch nothing is known: a voxel that is
    nearer to them than to the boundary does not count, because its distance may be smaller. The
    mean is over the other voxels and over the foreground classes. Range [0, 2] (l2: [0, 4]); 0 for
    exact distances in the limit; outputs of 0 score the mean of |phi|; without counted voxels 0.

    A phase needs a loss of the mask beside it. With deep supervision it is a term of the finest
    scale alone. Validation on tiles has no such output and leaves it out.

    Source:
        Xue et al. 2020, Shape-Aware Organ Segmentation by Predicting Signed Distance Maps.
    """

    auxiliary: ClassVar[bool] = True
    uses_global_sums: ClassVar[bool] = True
    form: Literal["l1", "l2"] = "l1"
    """Mean of the absolute error, or of its square."""
    radius: PositiveFloat = 5.0
    """R in edges of the finest axis."""
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    """Voxel edges along z, y, x; null: the median of the training cases."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 2.0 if self.form == "l1" else 4.0

    def with_spacing(self, spacing: Spacing) -> SignedDistance:
        return self if self.spacing else self.model_copy(update={"spacing": spacing})

    def of(self, prediction: Prediction) -> Tensor:
        assert prediction.distances is not None, "the network has no output of signed distances"
        phi, is_exact = self.targets(prediction.target, prediction.valid)
        outputs = prediction.distances
        if outputs.dtype != torch.float64:
            outputs = outputs.float()
        error = (torch.tanh(outputs) - phi.to(outputs.dtype)).masked_fill(~is_exact, 0.0)
        return prediction.mean_where(error.abs() if self.form == "l1" else error**2, is_exact)

    def targets(self, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return phi and whether it is known, both (b, c, z, y, x).

        Args:
            target: Foreground of each class, boolean, False where not valid.
            valid: (b, 1, z, y, x).
        """
        spacing = self.spacing or (1.0, 1.0, 1.0)
        finest = min(spacing)
        edges = (spacing[0] / finest, spacing[1] / finest, spacing[2] / finest)
        to_foreground = face_distance(target, edges, self.radius)
        to_background = face_distance(~target & valid, edges, self.radius)
        distance = torch.maximum(to_foreground, to_background)  # on valid voxels one of them is 0
        to_unknown = torch.minimum(
            face_distance(~valid, edges, self.radius),
            distance_beyond_patch(target.shape[2:], edges, target.device),
        )
        phi = torch.where(target, -distance, distance) / self.radius
        return phi, (distance <= to_unknown) & valid
