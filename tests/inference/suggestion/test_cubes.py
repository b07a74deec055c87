"""Cubes of predictors whose disagreement is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.known_runs import MakeRun
from vesuv import suggest
from vesuv.errors import InputError
from vesuv.inference.load import load
from vesuv.inference.predictor import Predictor
from vesuv.inference.suggestion.cubes import SuggestedCube, cube_size


class KnownDisagreement:
    """Writes known uncertainties into the predictions of a predictor."""

    def __init__(self, bits: dict[tuple[int, ...], float]) -> None:
        self.bits = bits

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = Predictor.predict_on_grid

        def predict(predictor: Predictor, image: np.ndarray, *words: object, **options: object):
            prediction = original(predictor, image, *words, **options)  # type: ignore[arg-type]
            bits = torch.zeros_like(prediction.probs[0])
            for place, value in self.bits.items():
                bits[place] = value
            object.__setattr__(prediction, "uncertainty", bits)
            return prediction

        monkeypatch.setattr(Predictor, "predict_on_grid", predict)


@pytest.fixture
def model(make_run: MakeRun) -> Predictor:
    run = make_run("a", inference={"views": "mirror"}, sampling__patch_size=[8, 8, 8])
    return load(run.path)


def test_the_cube_with_the_largest_mean_comes_first(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    KnownDisagreement({(3, 3, 3): 0.5, (20, 20, 20): 0.25, (21, 20, 20): 0.5}).install(monkeypatch)
    image = np.random.default_rng(0).random((24, 24, 24)).astype(np.float32)

    first, second = suggest(model, {"a": image}, number=2, size=8)

    assert first.score == pytest.approx(0.75 / 8**3)
    assert first.volume_mean == pytest.approx(1.25 / 24**3)
    assert all(a <= 20 and b > 21 for a, b in zip(first.start, first.stop, strict=True))
    assert second.score == pytest.approx(0.5 / 8**3)
    assert all(a <= 3 < b for a, b in zip(second.start, second.stop, strict=True))
    z, y, x = first.start
    assert first.id == f"a_z{z}_y{y}_x{x}"
    assert image[first.region].shape == (8, 8, 8)
    assert first.reason.startswith(
        "networks and views disagree by 0.00146 bits a voxel, 16.2 times"
    )


@pytest.mark.slow
def test_labelled_voxels_add_nothing_and_labelled_places_are_left_out(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    KnownDisagreement({(3, 3, 3): 0.5, (20, 20, 20): 0.25}).install(monkeypatch)
    image = np.random.default_rng(0).random((24, 24, 24)).astype(np.float32)
    labelled = np.zeros(image.shape, bool)
    labelled[3, 3, 3] = True

    (cube,) = suggest(model, {"a": image}, number=1, size=8, labelled={"a": labelled})
    assert cube.score == pytest.approx(0.25 / 8**3)

    labelled[:] = True
    labelled[:8, :8, 16:] = False
    (cube,) = suggest(model, {"a": image}, number=1, size=8, labelled={"a": labelled})
    assert cube.start[2] > 8 and cube.score == 0.0
    labelled[:] = True
    with pytest.raises(InputError, match="there is room for 0 cubes of 8x8x8 voxels, found 1"):
        suggest(model, {"a": image}, number=1, size=8, labelled={"a": labelled})


def test_what_has_no_room_or_nothing_to_compare_is_refused(make_run: MakeRun) -> None:
    run = make_run("a", sampling__patch_size=[8, 8, 8])
    images = {"a": np.zeros((8, 9, 20), np.uint8), "b": np.zeros((4, 40, 40), np.uint8)}
    plain, mirrored = load(run.path), load(run.path, changes=["inference.views=mirror"])

    with pytest.raises(InputError, match=r"one network with inference\.views=none"):
        suggest(plain, images, number=1)
    with pytest.raises(InputError, match=r"--size: no volume holds a cube of 9x9x9 voxels, a has"):
        suggest(mirrored, images, number=1, size=9)
    with pytest.raises(InputError, match=r"room for 2 cubes of 8x8x8 .*, found 3; lower"):
        suggest(mirrored, images, number=3)
    with pytest.raises(InputError, match=r"--size: is one edge or three .*, found \[4, 0, 4\]"):
        suggest(mirrored, images, size=(4, 0, 4))


def test_the_default_size_is_the_patch_but_64_at_most(make_run: MakeRun) -> None:
    predictor = load(make_run("a", sampling__patch_size=[16, 96, 128]).path)

    assert cube_size(predictor, None) == (16, 64, 64)
    assert cube_size(predictor, (5,)) == cube_size(predictor, 5) == (5, 5, 5)


def test_a_cube_of_constant_networks_has_no_ratio() -> None:
    cube = SuggestedCube("a", (0, 0, 0), (4, 4, 4), 0.0, 0.0, 0.25)

    assert cube.ratio is None
    assert cube.reason == (
        "networks and views disagree by 0 bits a voxel; mean probability of foreground 25%"
    )
