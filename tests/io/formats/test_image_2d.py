"""PNG and JPEG are volumes of one slice; what would change their values is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesuv.errors import InputError
from vesuv.io.formats import (
    check_lossless,
    mask_suffix,
    probability_suffix,
    read,
    volumes_in,
    write,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
CHANNELS = np.moveaxis(COLOUR, -1, 0)[:, np.newaxis]


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_grey_png_is_one_slice(tmp_path: Path, kind: str) -> None:
    pixels = GREY.astype(kind) * (1 if kind == "uint8" else 257)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    volume = read(tmp_path / "a.png")

    assert volume.array.dtype == kind
    assert np.array_equal(volume.array, pixels[np.newaxis])
    assert volume.spacing == (1.0, 1.0, 1.0)


def test_colours_are_channels(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")

    assert np.array_equal(read(tmp_path / "a.png").array, CHANNELS)


def test_a_png_of_one_bit_holds_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(GREY > 99).save(tmp_path / "a.png")

    assert np.array_equal(read(tmp_path / "a.png").array, (GREY > 99)[np.newaxis])
    assert read(tmp_path / "a.png").array.dtype == np.uint8


@pytest.mark.parametrize(("pixels", "shape"), [(GREY, (1, 6, 9)), (COLOUR, (3, 1, 6, 9))])
def test_a_jpeg_is_read(tmp_path: Path, pixels: np.ndarray, shape: tuple[int, ...]) -> None:
    Image.fromarray(np.full_like(pixels, 77)).save(tmp_path / "a.jpeg")

    array = read(tmp_path / "a.jpeg").array

    assert array.shape == shape
    assert np.abs(array.astype(int) - 77).max() <= 1


@pytest.mark.parametrize("array", [GREY[np.newaxis], GREY[np.newaxis] > 9, CHANNELS])
def test_what_is_written_as_png_is_read_again(tmp_path: Path, array: np.ndarray) -> None:
    write(tmp_path / "a.png", array)

    assert np.array_equal(read(tmp_path / "a.png").array, array)


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("P", "its pixels are entries of a palette"),
        ("RGBA", "an image has no alpha channel, found one"),
        ("LA", "an image has no alpha channel, found one"),
    ],
)
def test_other_kinds_of_png_are_refused(tmp_path: Path, mode: str, sentence: str) -> None:
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "a.png")

    with pytest.raises(InputError, match=rf"a\.png: {sentence}.*save it"):
        read(tmp_path / "a.png")


def test_a_png_that_pillow_would_round_is_refused(tmp_path: Path) -> None:
    import imagecodecs

    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(COLOUR.astype(np.uint16) * 257))

    with pytest.raises(InputError, match=r"8 bits a channel, .*, found RGB of 16; save it so, or"):
        read(tmp_path / "a.png")


def test_a_jpeg_of_four_inks_is_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg")

    with pytest.raises(InputError, match="a JPEG is grey or RGB, found CMYK; save it as RGB"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_an_image_that_viewers_turn_is_refused(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / f"a{ending}", exif=exif)

    with pytest.raises(InputError, match=r"\(EXIF orientation 6\), .*; save it upright"):
        read(tmp_path / f"a{ending}")


def test_a_moving_png_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])

    with pytest.raises(InputError, match="one time point, found 2"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_cut_or_foreign_file_is_named_as_damaged(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    Image.fromarray(RNG.integers(0, 256, (99, 80, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"no image at all, but long enough for a header"):
        path.write_bytes(damaged)

        with pytest.raises(InputError, match=rf"a{ending}: .*(truncated|damaged).*copy it again"):
            read(path)


def test_a_png_that_claims_more_than_it_can_hold_is_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (10**5).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(InputError, match=r"its header claims \(100000, 100000, 1\) voxels"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        (
            "a.png",
            GREY[np.newaxis] / 2,
            "a PNG holds uint8, or grey uint16, found float64",
        ),
        ("a.png", CHANNELS.astype(np.uint16), "found uint16; write .tif"),
        ("a.png", np.stack([GREY, GREY]), r"a PNG holds one slice, grey or RGB, found shape \(2,"),
        ("a.jpg", GREY[np.newaxis], "JPEG does not keep the values"),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(
    tmp_path: Path, name: str, array: np.ndarray, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        write(tmp_path / name, array)

    assert not list(tmp_path.iterdir())


def test_masks_of_jpeg_are_png_and_probabilities_tiff() -> None:
    assert [mask_suffix(f"a{end}") for end in (".JPG", ".png", ".nii.gz")] == [
        ".png",
        ".png",
        ".nii.gz",
    ]
    assert [probability_suffix(f"a{end}") for end in (".jpeg", ".png", ".nii.gz")] == [
        ".tif",
        ".tif",
        ".nii.gz",
    ]


def test_a_jpeg_is_no_label() -> None:
    check_lossless(Path("a.png"), "label")

    with pytest.raises(InputError, match=r"a\.jpg: a label needs a lossless format.*PNG or TIFF"):
        check_lossless(Path("a.jpg"), "label")


def test_images_beside_volumes_are_previews(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.tif", "c.png"):
        (tmp_path / name).touch()

    assert [path.name for path in volumes_in(tmp_path)] == ["a.jpg", "b.tif", "c.png"]
    (tmp_path / "d.nii.gz").touch()
    assert [path.name for path in volumes_in(tmp_path)] == ["b.tif", "d.nii.gz"]
