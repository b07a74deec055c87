"""Folders of masks become CSV files of curves; every fault of a file is one sentence."""

import csv
from pathlib import Path

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation.curve_files import digitize_folder, read_scales
from vesuv.io.formats import write

LABELS = LabelsConfig(classes={"background": 0, "gamma": 1, "density": 2})
HEADER = "id,curve,left,right,left_value,right_value,top,bottom,top_depth,bottom_depth\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One scan of three rows: gamma at columns 0, 1, 2 of 0 to 4, density at column 3."""
    mask = np.zeros((1, 3, 5), np.uint8)
    mask[0, [0, 1, 2], [0, 1, 2]] = 1
    mask[0, :, 3] = 2
    write(tmp_path / "masks/a.png", mask)
    (tmp_path / "scales.csv").write_text(
        HEADER + "a,gamma,0,4,0,200,0,2,1000,1002\na,density,0,4,1,3,0,2,1000,1002\n"
    )
    (tmp_path / "true").mkdir()
    (tmp_path / "true/a.csv").write_text(
        "depth,gamma,density\n1000,0,2.5\n1001,60,2.5\n1002,120,\n"
    )
    return tmp_path


def digitize(data: Path, truth: bool = True, num_samples: int = 3) -> list:
    return digitize_folder(
        data / "masks",
        data / "scales.csv",
        data / "out",
        LABELS,
        num_samples=num_samples,
        truth=data / "true" if truth else None,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_depths_of_deep_logs_keep_their_millimetres(data: Path) -> None:
    (data / "scales.csv").write_text(HEADER + "a,gamma,0,4,0,200,0,2,12345.678,12345.689\n")

    digitize(data, truth=False)

    depths = [float(row["depth"]) for row in rows(data / "out/a.csv")]
    assert depths == pytest.approx([12345.678, 12345.6835, 12345.689], abs=1e-4)


def test_samples_and_errors_are_written(data: Path) -> None:
    digitize(data)

    assert rows(data / "out/a.csv") == [
        {"depth": "1000", "gamma": "0", "density": "2.5"},
        {"depth": "1001", "gamma": "50", "density": "2.5"},
        {"depth": "1002", "gamma": "100", "density": "2.5"},
    ]
    gamma, density = rows(data / "out/curves.csv")
    # differences 0, -10, -20 of true values 0, 60, 120
    assert float(gamma["mae"]) == 10
    assert float(gamma["mse"]) == pytest.approx(500 / 3, rel=1e-5)
    assert float(gamma["r2"]) == pytest.approx(1 - 500 / 7200, rel=1e-5)
    assert float(gamma["mae_of_scale"]) == 0.05
    assert float(gamma["coverage"]) == 1
    assert (density["mae"], density["r2"]) == ("0", "")


def test_without_true_curves_there_are_samples_alone(data: Path) -> None:
    (scan, _) = digitize(data, truth=False, num_samples=300)

    assert scan.errors is None
    assert len(rows(data / "out/a.csv")) == 300
    assert list(rows(data / "out/curves.csv")[0]) == ["id", "curve", "coverage"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "holds no line below its columns"),
        ("a,gamma,x,4,0,1,0,2,0,1", r"line 2: left is a number, found 'x'"),
        ("a,gamma,0,4,0,1,0,2,0", r"line 2: bottom_depth is a number, found ''"),
        ("a,gamma,4,0,0,1,0,2,0,1", "left is below right, found 4 and 0; exchange them"),
        ("a,gamma,0,4,7,7,0,2,0,1", "left_value and right_value differ, found 7 twice"),
        ("a,gamma,0,4,0,1,0,2,0,1\na,gamma,0,4,0,1,0,2,0,1", "gamma of id a stands twice"),
    ],
)
def test_faults_of_scales_are_named_with_their_line(
    tmp_path: Path, line: str, sentence: str
) -> None:
    (tmp_path / "s.csv").write_text(HEADER + line)

    with pytest.raises(InputError, match=sentence):
        read_scales(tmp_path / "s.csv")


def test_scales_without_a_column_or_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s\.csv: no such file"):
        read_scales(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text("id,curve\na,gamma\n")
    with pytest.raises(InputError, match=r"needs the columns id, .*, without left, right"):
        read_scales(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_bytes(b"id,\xff")
    with pytest.raises(InputError, match=r"s\.csv: cannot be read as CSV"):
        read_scales(tmp_path / "s.csv")


def test_what_does_not_fit_together_is_named(data: Path) -> None:
    scales = (data / "scales.csv").read_text()
    for text, sentence in (
        (scales.replace("a,", "b,"), r"scales\.csv: has no line of id a"),
        (
            scales.replace("gamma", "sonic"),
            "its curves are gamma, density, the scales name 'sonic'",
        ),
    ):
        (data / "scales.csv").write_text(text)
        with pytest.raises(InputError, match=sentence):
            digitize(data)
    (data / "scales.csv").write_text(scales)
    (data / "true/a.csv").write_text("depth,gamma\n0,1\n")
    with pytest.raises(InputError, match=r"a\.csv has no column 'density'"):
        digitize(data)


def test_masks_and_true_curves_are_not_overwritten(data: Path) -> None:
    for folder in ("masks", "true"):
        (data / "out").unlink(missing_ok=True)
        (data / "out").symlink_to(data / folder)
        with pytest.raises(InputError, match="holds the masks or true curves"):
            digitize(data)


def test_a_folder_without_masks_and_a_volume_are_named(data: Path) -> None:
    (data / "masks/a.png").unlink()
    with pytest.raises(InputError, match="holds no image; predict first"):
        digitize(data)
    write(data / "masks/a.tif", np.zeros((2, 3, 5), np.uint8))
    with pytest.raises(InputError, match=r"a\.tif: a curve is measured on images of one slice"):
        digitize(data)
    (data / "masks/a.tif").rename(data / "masks/a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: a mask needs a lossless format"):
        digitize(data)
