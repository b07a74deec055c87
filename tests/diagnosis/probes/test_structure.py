from pathlib import Path

import numpy as np
import pytest
import torch

from vesuv.config import Config
from vesuv.config.data import AugmentConfig, Blur, Noise, Scaling
from vesuv.config.labels import Targets
from vesuv.data.builder import open_or_prepare_store
from vesuv.diagnosis.probes.structure import (
    contrast,
    measure_augmentation,
    measure_structures,
    repeat_distances,
    run_lengths,
)
from vesuv.training.fold_data import FoldData, TrainingData, fold_data

SHEET = Targets.of_classes(("background", "sheet"))


def line(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Foreground #, ignored ?, along the last axis."""
    symbols = np.array(list(text)).reshape(1, 1, -1)
    return symbols == "#", symbols == "?"


def test_spacing_is_from_one_beginning_to_the_next() -> None:
    assert repeat_distances(*line("..##...##.#"), axis=2) == [5, 3]


def test_what_begins_outside_or_lies_behind_ignored_voxels_is_left_out() -> None:
    assert repeat_distances(*line("#..##..##"), axis=2) == [4]
    assert repeat_distances(*line(".#..?..#...#"), axis=2) == [4]
    assert repeat_distances(*line("........"), axis=2) == []


def test_a_run_is_as_long_as_its_voxels_in_a_row() -> None:
    mask = line("##.###.#")[0]

    assert run_lengths(mask, 2).ravel().tolist() == [2, 2, 0, 3, 3, 3, 0, 1]
    assert run_lengths(mask, 0).ravel().tolist() == [1, 1, 0, 1, 1, 1, 0, 1]


def test_contrast_is_against_the_background_beside() -> None:
    label = torch.zeros((16, 16, 16), dtype=torch.uint8)
    label[:, :, 4:6] = 1
    label[:, :, 12:] = 255
    image = torch.zeros((1, 16, 16, 16))
    image[0, :, :, 4:6] = 3.0
    image[0, :, :, 1:9] += torch.tensor([1.0, -1.0]).repeat(4)
    image[0, :, :, 9:] = 50.0  # neither beside nor judged

    found = contrast(image, label)

    assert found is not None
    gap, deviations = found
    assert gap == pytest.approx(3.0, abs=1e-5)
    assert deviations == pytest.approx(3.0, rel=1e-2)


def test_too_little_foreground_has_no_contrast() -> None:
    label = torch.zeros((8, 8, 8), dtype=torch.uint8)
    label[0, 0, :4] = 1

    assert contrast(torch.zeros((1, 8, 8, 8)), label) is None


@pytest.fixture
def data(tiny_config: Config) -> FoldData:
    data = TrainingData.of_store(open_or_prepare_store(tiny_config), tiny_config)
    return fold_data(data, tiny_config, 0)


def test_the_tiny_sheets_are_two_thick_and_ten_apart(data: FoldData) -> None:
    found = measure_structures(data.train, SHEET)["sheet"]

    assert found.thickness == pytest.approx(2.0)
    assert found.spacing is None or min(found.spacing) == pytest.approx(10.0, abs=1.0)


def effects(data: FoldData, config: Config, augment: AugmentConfig) -> dict[str, float]:
    maps = [data.normalizer.for_case(case.statistics) for case in data.train]
    found = measure_augmentation(data.train, maps, config.sampling, augment, SHEET, 6, seed=0)
    return {
        name: min(effect.foreground, effect.contrast, effect.thickness)
        for name, effect in found.items()
    }


def test_mild_augmentation_leaves_the_structure(data: FoldData, tiny_config: Config) -> None:
    found = effects(data, tiny_config, AugmentConfig())

    assert set(found) == {"rotation", "scaling", "noise", "blur", "low_resolution"}
    assert min(found.values()) > 0.6


@pytest.mark.parametrize(
    ("name", "harsh"),
    [
        ("blur", Blur(p=1.0, range=(3.0, 4.0))),
        ("noise", Noise(p=1.0, range=(4.0, 5.0))),
        ("scaling", Scaling(p=1.0, range=(0.2, 0.25))),
    ],
)
def test_harsh_augmentation_does_not(
    data: FoldData, tiny_config: Config, name: str, harsh: Blur
) -> None:
    found = effects(data, tiny_config, AugmentConfig.model_validate({name: harsh}))

    assert found[name] <= 0.5


def test_what_is_off_is_not_measured(data: FoldData, tiny_config: Config, tmp_path: Path) -> None:
    found = effects(data, tiny_config, AugmentConfig(blur=Blur(p=0.0)))

    assert "blur" not in found and "noise" in found
