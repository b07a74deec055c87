"""Folders of image logs and tables of picks, also wrong ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesuv.curves.geometry import Borehole
from vesuv.curves.logs import ImageLog, folds_of, read_image, read_logs, resampled
from vesuv.curves.phantom import make_phantom
from vesuv.curves.picks import Pick, read_picks, write_picks
from vesuv.errors import InputError, InputErrors

HEADER = "id,diameter_mm,pixel_mm,top_m,group\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "picks").mkdir()
    (tmp_path / "wells.csv").write_text(HEADER + "a,200,5,1000,north\nb,150,2.5,,\n")
    np.save(tmp_path / "images/a.npy", np.arange(40 * 36, dtype=np.float32).reshape(40, 36))
    Image.fromarray(np.full((20, 36), 7, dtype=np.uint8)).save(tmp_path / "images/b.png")
    (tmp_path / "picks/a.csv").write_text("depth,dip,azimuth,kind\n1000.1,30,350,fracture\n")
    (tmp_path / "picks/b.csv").write_text("depth,dip,azimuth,kind\n")
    return tmp_path


def test_a_folder_is_read_with_its_sizes_and_picks(folder: Path) -> None:
    first, second = read_logs(folder, columns=36, missing=0.0)

    assert (first.id, first.group, first.top) == ("a", "north", 1000.0)
    assert first.hole == Borehole(200.0, 5.0)
    (pick,) = first.picks
    assert pick.row == pytest.approx(20.0)  # 100 mm below the top in pixels of 5 mm
    assert (pick.dip, pick.azimuth, pick.kind) == (30.0, 350.0, 1)
    assert np.isnan(first.image[0, 0])
    assert first.image[0, 1] == 1.0
    assert (second.group, second.top, second.picks) == ("b", 0.0, ())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1000.1,95,0,bedding", "dip must be a number from 0 to 90, found '95'"),
        ("1000.1,90,0,bedding", "dip must be below 90 degrees, found 90"),
        ("1000.1,10,400,bedding", "azimuth must be a number from 0 to 360, found '400'"),
        ("1000.1,10,0,fault", "kind must be bedding or fracture, found 'fault'"),
        ("1200,10,0,bedding", "depth must lie in the image, from 1000 to 1000.2 m, found 1200"),
        ("deep,10,0,bedding", "depth must be a number, found 'deep'"),
    ],
)
def test_a_wrong_pick_is_refused_with_its_line(folder: Path, line: str, sentence: str) -> None:
    table = folder / "picks/a.csv"
    table.write_text(f"depth,dip,azimuth,kind\n1000.1,1,1,bedding\n{line}\n")

    with pytest.raises(InputErrors) as fault:
        read_logs(folder, 36, 0.0)
    (message,) = fault.value.faults
    assert message.startswith(f"{table}: line 3: {sentence}")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("wells.csv", "id,diameter_mm\na,200\n", "needs the columns .* found no pixel_mm"),
        ("wells.csv", HEADER + "a,-1,5,,\n", "diameter_mm must be a number above 0, found '-1'"),
        ("wells.csv", HEADER + "a,200,5,x,\n", "top_m must be a number, found 'x'"),
        ("wells.csv", HEADER + "a,200,5,,\na,200,5,,\n", "id a stands twice"),
        ("wells.csv", HEADER + "../a,200,5,,\n", "id must be a file name"),
        ("wells.csv", HEADER, "it lists no well"),
        ("wells.csv", HEADER + "c,200,5,,\n", "no image of this name"),
        ("picks/b.csv", "depth,dip\n", "needs the columns .* found no azimuth"),
        ("images/b.png", "text", "b.png: cannot be read as an image"),
        ("images/b.png", "", "b.png: cannot be read as an image"),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, name: str, content: str, sentence: str) -> None:
    (folder / name).write_text(content)

    with pytest.raises(InputError, match=sentence):
        read_logs(folder, 36, 0.0)


def test_missing_files_are_refused(folder: Path) -> None:
    (folder / "picks/b.csv").unlink()
    with pytest.raises(InputError, match=r"b.csv: no such file; check the path"):
        read_logs(folder, 36, 0.0)
    assert len(read_logs(folder, 36, 0.0, needs_picks=False)) == 2
    (folder / "wells.csv").unlink()
    with pytest.raises(InputError, match=r"wells.csv: no such file; it lists the wells"):
        read_logs(folder, 36, 0.0)


def test_an_image_without_a_measurement_is_refused(folder: Path) -> None:
    Image.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(folder / "images/b.png")
    with pytest.raises(InputError, match=r"every pixel is missing; set logs.missing"):
        read_logs(folder, 36, 0.0)
    np.save(folder / "images/c.npy", np.zeros((2, 3, 5)))
    with pytest.raises(InputError, match=r"has rows and columns of numbers, found float64"):
        read_image(folder / "images/c.npy")


def test_colours_are_read_as_grey(folder: Path) -> None:
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    picture[..., 0] = 90
    Image.fromarray(picture).save(folder / "images/c.png")

    np.testing.assert_array_equal(read_image(folder / "images/c.png"), np.full((4, 6), 30.0))


def test_columns_are_interpolated_around_the_hole() -> None:
    image = np.array([[0.0, 4.0, np.nan, np.nan]], dtype=np.float32)

    np.testing.assert_array_equal(
        resampled(image, 8), [[0.0, 2.0, 4.0, 4.0, np.nan, np.nan, np.nan, 0.0]]
    )
    np.testing.assert_array_equal(resampled(image, 2), [[0.0, np.nan]])


def test_picks_are_written_as_they_are_read(tmp_path: Path) -> None:
    picks = (Pick(3.25, 61.5, 359.0, 1, 0.75), Pick(12.0, 4.0, 0.0, 0, 1.0))
    write_picks(tmp_path / "p.csv", picks[::-1], top=-5.0, pixel_mm=2.5, with_score=True)

    assert (tmp_path / "p.csv").read_text().startswith("depth,dip,azimuth,kind,score\n")
    again = read_picks(tmp_path / "p.csv", top=-5.0, pixel_mm=2.5, num_rows=20)
    assert [pick.row for pick in again] == pytest.approx([3.25, 12.0], abs=0.01)
    assert [(p.dip, p.azimuth, p.kind, p.score) for p in again] == [
        (p.dip, p.azimuth, p.kind, p.score) for p in picks
    ]


def test_no_picks_make_a_table_without_lines(tmp_path: Path) -> None:
    write_picks(tmp_path / "p.csv", [], top=0.0, pixel_mm=5.0)

    assert (tmp_path / "p.csv").read_text() == "depth,dip,azimuth,kind\n"
    assert read_picks(tmp_path / "p.csv", 0.0, 5.0, 10) == ()


def test_wells_of_a_group_stay_in_one_fold() -> None:
    image = np.zeros((10, 4), dtype=np.float32)
    logs = [ImageLog(f"w{i}", image, Borehole(200, 5), group=f"g{i // 2}") for i in range(6)]

    folds = folds_of(logs, num=3, seed=1)

    assert sorted(log.id for fold in folds for log in fold) == [log.id for log in logs]
    assert all(len({log.group for log in fold}) == 1 and len(fold) == 2 for fold in folds)
    with pytest.raises(InputError, match=r"logs.folds: 4 folds need as many groups .* found 3"):
        folds_of(logs, num=4, seed=1)


def test_a_phantom_is_the_same_for_a_seed_and_refuses_what_is_none(tmp_path: Path) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        make_phantom(tmp_path / name, wells=2, rows=200, per_strip=2.0, seed=seed)
    files = ["wells.csv", "images/well_01.png", "picks/well_01.csv"]

    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    assert any(
        (tmp_path / "a" / f).read_bytes() != (tmp_path / "c" / f).read_bytes() for f in files
    )
    with pytest.raises(InputError, match=r"holds wells.csv already; --overwrite"):
        make_phantom(tmp_path / "a", wells=1, rows=200)
    make_phantom(tmp_path / "a", wells=1, rows=200, overwrite=True)
    assert sorted(p.name for p in (tmp_path / "a/images").iterdir()) == ["well_00.png"]
    (tmp_path / "b/phantom.json").unlink()
    with pytest.raises(InputError, match=r"wells.csv is not of a phantom"):
        make_phantom(tmp_path / "b", wells=1, rows=200, overwrite=True)
