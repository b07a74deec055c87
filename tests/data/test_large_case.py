"""A case that is prepared part by part is the case that is prepared as a whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.config import Config, check
from vesuv.data.builder import check_preparation, prepare
from vesuv.data.case import Case
from vesuv.data.case_files import LazyCase
from vesuv.data.case_size import open_if_large
from vesuv.data.large_case import prepare_large_case
from vesuv.data.layouts import find_cases
from vesuv.data.part_grid import part_regions
from vesuv.data.preparation import prepare_arrays
from vesuv.data.store import Store, open_case
from vesuv.errors import InputError, InputErrors
from vesuv.io.formats import Volume, write
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy.volume import ArrayVoxels

SHAPE = (37, 45, 51)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every case as large, in parts of at most 16 x 16 x 32 voxels."""
    monkeypatch.setattr("vesuv.data.case_size.LARGE_VOXELS", 0)
    monkeypatch.setattr("vesuv.data.part_grid.PART_VOXELS", 2**13)
    monkeypatch.setattr("vesuv.data.part_grid._ROW", 32)


def arrays(dtype: Any = np.uint8, channels: int = 1, shape: tuple[int, int, int] = SHAPE) -> Any:
    """Return an image and a label with the values 0, 3, 7 and 9, the last one ignored."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 40, (channels, *shape)).clip(0, 250).astype(dtype)
    z, y, x = np.indices(shape)
    label = np.where((z + y // 2) % 9 < 2, 3, 0) + np.where((x + z) % 17 < 2, 4, 0)
    label[label == 4] = 7
    label[: shape[0] // 4, : shape[1] // 3] = 9
    return (image if channels > 1 else image[0]), label.astype(np.uint8)


def config(root: Path, store: str, **data: Any) -> Config:
    return check(
        {
            "name": "a",
            "data": {"root": str(root), "store": str(root.parent / store), **data},
            "labels": {"classes": {"background": 0, "thin": 3, "thick": 7}, "ignore": 9},
            "sampling": {"patch_size": [16, 16, 16]},
            "model": {"filters": 2, "depth": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        },
        "here",
    )


def write_zarr(root: Path, image: Any, label: Any) -> dict[str, Any]:
    for folder, array in (("a.zarr", image), ("a.zarr/labels/sheets", label)):
        group = zarr.open_group(str(root / folder), mode="w", zarr_format=2)
        steps = []
        for level in range(2):
            data = array[..., :: 2**level, :: 2**level, :: 2**level]
            group.create_array(str(level), data=data, chunks=(20,) * data.ndim)
            scale = [1.0] * (data.ndim - 3) + [2.0 * 2**level, 0.8 * 2**level, 1.0 * 2**level]
            transforms = [{"type": "scale", "scale": scale}]
            steps.append({"path": str(level), "coordinateTransformations": transforms})
        axes = [{"name": "c", "type": "channel"}] if array.ndim == 4 else []
        axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": steps}]
    return {"layout": "ome_zarr", "labels": "sheets"}


def write_folders(
    root: Path, ending: str, image: Any, label: Any, save: Callable[..., None] = write
) -> dict[str, Any]:
    for folder, array in (("i", image), ("l", label)):
        (root / folder).mkdir()
        like = Volume(array, (2.0, 0.8, 1.0), None, unit="µm")
        save(root / folder / f"a{ending}", array, like)
    return {"layout": "folders", "images": "i", "labels": "l"}


def save_tiles(path: Path, array: Any, like: Volume) -> None:
    """Write a compressed TIFF whose pages are cut into tiles."""
    axes = "CZYX"[-array.ndim :]
    tifffile.imwrite(
        path,
        array,
        compression="zlib",
        tile=(16, 32),
        photometric="minisblack",
        metadata={"axes": axes, "PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.8, "PhysicalSizeX": 1.0},
        ome=True,
    )


def save_strips(path: Path, array: Any, like: Volume) -> None:
    axes = "CZYX"[-array.ndim :]
    tifffile.imwrite(path, array, rowsperstrip=7, photometric="minisblack", metadata={"axes": axes})


FORMATS: dict[str, Callable[[Path, Any, Any], dict[str, Any]]] = {
    "ome-zarr": write_zarr,
    "npy": lambda root, image, label: write_folders(root, ".npy", image, label),
    "nifti": lambda root, image, label: write_folders(root, ".nii", image, label),
    "tiff, pages": lambda root, image, label: write_folders(root, ".tif", image, label),
    "tiff, tiles": lambda root, *pair: write_folders(root, ".tif", *pair, save_tiles),
    "tiff, strips": lambda root, *pair: write_folders(root, ".tif", *pair, save_strips),
}


def contents(store: Store) -> dict[str, bytes]:
    """Return what all files of a store hold, apart from its own place."""
    files = (path for path in store.path.rglob("*") if path.is_file())
    return {str(path.relative_to(store.path)): path.read_bytes() for path in files}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("name", FORMATS)
def test_every_byte_of_the_store_is_the_same(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, dtype: Any
) -> None:
    (tmp_path / "raw").mkdir()
    layout = FORMATS[name](tmp_path / "raw", *arrays(dtype, channels=2))
    whole = prepare(config(tmp_path / "raw", "whole", **layout))

    request.getfixturevalue("small_parts")
    notes: list[str] = []
    parts = prepare(config(tmp_path / "raw", "parts", **layout), notes=notes.append)

    assert contents(parts) == contents(whole)
    assert any(note.startswith("case a: 37x45x51 voxels are prepared in ") for note in notes)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("spacing", [[1.0, 1.0, 1.0], [4.0, 0.5, 1.7], [6.3, 2.9, 3.1]])
def test_a_resampled_store_is_the_same(
    tmp_path: Path, request: pytest.FixtureRequest, spacing: list[float], dtype: Any
) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays(dtype))
    whole = prepare(config(tmp_path / "raw", "whole", spacing=spacing, **layout)).cases["a"]

    request.getfixturevalue("small_parts")
    parts = prepare(config(tmp_path / "raw", "parts", spacing=spacing, **layout)).cases["a"]

    assert np.array_equal(parts.label, whole.label)
    assert np.array_equal(parts.native_label, whole.native_label)
    assert np.array_equal(parts.block_counts, whole.block_counts)
    tolerance = 1.0 if dtype == np.uint16 else 1e-4  # a grey value on one half may be rounded down
    difference = np.abs(parts.image.astype(np.float64) - whole.image)
    assert difference.max() <= tolerance and (difference > 1e-4).mean() < 1e-4
    assert parts.attributes.model_dump(exclude={"statistics"}) == whole.attributes.model_dump(
        exclude={"statistics"}
    )
    for one in ("mean", "std", "low", "high", "min", "max"):
        values = getattr(parts.statistics, one)
        assert values == pytest.approx(getattr(whole.statistics, one), rel=1e-5, abs=1e-4)


@settings(max_examples=8)
@given(data=st.data())
def test_awkward_shapes_have_no_seam(tmp_path_factory: Any, data: st.DataObject) -> None:
    z, y, x = (data.draw(st.integers(1, 60)) for _ in range(3))
    native = tuple(data.draw(st.floats(0.5, 2.5)) for _ in range(3))
    image, label = arrays(np.float32, shape=(z, y, x))
    case = Case("a", image, label, (native[0], native[1], native[2]))
    labels = config(Path("x"), "y").labels
    attributes, whole = prepare_arrays(case, labels, (1.0, 1.0, 1.0))
    volumes = LazyCase(case, ArrayVoxels(image[None]), ArrayVoxels(label[None]), ("i", "l"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vesuv.data.part_grid.PART_VOXELS", 2**12)
        patch.setattr("vesuv.data.part_grid._ROW", 16)
        path = tmp_path_factory.mktemp("store") / "a.zarr"
        parts = prepare_large_case(volumes, labels, (1.0, 1.0, 1.0), path)

    assert np.array_equal(parts.label, whole["label"])
    assert np.allclose(parts.image, whole["image"], atol=1e-3)
    assert np.array_equal(parts.block_counts, whole["blocks"])
    assert parts.attributes.values == attributes.values


def test_parts_cover_a_volume_once_and_stay_small() -> None:
    for shape in ((1, 1, 1), (700, 700, 700), (3000, 40, 5000), (90, 9000, 33)):
        for source in (None, (900, 350, 2000)):
            regions = part_regions(shape, 2, reads_slices=False, source=source)
            sizes = [np.prod([part.stop - part.start for part in region]) for region in regions]
            assert sum(sizes) == np.prod(shape)
            assert max(sizes) <= 2**22
            assert all(part.start % 16 == 0 for region in regions for part in region)
    (first, *_) = part_regions((64, 3000, 3000), 1, reads_slices=True)
    assert first == (slice(0, 16), slice(0, 3000), slice(0, 3000))


@pytest.mark.parametrize("level", [0, 1])
def test_a_level_of_an_image_is_a_case(
    tmp_path: Path, request: pytest.FixtureRequest, level: int
) -> None:
    (tmp_path / "raw").mkdir()
    image, label = arrays()
    layout = write_zarr(tmp_path / "raw", image, label)

    stores = [prepare(config(tmp_path / "raw", "whole", level=level, **layout))]
    request.getfixturevalue("small_parts")
    stores.append(prepare(config(tmp_path / "raw", "parts", level=level, **layout)))

    for store in stores:
        case = store.cases["a"]
        assert np.array_equal(case.image[0], image[(slice(None, None, 2**level),) * 3])
        assert case.spacing == (2.0 * 2**level, 0.8 * 2**level, 1.0 * 2**level)
    assert contents(stores[0]) == contents(stores[1])
    with pytest.raises(InputErrors, match=rf"prepared with data.level {level}, the conf"):
        prepare(config(tmp_path / "raw", "parts", level=1 - level, **layout))


def test_parts_of_a_case_are_read_in_parts(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays(channels=2))
    whole = prepare(config(tmp_path / "raw", "whole", parts=2, **layout))

    request.getfixturevalue("small_parts")
    parts = prepare(config(tmp_path / "raw", "parts", parts=2, **layout))

    assert contents(parts) == contents(whole)


@pytest.mark.usefixtures("small_parts")
def test_a_missing_level_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays())

    with pytest.raises(InputErrors, match=r"data\.level: the image has levels 0 to 1, found 2"):
        prepare(config(tmp_path / "raw", "store", level=2, **layout))
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.usefixtures("small_parts")
def test_faults_of_voxels_name_file_and_part(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    image, label = arrays(np.float32)
    image[20, 40, 50] = np.nan
    layout = write_folders(tmp_path / "raw", ".npy", image, label)
    settings = config(tmp_path / "raw", "store", **layout)

    for call in (prepare, check_preparation):
        with pytest.raises(
            InputErrors, match=r"i/a\.npy: in the part of voxels 16:32, 32:45, 32:51: an image ho"
        ):
            call(settings)
    label[36, 44, 50] = 5
    np.save(tmp_path / "raw/i/a.npy", np.nan_to_num(image))
    np.save(tmp_path / "raw/l/a.npy", label)
    with pytest.raises(InputErrors, match=r"l/a\.npy: in the part .* label value 5 \("):
        prepare(settings)
    np.save(tmp_path / "raw/l/a.npy", label[:-1])
    with pytest.raises(InputErrors, match=r"l/a\.npy: image and label of a case have one shape"):
        prepare(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.usefixtures("small_parts")
def test_8_byte_integers_are_kept_where_they_fit(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    image, label = arrays(np.int64)
    layout = write_folders(tmp_path / "raw", ".npy", image, label)
    settings = config(tmp_path / "raw", "store", **layout)

    case = prepare(settings).cases["a"]
    assert case.dtype == np.int32
    assert np.array_equal(case.image[0], image)
    image[30, 3, 3] = 2**31
    np.save(tmp_path / "raw/i/a.npy", image)
    with pytest.raises(InputErrors, match=r"fit into int32, found 0 to 2147483648; convert"):
        prepare(settings, overwrite=True)
    assert open_case(case.path).dtype == np.int32  # the former store


@pytest.mark.usefixtures("small_parts")
def test_a_disk_that_fills_up_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays())
    settings = config(tmp_path / "raw", "store", **layout)
    writes = 0
    pwrite = os.pwrite

    def full(*arguments: Any) -> int:
        nonlocal writes
        writes += 1
        if writes > 300:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(*arguments)

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(InputError, match=r"store: cannot be written \(No space left on device\)"):
        prepare(settings)

    assert writes > 300
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.usefixtures("small_parts")
def test_a_disk_with_too_little_space_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))

    with pytest.raises(InputError, match=r"case a takes 0.00017 GB, the disk has 1e-06 GB"):
        prepare(config(tmp_path / "raw", "store", **layout))
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.EIO, "Input/output error"),
        FormatError("truncated"),
        RuntimeError("error during blosc decompression: -1"),
    ],
)
def test_a_file_that_becomes_unreadable_midway_is_named_and_the_old_store_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_zarr(tmp_path / "raw", *arrays())
    settings = config(tmp_path / "raw", "store", **layout)
    before = contents(prepare(settings))
    read = zarr.Array.__getitem__

    def failing(self: Any, index: Any) -> Any:
        if index[0].start >= 32:
            raise fault
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr("zarr.Array.__getitem__", failing)
        with pytest.raises(InputErrors, match=r"a\.zarr: its voxels from \[32, 0, 0\] on cannot"):
            prepare(settings, overwrite=True)

    assert contents(Store.open(tmp_path / "store")) == before


def test_only_cases_that_take_too_much_memory_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").mkdir()
    layout = write_folders(tmp_path / "raw", ".npy", *arrays())
    (files,) = find_cases(config(tmp_path / "raw", "store", **layout).data)
    num = 37 * 45 * 51
    monkeypatch.setattr("vesuv.data.case_size.memory_limit", lambda: 4.0 * num)

    assert open_if_large(files, None, 1.0) is None  # 3 bytes a voxel
    assert open_if_large(files, None, 0.5) is not None
    assert open_if_large(files, (0.5, 1.0, 1.0), 1.0) is not None
    (tmp_path / "raw/l/a.npy").unlink()
    assert open_if_large(files, None, 0.5) is None


@pytest.mark.usefixtures("small_parts")
def test_progress_counts_parts_and_a_check_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    settings = config(tmp_path / "raw", "store", **write_zarr(tmp_path / "raw", *arrays()))
    checked: list[tuple[int, int]] = []
    steps: list[tuple[int, int]] = []

    check_preparation(settings, progress=lambda *step: checked.append(step))
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    prepare(settings, progress=lambda *step: steps.append(step))

    assert steps == checked == [(number, len(steps)) for number in range(1, len(steps) + 1)]
    assert len(steps) == 3 * 3 * 2
