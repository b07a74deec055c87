from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import vesuv
from vesuv.config.labels import TWO_CLASSES
from vesuv.config.postprocess import read_chain
from vesuv.data.case import Case, MemoryCase
from vesuv.data.preparation import prepare_in_memory
from vesuv.errors import InputError
from vesuv.inference.load import load
from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import open_members
from vesuv.inference.predictor import Predictor
from vesuv.runs.folder import RunFolder
from vesuv.transforms.normalize import Normalizer

RESIDUAL = {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}
"""Not blind to the scale of its input, as networks are that normalise all their features."""


def _image(*shape: int, seed: int = 0, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(dtype)


def _prepared(run: RunFolder, image: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> MemoryCase:
    label = np.zeros(image.shape[-3:], dtype=np.uint8)
    (case,) = prepare_in_memory([Case("a", image, label, spacing)], run.config)
    return case


def test_an_ensemble_averages_probabilities(make_run) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[100.0]).path]

    probs = load(runs).predict(np.zeros((10, 20, 16), dtype=np.uint8))

    assert (probs.shape, probs.dtype) == ((1, 10, 20, 16), np.float32)
    assert np.allclose(probs, 0.75)


def test_an_ensemble_of_several_classes_stays_a_distribution(make_run) -> None:
    classes = {"labels__classes": {"air": 0, "a": 1, "b": 3}, "model__out_channels": 3}
    runs = [
        make_run("a", logits=[0.0, 0.0, 0.0], **classes).path,
        make_run("b", logits=[0.0, 1.0, -1.0], **classes).path,
    ]

    probs = load(runs).predict(np.zeros((16, 16, 16), dtype=np.uint8))

    assert np.allclose(probs.sum(axis=0), 1.0)
    # softmax(0, 1, -1) = (0.2447, 0.6652, 0.0900)
    expected = [(1 / 3 + p) / 2 for p in (0.244728, 0.665241, 0.090031)]
    assert probs[:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_members_with_other_normalisation_or_patches_see_their_own_input(make_run) -> None:
    image = _image(20, 18, 17)
    ranged = Normalizer(name="range", low=(0.0,), high=(255.0,), shift=(127.5,), scale=(127.5,))
    runs = [
        make_run("a", seed=1).path,
        make_run("b", seed=2, model=RESIDUAL).path,
        make_run("c", seed=3, model=RESIDUAL, normalizer=ranged).path,
        make_run("d", seed=4, sampling__patch_size=[8, 8, 8]).path,
    ]

    together = load(runs).predict(image)

    alone = np.stack([load(run).predict(image) for run in runs])
    assert np.allclose(together, alone.mean(axis=0), atol=1e-6)


def test_windows_may_be_larger_than_the_patches_of_training(make_run) -> None:
    image = _image(20, 36, 17)
    small, large = make_run("a", seed=1), make_run("b", seed=1, sampling__patch_size=[16, 32, 16])
    changes = ["inference.patch_size=[16, 32, 16]", "inference.views=mirror"]

    changed = load(small.path, changes=changes).predict(image)

    assert np.array_equal(changed, load(large.path, changes=changes[1:]).predict(image))
    assert not np.array_equal(changed, load(small.path, changes=changes[1:]).predict(image))


def test_all_networks_of_an_ensemble_must_take_the_windows(make_run) -> None:
    deeper = {**RESIDUAL, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]}
    runs = [
        make_run("a", model=RESIDUAL, inference__patch_size=[18, 16, 16]).path,
        make_run("b", model=deeper).path,
    ]

    with pytest.raises(InputError, match=r"b.*: inference\.patch_size: .* multiple of 4 .*18, 16"):
        load(runs)


def test_the_mean_is_summed_up_in_the_order_of_the_networks(make_run) -> None:
    image = _image(17, 16, 18)
    runs = [make_run(name, seed=seed).path for seed, name in enumerate("abc")]

    probs = load(runs).predict(image)

    a, b, c = (load(run).predict(image) for run in runs)
    assert np.array_equal(probs, (a + b + c) / np.float32(3))
    assert np.array_equal(probs, load(runs).predict(image))
    for order in ((2, 1, 0), (1, 2, 0)):
        other = load([runs[number] for number in order]).predict(image)
        assert np.abs(other - probs).max() <= 3 * np.finfo(np.float32).eps


