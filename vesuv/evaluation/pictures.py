"""Pictures of scored cases, drawn by a function that the caller hands in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.errors import InputError
from vesuv.evaluation.classes import Classes
from vesuv.io.formats import read
from vesuv.types import Array, ClassArray

Draw = Callable[[Array, ClassArray, ClassArray, Path, str, Sequence[str]], None]
"""Draws image, label and prediction (z, y, x) to a file, with a title and the names of the classes,
background first; it can be pickled."""


PICTURES = "pictures"
"""Folder of the pictures, inside the folder of results: among masks they would be taken for masks,
and one of a PNG would replace it."""


@dataclass(frozen=True)
class PictureSource:
    """Images of the cases, and how they are drawn beside label and prediction."""

    images: Path
    """Folder of images, by case id, with or without _0000."""
    draw: Draw


@dataclass(frozen=True)
class Picture:
    """Picture of one case."""

    image: Path | None
    """None where there is none."""
    path: Path
    """File that is drawn."""
    source: PictureSource

    def draw(self, case_id: str, classes: Classes, dice: float) -> None:
        """Draw the first channel of the image, label and prediction.

        Raises:
            InputError: There is no image, or one of another shape.
        """
        if self.image is None:
            raise InputError(
                f"--images: {self.source.images} holds no image of case {case_id}; add it"
            )
        image = read(self.image).channels[0]
        if image.shape != classes.label.shape:
            raise InputError(
                f"{self.image}: an image has its label's shape {classes.label.shape}, found "
                f"{image.shape}"
            )
        score = "mean Dice" if classes.targets.has_several else "Dice"
        title = f"{case_id}: {score} {dice:.4f}"
        names = classes.targets.class_names
        self.source.draw(image, classes.label, classes.prediction, self.path, title, names)
