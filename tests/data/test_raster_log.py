"""The raster-log phantom is seeded; its labels, values and files fit together."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.layouts import find_cases
from vesuv.data.raster_log import CURVES, SCALES, WIDTHS, make_raster_logs, raster_log
from vesuv.errors import InputError
from vesuv.evaluation.curve_files import digitize_folder
from vesuv.evaluation.digitization import centerline
from vesuv.io.formats import read

LABELS = LabelsConfig(classes={"background": 0, CURVES[0]: 1, CURVES[1]: 2})


@pytest.mark.parametrize("seed", range(6))
def test_two_thin_curves_cross_on_light_paper(seed: int) -> None:
    log = raster_log(seed, 128)

    assert log.image.dtype == log.label.dtype == np.uint8
    assert WIDTHS[0] <= log.image.shape[1] <= WIDTHS[1]
    assert set(np.unique(log.label)) == {0, 1, 2}
    assert 0.003 < (log.label > 0).mean() < 0.08
    assert np.ptp(np.sign(log.columns[0] - log.columns[1])) == 2
    paper, *curves = (log.image[log.label == number].mean() for number in range(3))
    assert max(curves) < paper - 5


@pytest.mark.parametrize("seed", range(6))
def test_a_labelled_curve_has_no_gap_and_runs_along_its_true_columns(seed: int) -> None:
    log = raster_log(seed, 128)

    top = log.label == 2
    assert ndimage.label(top, np.ones((3, 3)))[1] == 1
    assert top.any(axis=1).all()
    columns = centerline(top[np.newaxis])
    steps = np.abs(np.gradient(log.columns[1]))
    assert (np.abs(columns - log.columns[1]) <= 1.5 + steps).all()


def test_a_scan_is_settled_by_its_seed() -> None:
    log, again, other = raster_log(3, 64), raster_log(3, 64), raster_log(4, 64)

    np.testing.assert_array_equal(log.image, again.image)
    np.testing.assert_array_equal(log.label, again.label)
    assert other.image.shape != log.image.shape or (other.image != log.image).any()


def test_values_are_linear_between_the_edges_of_the_track() -> None:
    log = raster_log(0, 64)
    left, right = log.track
    shares = (log.columns - left) / (right - left)

    for values, share, (low, high) in zip(log.values(), shares, SCALES, strict=True):
        np.testing.assert_allclose(values, low * (1 - share) + high * share)


def test_its_labels_are_digitised_to_its_true_values(tmp_path: Path) -> None:
    make_raster_logs(tmp_path / "data", num_cases=3, height=96, seed=0, num_test=1)
    data = tmp_path / "data"

    cases = find_cases(DataConfig(root=str(data), layout="folders", images="images",
                                  labels="labels"))  # fmt: skip
    assert [case.id for case in cases] == ["1000", "1001", "1002"]
    assert len({read(case.images[0]).shape for case in cases}) == 3
    assert (data / "test_images/1003.png").is_file()
    curves = digitize_folder(
        data / "labels", data / "scales.csv", tmp_path / "out", LABELS,
        num_samples=300, truth=data / "curves",
    )  # fmt: skip
    on_top = [one for one in curves if one.name == CURVES[1]]
    assert all(one.curve.coverage == 1 for one in on_top)
    assert all(one.errors.mae < 0.01 * one.scale.full_value for one in on_top)
    assert all(one.errors.r2 > 0.99 for one in on_top)


def test_a_data_set_is_replaced_only_if_it_is_a_phantom(tmp_path: Path) -> None:
    make_raster_logs(tmp_path, num_cases=3, height=64, seed=0)
    (tmp_path / "images/mine.png").touch()
    with pytest.raises(InputError, match="holds images already; --overwrite replaces it"):
        make_raster_logs(tmp_path, num_cases=2, height=64, seed=0)

    make_raster_logs(tmp_path, num_cases=2, height=64, seed=1, overwrite=True)

    assert {path.name for path in (tmp_path / "images").iterdir()} == {
        "2000.png",
        "2001.png",
        "mine.png",
    }