@pytest.mark.parametrize("spacing", [None, [2.0, 1.5, 0.8]], ids=["as it came", "resampled"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_ensembles_of_a_case_are_those_that_predict_makes_of_them_alone(
    make_run, average, spacing
) -> None:
    runs = [
        make_run(name, seed=seed, model=RESIDUAL, data__spacing=spacing)
        for seed, name in enumerate("abc")
    ]
    image, voxels = _image(11, 16, 18, dtype="uint16"), (2.5, 1.0, 1.0)
    case = _prepared(runs[0], image, voxels)
    subsets, changes = [(2,), (0, 1), (1, 2), (0, 1, 2)], [f"inference.average={average}"]

    ensemble = load([run.path for run in runs], changes=changes).ensemble
    means = ensemble.predict_case(case, subsets)

    for subset, mean in zip(subsets, means, strict=True):
        alone = load([runs[number].path for number in subset], changes=changes)
        assert np.array_equal(mean.numpy(), alone.predict(image, voxels))
        assert torch.equal(alone.predict_case(case), mean)


@pytest.mark.parametrize("spacing", [None, [2.0, 1.5, 0.8]], ids=["as it came", "resampled"])
@pytest.mark.parametrize("kind", ["uint8", ">i2", "float16", "float64", "int64", "bool"])
def test_a_prepared_case_is_predicted_to_the_bit_as_its_image(make_run, spacing, kind) -> None:
    run = make_run("a", model=RESIDUAL, data__spacing=spacing)
    image = np.random.default_rng(0).normal(100, 30, (11, 18, 20))
    image = (image > 100 if kind == "bool" else image).astype(kind)
    case = _prepared(run, image, spacing=(2.5, 1.0, 1.0))

    predictor = load(run.path)

    probs = predictor.predict(image, spacing=(2.5, 1.0, 1.0))
    assert probs.shape == (1, 11, 18, 20)
    assert np.array_equal(predictor.predict_case(case).numpy(), probs)


def test_the_mask_is_cut_processed_and_in_label_values(make_run) -> None:
    run = make_run("a", labels__classes={"background": 9, "sheet": [200, 201]})
    image = _image(20, 16, 18)
    chain = read_chain([{"name": "keep_largest"}], "test")
    probs = torch.from_numpy(load(run.path).predict(image))
    settings = MaskSettings.alike(TWO_CLASSES, float(probs.quantile(0.9)), chain)

    predictor = Predictor.of_members(open_members([run.path]), settings)

    classes = predictor.classes(probs)
    assert 0 < classes.sum() < (probs >= settings.cuts[0].threshold).sum()
    assert np.array_equal(predictor.labels(probs), np.where(classes == 1, 200, 9))
    assert np.array_equal(predictor.segment(image), predictor.labels(probs))


def test_without_a_selection_the_configuration_says_how_masks_are_made(make_run) -> None:
    chain = [{"name": "fill_cavities"}]
    run = make_run("a", validation__threshold=0.7, inference__postprocess=chain)
    several = make_run("b", model__out_channels=2)

    assert load(run.path).mask == MaskSettings.alike(
        load(run.path).targets, 0.7, read_chain(chain, "test")
    )
    networks = load(run.path).networks
    assert Predictor(networks, load(run.path).machine).mask == load(run.path).mask
    assert load(several.path).mask == MaskSettings.alike(load(several.path).targets, None)


def test_the_package_loads_runs_by_path_with_a_checkpoint_and_changes(make_run) -> None:
    run = make_run("a", checkpoints=("best", "last"))

    predictor = vesuv.load(
        str(run.path), checkpoint="last", changes=["inference.overlap=0", "inference.views=mirror"]
    )

    assert isinstance(predictor, vesuv.Predictor)
    assert Path(predictor.networks[0].source).name == "last.pt"
    assert (predictor.inference.overlap, predictor.inference.views) == (0.0, "mirror")
    assert predictor.num_channels == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_progress_never_goes_back_and_ends_at_all(make_run, order) -> None:
    runs = [make_run("a").path, make_run("b", sampling__patch_size=[8, 16, 16]).path]
    counts: list[tuple[int, int]] = []

    load([runs[number] for number in order]).predict(
        np.zeros((16, 16, 24), dtype=np.uint8), progress=lambda *pair: counts.append(pair)
    )

    shares = [done / total for done, total in counts]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0 and len(counts) == 2 + 6


@pytest.mark.parametrize("kind", ["bool", "int8", ">i2", "uint16", "int64", "float64"])
def test_images_of_any_type_and_byte_order_are_taken(make_run, kind: str) -> None:
    plain = np.random.default_rng(0).integers(0, 2, (16, 16, 16)).astype(np.uint8)
    image = plain.astype(kind)
    image.setflags(write=False)
    predictor = load(make_run("a").path)

    assert np.array_equal(predictor.predict(image), predictor.predict(plain))
    assert np.array_equal(predictor.predict(image[None]), predictor.predict(plain))


def test_a_view_that_is_not_contiguous_is_predicted_as_its_copy(make_run) -> None:
    predictor = load(make_run("a").path)
    view = _image(18, 16, 20).T[::-1, :, ::-1]

    assert np.array_equal(predictor.predict(view), predictor.predict(view.copy()))


def _refuses(predict: Callable[[np.ndarray], object], image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(image)


def test_images_that_cannot_be_predicted_are_refused(make_run) -> None:
    predict = load(make_run("a").path).predict
    cube = np.zeros((16, 16, 16), dtype=np.float32)

    _refuses(predict, cube[0], r"real numbers, \(z, y, x\) or .*, found float32 \(16, 16\)")
    _refuses(predict, cube.astype(complex), "real numbers, .* found complex128")
    _refuses(predict, cube[:0], r"found float32 \(0, 16, 16\); give one volume")
    _refuses(predict, np.stack([cube, cube]), "trained on 1 channel, found 2 in an array of shape")
    _refuses(predict, cube * np.nan, "an image holds finite values, found NaN or infinite in 4096")


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0)])
def test_a_spacing_that_means_nothing_is_refused(make_run, spacing) -> None:
    predictor = load(make_run("a", data__spacing=[2.0, 2.0, 2.0]).path)

    with pytest.raises(InputError, match=r"3 finite voxel edges above 0, found \(.*\); correct it"):
        predictor.predict(_image(16, 16, 16), spacing=spacing)


def test_a_network_that_gives_no_numbers_is_refused(make_run) -> None:
    predict = load(make_run("a", logits=[float("nan")]).path).predict

    _refuses(predict, np.zeros((16, 16, 16)), r"best\.pt: gives NaN or infinite probabilities")
