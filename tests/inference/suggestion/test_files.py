"""Cubes of volumes on disk: in blocks they are those of the whole volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference.blocks.conftest import smooth_image
from tests.known_runs import MakeRun
from vesuv.errors import InputError
from vesuv.inference.blocks.compute import BlockPredictor
from vesuv.inference.members import open_members
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.files import FileSuggestion, ScoredVolume
from vesuv.inference.suggestion.volumes import SourceVolume
from vesuv.io.formats import write
from vesuv.io.formats.volume import FormatError

SMALL = {"inference": {"views": "mirror"}, "sampling__patch_size": [8, 8, 8]}


@pytest.fixture
def volume(tmp_path: Path) -> SourceVolume:
    """A volume of which a part is labelled, and a part was suggested before."""
    image = smooth_image((37, 33, 41), empty=9)
    label = np.full(image.shape, 2, np.uint8)
    label[:12] = image[:12] > 100
    write(tmp_path / "image.tif", image)
    write(tmp_path / "label.tif", label)
    cube = (slice(20, 28), slice(3, 11), slice(30, 38))
    return SourceVolume("a", (tmp_path / "image.tif",), tmp_path / "label.tif", cubes=(cube,))


def scored(run: Path, volume: SourceVolume, **options: Any) -> ScoredVolume:
    members = open_members([run])
    output = run.parent / "unused"
    predictor = Predictor.of_members(members)
    return FileSuggestion(members, predictor, output, 3, (8, 8, 8), **options).score(volume, "a")


@pytest.mark.slow
def test_blocks_give_the_scores_of_the_whole_volume(
    make_run: MakeRun, volume: SourceVolume
) -> None:
    run = make_run("a", **SMALL).path

    whole = scored(run, volume)
    blocks = scored(run, volume, always_blocks=True, block_size=16)

    assert blocks.scores.mean == whole.scores.mean
    for name in ("starts", "scores", "foreground"):
        values = getattr(whole.scores.places, name)
        assert len(values) and np.array_equal(getattr(blocks.scores.places, name), values)
    assert blocks.record.shape == whole.record.shape
    for name in ("mean", "std", "min", "max", "low", "high"):
        values = getattr(whole.record.statistics, name)
        assert getattr(blocks.record.statistics, name) == pytest.approx(values), name
    assert blocks.shifts == whole.shifts


@pytest.mark.slow
def test_blocks_are_resampled_as_the_whole_volume(make_run: MakeRun, volume: SourceVolume) -> None:
    run = make_run("a", data__spacing=[1.3, 1.0, 0.8], **SMALL).path

    whole = scored(run, volume).scores
    blocks = scored(run, volume, always_blocks=True, block_size=16).scores

    assert blocks.mean == pytest.approx(whole.mean, rel=1e-3)
    assert np.array_equal(blocks.places.starts[:3], whole.places.starts[:3])
    assert blocks.places.scores == pytest.approx(whole.places.scores, rel=1e-2)


def test_random_places_are_those_without_only_labelled_voxels(
    make_run: MakeRun, volume: SourceVolume
) -> None:
    run = make_run("a", **SMALL).path

    one, again, other = (scored(run, volume, seed=seed).scores for seed in (0, 0, 1))

    assert one.mean is None
    assert np.array_equal(one.places.starts, again.places.starts)
    assert not np.array_equal(one.places.starts, other.places.starts)
    starts = one.places.starts
    assert (starts[:, 0] > 4).all() and starts[:, 0].min() == 6  # at 4 all voxels are labelled
    in_the_cube = (np.abs(starts - np.array((20, 3, 30))) < 8).all(axis=1)
    assert not in_the_cube.any()


def test_a_volume_that_cannot_be_read_in_blocks_is_a_sentence(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "image.npy", smooth_image((20, 18, 16)))
    volume = SourceVolume("a", (tmp_path / "image.npy",))

    def fail(*_words: object) -> None:
        raise FormatError("disk fails")

    monkeypatch.setattr(BlockPredictor, "read", fail)
    with pytest.raises(
        InputError,
        match=r"image\.npy: voxels of block 0\.0\.0 .*disk fails.*; correct it and start",
    ):
        scored(make_run("a", **SMALL).path, volume, always_blocks=True, block_size=16)
