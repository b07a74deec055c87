"""Cubes in which the predictions of a predictor disagree most.

Source:
    Houlsby et al., Bayesian active learning for classification and preference learning, 2011: label
    where the mutual information of prediction and model is largest. Here it is that of networks,
    views and overlapping windows, see `vesuv.inference.uncertainty`, as the mean over a cube.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesuv.errors import InputError
from vesuv.inference.image import checked_channels
from vesuv.inference.prediction import Prediction
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.places import (
    PlaceGrid,
    Scores,
    choose_places,
    edges_text,
    num_tiles,
)
from vesuv.io.printable import number_of
from vesuv.io.tables import TextTable
from vesuv.models.heads import foreground_probability
from vesuv.types import Array, Mask, Region, Shape, Spacing

_LARGEST_EDGE = 64
"""Upper bound of the edges of cubes for which none are given."""


@dataclass(frozen=True)
class SuggestedCube:
    """A cube that is worth labelling.

    Args:
        volume: Name of its volume.
        start: First voxel.
        stop: Last voxel + 1 along each axis.
        score: Mean mutual information of its voxels in bits, labelled ones count as 0; None for a
            random place, and so are the next two.
        volume_mean: The same mean over all of the volume.
        foreground: Mean probability of foreground in it.
    """

    volume: str
    start: Shape
    stop: Shape
    score: float | None = None
    volume_mean: float | None = None
    foreground: float | None = None

    @property
    def id(self) -> str:
        """Name of the volume and first voxel."""
        z, y, x = self.start
        return f"{self.volume}_z{z}_y{y}_x{x}"

    @property
    def region(self) -> Region:
        z, y, x = (slice(*ends) for ends in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def reason(self) -> str:
        """What was measured, in a sentence."""
        if self.score is None:
            return "a random place"
        ratio = "" if self.ratio is None else f", {self.ratio:.1f} times the volume's mean"
        return (
            f"networks and views disagree by {self.score:.3g} bits a voxel{ratio}; predicted "
            f"foreground {self.foreground:.0%}"
        )

    @property
    def ratio(self) -> float | None:
        """Score in means of the volume; None where nothing disagrees in it."""
        if self.score is None or not self.volume_mean:
            return None
        return self.score / self.volume_mean


@dataclass(frozen=True)
class VolumeScores:
    """Places of cubes in a volume.

    Args:
        grid: The places.
        scores: Mean mutual information at each, or random numbers; minus infinity: nothing can be
            labelled there.
        mean: Mean mutual information over the volume; None where scores are random.
        foreground: Mean probability of foreground at each place; None where scores are random.
    """

    grid: PlaceGrid
    scores: Scores
    mean: float | None = None
    foreground: Scores | None = None


def suggest(
    predictor: Predictor,
    images: Mapping[str, Array],
    *,
    number: int = 8,
    size: int | Shape | None = None,
    spacing: Spacing = (1.0, 1.0, 1.0),
    labelled: Mapping[str, Mask] | None = None,
) -> list[SuggestedCube]:
    """Return the cubes of images that are worth labelling, that of the largest disagreement first.

    They have no common voxels, and one cube lies between two of them where there is room.

    Args:
        predictor: Several networks, or one with views; `vesuv.load` returns it.
        images: Name -> intensities, (z, y, x) or (c, z, y, x).
        number: Number of cubes.
        size: Edge of a cube in voxels, or edges along z, y, x; default: the patch of training, 64
            at most.
        spacing: Voxel edges along z, y, x, in the unit of `data.spacing`.
        labelled: Name of an image -> voxels that are labelled already.

    Raises:
        InputError: There is one network without views, the cubes have no room, or an image cannot
            be predicted.
    """
    edges = cube_size(predictor, size)
    shapes = {
        name: checked_channels(image, predictor.num_channels).shape[1:]
        for name, image in images.items()
    }
    names = volumes_with_room(shapes, edges, number)
    predictor.ensemble.check_has_several_predictions()
    volumes = {}
    for name in names:
        prediction = predictor.predict_on_grid(
            images[name], predictor.input_grid(spacing), uncertainty=True
        )
        mask = (labelled or {}).get(name)
        volumes[name] = score_places(predictor, prediction, edges, labelled=mask)
    return choose_cubes(volumes, number)


def cube_size(predictor: Predictor, size: int | Sequence[int] | None) -> Shape:
    """Return the edges of cubes.

    Raises:
        InputError: They are not one or three numbers of voxels from 1.
    """
    if size is None:
        size = [min(edge, _LARGEST_EDGE) for edge in predictor.config.sampling.patch_size]
    edges = [size] * 3 if isinstance(size, int) else [*size]
    edges = edges * 3 if len(edges) == 1 else edges
    if len(edges) != 3 or any(edge < 1 for edge in edges):
        raise InputError(
            f"--size: is one edge or three (z, y, x) in voxels, from 1, found {edges}; correct it"
        )
    return edges[0], edges[1], edges[2]


def volumes_with_room(shapes: Mapping[str, Sequence[int]], size: Shape, number: int) -> list[str]:
    """Return the volumes that hold a cube.

    Raises:
        InputError: None does, or all together hold too few.
    """
    tiles = {name: num_tiles((z, y, x), size) for name, (z, y, x) in shapes.items()}
    names = [name for name, count in tiles.items() if count]
    if not names:
        largest = max(shapes, key=lambda name: min(shapes[name]), default=None)
        found = f"{largest} has {edges_text(shapes[largest])}" if largest else "there is no volume"
        raise InputError(
            f"--size: no volume holds a cube of {edges_text(size)} voxels, {found}; lower it"
        )
    if sum(tiles.values()) < number:
        raise InputError(
            f"--number: the volumes have room for {number_of(sum(tiles.values()), 'cube')} of "
            f"{edges_text(size)} voxels beside each other, found {number}; lower it, or --size"
        )
    return names


def score_places(
    predictor: Predictor,
    prediction: Prediction,
    size: Shape,
    *,
    labelled: Mask | None = None,
    closed: Sequence[Region] = (),
) -> VolumeScores:
    """Return the scores of the places in a volume.

    Args:
        predictor: What predicted it.
        prediction: Its prediction, with uncertainty.
        size: Edges of a cube.
        labelled: Voxels that are labelled already, which add nothing to a score.
        closed: Regions that no cube may touch.
    """
    assert prediction.uncertainty is not None
    bits = prediction.uncertainty.numpy()
    grid = PlaceGrid.over((bits.shape[0], bits.shape[1], bits.shape[2]), size)
    if labelled is not None:
        bits = np.where(labelled, np.float32(0.0), bits)
    scores = _without_closed(grid, grid.means(bits), labelled, closed)
    probs = foreground_probability(prediction.probs[None], overlap=predictor.targets.overlap)[0]
    return VolumeScores(grid, scores, float(bits.mean()), grid.means(probs.numpy()))


def random_places(
    shape: Shape,
    size: Shape,
    rng: np.random.Generator,
    *,
    labelled: Mask | None = None,
    closed: Sequence[Region] = (),
) -> VolumeScores:
    """Return random scores of the places in a volume; arguments are those of `score_places`."""
    grid = PlaceGrid.over(shape, size)
    scores = rng.random([len(starts) for starts in grid.starts])
    return VolumeScores(grid, _without_closed(grid, scores, labelled, closed))


def _without_closed(
    grid: PlaceGrid, scores: Scores, labelled: Mask | None, closed: Sequence[Region]
) -> Scores:
    """Return scores that are minus infinity where nothing can be labelled."""
    if labelled is not None:
        scores = np.where(grid.means(labelled) > 1.0 - 0.5 / np.prod(grid.size), -np.inf, scores)
    for region in closed:
        scores = np.where(grid.overlapping(region), -np.inf, scores)
    return scores


def choose_cubes(volumes: Mapping[str, VolumeScores], number: int) -> list[SuggestedCube]:
    """Return the cubes of the highest scores over several volumes, see `choose_places`.

    Raises:
        InputError: So many have no room beside what is labelled already.
    """
    names, parts = list(volumes), list(volumes.values())
    cubes = []
    for place in choose_places([one.grid for one in parts], [one.scores for one in parts], number):
        part = parts[place.volume]
        z, y, x = (start + edge for start, edge in zip(place.start, part.grid.size, strict=True))
        foreground = None
        if part.foreground is not None:
            foreground = float(part.foreground[part.grid.index(place.start)])
        cubes.append(
            SuggestedCube(
                volume=names[place.volume],
                start=place.start,
                stop=(z, y, x),
                score=None if part.mean is None else place.score,
                volume_mean=part.mean,
                foreground=foreground,
            )
        )
    return cubes


def table_of(cubes: Sequence[SuggestedCube]) -> TextTable:
    """Return the cubes as a table, in the order in which they were chosen."""
    rows = [
        [
            one.volume,
            ", ".join(map(str, one.start)),
            "" if one.score is None else f"{one.score:.4f}",
            "" if one.ratio is None else f"{one.ratio:.1f}",
            "" if one.foreground is None else f"{one.foreground:.0%}",
        ]
        for one in cubes
    ]
    header = ["volume", "first voxel", "bits", "times the mean", "foreground"]
    return TextTable("Cubes to label", header, rows, num_names=2)
