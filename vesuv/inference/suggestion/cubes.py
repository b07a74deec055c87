"""Cubes in which the predictions of a predictor disagree most.

Source:
    Houlsby et al., Bayesian active learning for classification and preference learning, 2011: label
    where the mutual information of prediction and model is largest. Here it is that of networks,
    views and overlapping windows, see `vesuv.inference.uncertainty`, as the mean over a cube.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vesuv.errors import InputError
from vesuv.inference.blocks.compute import BlockProbs
from vesuv.inference.image import checked_channels
from vesuv.inference.prediction import Prediction
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.places import PlaceGrid, choose_places, edges_text, num_tiles
from vesuv.inference.suggestion.scoring import PlaceScorer, ScoredPlaces
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
            f"networks and views disagree by {self.score:.3g} bits a voxel{ratio}; mean "
            f"probability of foreground {self.foreground:.0%}"
        )

    @property
    def ratio(self) -> float | None:
        """Score in means of the volume; None where nothing disagrees in it."""
        if self.score is None or not self.volume_mean:
            return None
        return self.score / self.volume_mean


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
        z, y, x = shapes[name]
        scorer = PlaceScorer(PlaceGrid.over((z, y, x), edges), number)
        region = (slice(0, z), slice(0, y), slice(0, x))
        add_prediction(scorer, predictor, prediction, region, (labelled or {}).get(name))
        volumes[name] = scorer.result()
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


def add_prediction(
    scorer: PlaceScorer,
    predictor: Predictor,
    prediction: Prediction | BlockProbs,
    block: Region,
    labelled: Mask | None,
) -> None:
    """Add what was predicted, with uncertainty, to the scores of places.

    Args:
        scorer: The scores.
        predictor: What predicted it.
        prediction: Prediction of a block.
        block: Its region.
        labelled: Which of its voxels are labelled already; None: none.
    """
    bits = prediction.uncertainty
    assert bits is not None
    foreground = foreground_probability(prediction.probs[None], overlap=predictor.targets.overlap)
    scorer.add(block, bits.numpy(), foreground[0].numpy(), labelled)


def choose_cubes(volumes: Mapping[str, ScoredPlaces], number: int) -> list[SuggestedCube]:
    """Return the cubes of the highest scores over several volumes, see `choose_places`.

    Raises:
        InputError: So many have no room beside what is labelled already.
    """
    names, parts = list(volumes), list(volumes.values())
    cubes = []
    for place in choose_places([one.places for one in parts], number):
        places, mean = parts[place.volume].places, parts[place.volume].mean
        start = places.starts[place.rank]
        (z, y, x), (z_stop, y_stop, x_stop) = start.tolist(), (start + places.size).tolist()
        is_random = mean is None
        cubes.append(
            SuggestedCube(
                volume=names[place.volume],
                start=(z, y, x),
                stop=(z_stop, y_stop, x_stop),
                score=None if is_random else float(places.scores[place.rank]),
                volume_mean=mean,
                foreground=None if is_random else float(places.foreground[place.rank]),
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
