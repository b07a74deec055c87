"""Sections of the training data: data, sampling, augment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from vesuv.config.registry import Registry, RegistryField
from vesuv.config.section import Section

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
PROBABILITY_STEPS = 200
"""Probabilities are rounded to multiples of one over this number before they are thresholded."""


def _check_step(value: float) -> float:
    if 0.0 < value < 1 / PROBABILITY_STEPS:
        raise ValueError(
            f"probabilities are cut in steps of {1 / PROBABILITY_STEPS:g}; use 0, or a value from "
            f"{1 / PROBABILITY_STEPS:g} up, found {value}"
        )
    return value


ProbabilityThreshold = Annotated[Probability, AfterValidator(_check_step)]
"""Threshold of a probability, rounded to the nearest step; above 0 it is one step at least."""
PositiveFloat = Annotated[float, Field(gt=0.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PatchSize = tuple[PositiveInt, PositiveInt, PositiveInt]
Range = tuple[float, float]


class FoldsConfig(Section):
    num: int = Field(default=5, ge=2)
    """Number of folds."""
    seed: int = 0
    """Seed of the shuffle."""
    by: Literal["random", "grouped", "stratified"] = "random"
    """random: every case by itself; grouped: a group never crosses folds; stratified: every fold
    holds each group in proportion. Groups come from the `scroll_id` column of train.csv."""
    file: str | None = "splits_final.json"
    """Folds in the form of nnU-Net, inside root, in place of drawn ones: their number follows. One
    of this name is used where it is there, also in nnUNet_preprocessed/; null: folds are drawn."""


class NormalizeConfig(Section):
    """Base of all ways to scale intensities; each builds one from the training cases' statistics.

    Its classes are `vesuv.transforms.normalize`'s.
    """

    name: str
    """Normalization."""


NORMALIZERS: Registry[NormalizeConfig] = Registry(
    "vesuv.normalizers",
    "vesuv.transforms.normalize:NORMALIZERS",
    "vesuv.transforms.normalize:Normalization",
    "normalization",
)
_ZSCORE = RegistryField(NORMALIZERS, default="zscore")


class DataConfig(Section):
    root: str
    """Folder of the raw data; a relative path counts from the folder of the file that it is in (in
    a shipped configuration and in --set: from the current folder). In layout nnunet also the id of
    a data set in $nnUNet_raw: 4, 004, Dataset004_Hippocampus."""
    source: str | None = None
    """Where the data can be had, for the message where `root` is missing."""
    layout: Literal["kaggle", "nnunet", "folders", "pairs", "ome_zarr"] = "kaggle"
    """kaggle: train_images/, train_labels/, train.csv; nnunet: imagesTr/, labelsTr/, dataset.json;
    folders: two folders whose files are matched by name; pairs: x_image.nrrd and x_label.nrrd side
    by side, also in a folder for each case; ome_zarr: images that hold their labels."""
    images: str = "train_images"
    """Image folder inside root (layouts kaggle and folders); last word of the names of images
    (layout pairs; empty: their names are those of the labels without the last word)."""
    labels: str = "train_labels"
    """Label folder inside root (layouts kaggle and folders); last word of the names of labels
    (layout pairs); name of the label image (layout ome_zarr)."""
    cubes: tuple[str, ...] = ()
    """Folders of further labelled cubes, as `vesuv suggest` writes them: images/ and labels/, files
    matched by name. They train every fold that none of their own voxels validates, and validate
    none."""
    parts: PositiveInt = 1
    """Parts along its longest axis that each volume is cut into, each a case of its own: 2 lets one
    volume alone be trained on and judged, on other voxels of the same volume."""
    level: int = Field(default=0, ge=0)
    """Level of OME-Zarr images and their labels; 0 is the finest."""
    store: str | None = None
    """Folder of the prepared cases, relative as `root` is; when left out
    log/prepared/<configuration name> in the current folder."""
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    """Resample every case to this (z, y, x) spacing, in the files' unit; null: no resampling."""
    normalize: Annotated[NormalizeConfig, _ZSCORE] = Field(default_factory=_ZSCORE)
    """Scaling of intensities on the training device; the store holds them unscaled."""
    folds: FoldsConfig = FoldsConfig()
    """Split of the cases."""


class SamplingConfig(Section):
    patch_size: PatchSize = (128, 128, 128)
    """Patch edge lengths in voxels, (z, y, x)."""
    batch_size: PositiveInt = 2
    """Patches in one step, over all processes."""
    foreground_share: Probability = 0.7
    """Share of patches centred on a foreground voxel; the rest is uniform over valid voxels."""


class Rotation(Section):
    p: Probability = 0.2
    """Share of patches that are rotated."""
    degrees: float = Field(default=30.0, ge=0.0, le=180.0)
    """Largest angle about each axis."""


class RangeAugmentation(Section):
    p: Probability
    """Share of patches that are augmented."""
    range: Range
    """Interval that the strength is drawn from, uniformly."""

    @field_validator("range")
    @classmethod
    def _valid_range(cls, value: Range) -> Range:
        return _check_range(value)


class Scaling(RangeAugmentation):
    p: Probability = 0.2
    range: Range = (0.7, 1.4)
    """Zoom factor, from 0.1, drawn uniformly in its logarithm; above 1 enlarges the structure."""

    @field_validator("range")
    @classmethod
    def _from_a_tenth(cls, value: Range) -> Range:
        if value[0] < 0.1:  # a patch reads 1 / zoom as many voxels along each axis
            raise ValueError(f"a zoom range starts at 0.1 or above, found {list(value)}")
        return value


class Noise(RangeAugmentation):
    p: Probability = 0.1
    range: Range = (0.0, 0.3)
    """Standard deviation in normalised units."""


class Blur(RangeAugmentation):
    p: Probability = 0.2
    range: Range = (0.5, 1.0)
    """Sigma in voxels."""


class Brightness(RangeAugmentation):
    p: Probability = 0.15
    range: Range = (0.75, 1.25)
    """Factor on intensities."""


class Contrast(RangeAugmentation):
    p: Probability = 0.15
    range: Range = (0.75, 1.25)
    """Stretch about the patch mean."""


class LowResolution(RangeAugmentation):
    p: Probability = 0.25
    range: Range = (0.5, 1.0)
    """Factor on the number of voxels along each axis."""


class Gamma(RangeAugmentation):
    p: Probability = 0.3
    range: Range = (0.7, 1.5)
    """Exponent on intensities rescaled to [0, 1]."""
    p_inverted: Probability = 0.1
    """Share of patches whose intensities are inverted before the curve and back after it."""


def _check_range(value: Range) -> Range:
    if not 0.0 <= value[0] <= value[1]:
        raise ValueError(f"a range is [low, high] with 0 <= low <= high, found {list(value)}")
    return value


class AugmentConfig(Section):
    flips: bool = True
    """Flip each axis with probability one half."""
    quarter_turns: bool = True
    """Exchange axes of equal patch edge and spacing (with flips: the 48 exact symmetries)."""
    rotation: Rotation = Rotation()
    """Rotation by any angle."""
    scaling: Scaling = Scaling()
    """Isotropic zoom."""
    noise: Noise = Noise()
    """Additive Gaussian noise."""
    blur: Blur = Blur()
    """Gaussian blur."""
    brightness: Brightness = Brightness()
    """Multiply intensities."""
    contrast: Contrast = Contrast()
    """Stretch intensities about the patch mean, clipped to the patch's former range."""
    low_resolution: LowResolution = LowResolution()
    """Down-sample and interpolate back (image only)."""
    gamma: Gamma = Gamma()
    """Gamma curve that preserves mean and standard deviation."""
