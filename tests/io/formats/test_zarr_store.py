"""Folders of Zarr that a stranger made: codecs that run code, links, pipes, bombs."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from vesuv.errors import InputError
from vesuv.io.formats import read
from vesuv.io.formats.zarr_store import open_zarr

IMAGE = np.random.default_rng(0).integers(0, 255, (8, 8, 8), dtype=np.uint8)


class Runs:
    """Pickled, it makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def version_2(path: Path, chunk: bytes, **changes: Any) -> Path:
    metadata = {"zarr_format": 2, "shape": [4, 4, 4], "chunks": [4, 4, 4], "dtype": "|u1"}
    metadata |= {"compressor": None, "filters": None, "fill_value": 0, "order": "C", **changes}
    path.mkdir(parents=True)
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / "0.0.0").write_bytes(chunk)
    return path


def version_3(path: Path, chunk: bytes = bytes(64), **changes: Any) -> Path:
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 4, 4],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    (path / "c/0/0").mkdir(parents=True)
    (path / "zarr.json").write_text(json.dumps(metadata | changes))
    (path / "c/0/0/0").write_bytes(chunk)
    return path


def ome_image(path: Path, level: str) -> Path:
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    images = [{"axes": axes, "datasets": [{"path": level}]}]
    head = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": images}}}
    path.mkdir(parents=True)
    (path / "zarr.json").write_text(json.dumps(head))
    return path


PICKLE = [{"id": "pickle"}]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, *PICKLE]},
            r"dtype must be one of bool, int8, .*, found '\|O'",
        ),
        ({"dtype": "<M8[s]", "filters": PICKLE}, r"dtype must be one of .*, found '<M8\[s\]'"),
        ({"dtype": [["a", "|O"]]}, "dtype must be one of .*, found"),
        ({"filters": PICKLE}, "codec must be one of blosc, .*, found 'pickle'; rewrite the array"),
        ({"compressor": PICKLE[0]}, "codec must be one of blosc, .*, found 'pickle'"),
        ({"filters": [{"id": "json2"}]}, "codec must be one of blosc, .*, found 'json2'"),
        (
            {"filters": [{"id": "delta", "dtype": "|u1", "astype": "|O"}]},
            r"dtype must be one of .*, found '\|O'",
        ),
        (
            {"filters": [{"id": "zlib"}], "compressor": {"id": "gzip"}},
            "chunks must be compressed once, found",
        ),
        ({"dimension_separator": "/../"}, "dimension_separator must be one of ., /, found"),
        ({"chunks": [4, 4, 0]}, r"edges of a chunk must be above 0, found \[4, 4, 0\]"),
    ],
)
def test_version_2_reads_numbers_with_known_codecs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True)
    chunk = pickle.dumps(Runs(tmp_path / "owned"))
    path = version_2(tmp_path / "a.zarr", chunk, **changes)

    with pytest.raises(InputError, match=rf"a\.zarr: {sentence}"):
        read(path)
    assert not (tmp_path / "owned").exists()


def shard(**changes: Any) -> list[dict[str, Any]]:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    index = [little, {"name": "crc32c"}]
    options = {"chunk_shape": [2, 2, 2], "codecs": [little], "index_codecs": index} | changes
    return [{"name": "sharding_indexed", "configuration": options}]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data_type": "complex64"}, "data_type must be one of .*, found 'complex64'"),
        ({"data_type": "string"}, "data_type must be one of .*, found 'string'"),
        ({"data_type": {"name": "numpy.datetime64"}}, "data_type must be one of .*, found"),
        ({"codecs": [{"name": "vlen-utf8"}]}, "codec must be one of bytes, .*, found 'vlen-utf8'"),
        ({"codecs": [{"name": "numcodecs.pickle"}]}, "codec must be one of .*, found 'pickle'"),
        ({"codecs": ["bytes", "gzip", "zstd"]}, "chunks must be compressed once, found"),
        (
            {"codecs": [{"name": "bytes", "configuration": {"endian": "middle"}}]},
            "endian must be one of little, big, found 'middle'",
        ),
        (
            {"codecs": [{"name": "transpose", "configuration": {"order": [0, 0, 9]}}, "bytes"]},
            r"codec transpose must order 3 axes, found \[0, 0, 9\]",
        ),
        ({"codecs": shard(codecs=["pickle"])}, "codec must be one of .*, found 'pickle'"),
        ({"codecs": shard(codecs=shard())}, "codec must be one of .*, found 'sharding_indexed'"),
        ({"codecs": shard(index_codecs=["gzip"])}, "codec of a shard's index must be one of bytes"),
        ({"codecs": shard(index_location="start")}, "index_location must be one of end, found"),
        ({"codecs": [*shard(), "gzip"]}, "codec sharding_indexed must stand alone"),
        (
            {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
            "separator must be one of /, ., found",
        ),
        (
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**5] * 3}}},
            r"its chunks \(100000, 100000, 100000\) take 931322\.6 GiB, one file may take",
        ),
        (
            {
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1000] * 3}},
                "codecs": shard(chunk_shape=[1, 1, 1]),
            },
            "the 1000000000 chunks of a shard take 14.9 GiB, one file may take",
        ),
    ],
)
def test_version_3_reads_numbers_with_known_codecs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr("vesuv.io.formats.volume.memory_limit", lambda: 2.0**33)
    path = version_3(tmp_path / "a.zarr", **changes)

    with pytest.raises(InputError, match=rf"a\.zarr: {sentence}"):
        read(path)


@pytest.mark.parametrize("kind", ["bool", "<u2", ">i4", "<f4", ">f8", "<u8"])
@pytest.mark.parametrize("version", [2, 3])
def test_arrays_of_numbers_are_read(tmp_path: Path, kind: str, version: int) -> None:
    array = (IMAGE > 99) if kind == "bool" else IMAGE.astype(kind)
    node: Any = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=array.shape,
        chunks=(4, 4, 4),
        dtype=array.dtype,
        zarr_format=version,  # type: ignore[arg-type]
        order="F" if version == 2 else None,
    )
    node[...] = array

    assert np.array_equal(read(tmp_path / "a.zarr").array, array)


@pytest.mark.parametrize("name", ["blosc", "bz2", "gzip", "lz4", "zlib", "zstd"])
def test_each_compressor_is_read_behind_a_filter(tmp_path: Path, name: str) -> None:
    node: Any = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=IMAGE.shape,
        chunks=(4, 4, 4),
        dtype="uint16",
        zarr_format=2,
        filters=[numcodecs.Delta("<u2"), numcodecs.Shuffle(2)],  # type: ignore[list-item]
        compressors=numcodecs.get_codec({"id": name}),
    )
    node[...] = IMAGE

    assert np.array_equal(read(tmp_path / "a.zarr").array, IMAGE)


@pytest.mark.parametrize("name", ["blosc", "bz2", "gzip", "lz4", "zlib", "zstd"])
@pytest.mark.parametrize("length", [0, 300])
def test_a_truncated_chunk_is_refused(tmp_path: Path, name: str, length: int) -> None:
    codec = numcodecs.get_codec({"id": name})
    chunk = codec.encode(IMAGE)  # noise, which Blosc copies: it would read beyond the end
    path = version_2(
        tmp_path / "a.zarr",
        bytes(chunk)[:length],
        compressor=codec.get_config(),
        shape=[8, 8, 8],
        chunks=[8, 8, 8],
    )

    with pytest.raises(InputError, match=r"a\.zarr: .*(truncated|damaged)"):
        read(path)


@pytest.mark.parametrize("size", [8, 6])
def test_shards_are_read_whole_and_in_part(tmp_path: Path, size: int) -> None:
    image = IMAGE[:size, :size, :size]
    node: Any = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=image.shape, chunks=(2, 2, 2), shards=(4, 4, 4), dtype="u1"
    )
    node[...] = image

    assert np.array_equal(read(tmp_path / "a.zarr").array, image)
    assert np.array_equal(open_zarr(tmp_path / "a.zarr")[1:3, 1, :3], image[1:3, 1, :3])


@pytest.mark.parametrize(
    ("version", "name", "uint8", "int8"),
    [
        pytest.param(
            *(3, "zarr.json", '"uint8"', '"int8"'),
            marks=pytest.mark.filterwarnings("ignore:Consolidated metadata"),
        ),
        (2, ".zmetadata", '"|u1"', '"|i1"'),
    ],
)
def test_consolidated_metadata_are_not_used(
    tmp_path: Path, version: Any, name: str, uint8: str, int8: str
) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=version)
    group.create_array("0", data=np.ones((4, 4, 4), np.uint8))
    zarr.consolidate_metadata(str(tmp_path / "a.zarr"))
    file = tmp_path / "a.zarr" / name
    file.write_text(file.read_text().replace(uint8, int8))

    assert zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["0"].dtype == "int8"  # type: ignore[union-attr]
    assert open_zarr(tmp_path / "a.zarr")["0"].dtype == "uint8"


@pytest.mark.parametrize("linked", ["c", "c/0/0/0", "zarr.json"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, linked: str) -> None:
    version_3(tmp_path / "secret.zarr", b"S" * 64)
    path = version_3(tmp_path / "in/a.zarr")
    (path / linked).rename(tmp_path / "former")
    (path / linked).symlink_to(tmp_path / "secret.zarr" / linked)

    with pytest.raises(InputError, match=r"a\.zarr: its files must lie in its folder, found '.*se"):
        read(path)


def test_a_level_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    version_3(tmp_path / "secret.zarr", b"S" * 64)
    path = ome_image(tmp_path / "in/a.zarr", "0")
    (path / "0").symlink_to(tmp_path / "secret.zarr")

    with pytest.raises(InputError, match=r"its files must lie in its folder, found '0/zarr\.json'"):
        read(path)


def test_a_link_to_the_whole_folder_is_followed(tmp_path: Path) -> None:
    version_3(tmp_path / "there.zarr", b"S" * 64)
    (tmp_path / "a.zarr").symlink_to("there.zarr")

    assert (read(tmp_path / "a.zarr").array == ord("S")).all()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["c/0/0/0", "zarr.json"])
def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = version_3(tmp_path / "a.zarr")
    (path / name).unlink()
    os.mkfifo(path / name)

    with pytest.raises(InputError, match=rf"a\.zarr/{name}: is a named pipe, not a regular file"):
        read(path)


@pytest.mark.parametrize("name", ["blosc", "bz2", "gzip", "lz4", "zlib", "zstd"])
def test_a_chunk_that_unpacks_to_more_than_it_should_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("vesuv.io.formats.zarr_store._HARMLESS_BYTES", 0)
    codec = numcodecs.get_codec({"id": name})
    path = version_2(tmp_path / "a.zarr", codec.encode(bytes(2**24)), compressor=codec.get_config())

    with pytest.raises(
        InputError, match=r"chunk '0\.0\.0' unpacks to \d+ .* by the metadata to 64"
    ):
        read(path)


@pytest.mark.parametrize("shape", [[4, 4, 4], [3, 3, 3]], ids=["whole shard", "part of a shard"])
def test_a_bomb_in_a_shard_is_refused(tmp_path: Path, shape: list[int]) -> None:
    bomb = numcodecs.Zstd().encode(bytes(2**24))
    index = np.array([[0, len(bomb)]] * 8, "<u8").tobytes()
    zstd = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
    inner = [{"name": "bytes", "configuration": {"endian": "little"}}, zstd]
    codecs = shard(codecs=inner, index_codecs=inner[:1])
    path = version_3(tmp_path / "a.zarr", bomb + index, shape=shape, codecs=codecs)

    with pytest.raises(InputError, match=r"chunk 'c/0/0/0' unpacks to 16777216 bytes or more"):
        read(path)


def test_endless_metadata_are_refused(tmp_path: Path) -> None:
    path = version_3(tmp_path / "a.zarr", attributes={"x": "x" * (16 << 20)})

    with pytest.raises(InputError, match=r"zarr\.json has at most 16777216 bytes, found more"):
        read(path)


def test_the_folder_cannot_be_written(tmp_path: Path) -> None:
    node = open_zarr(version_3(tmp_path / "a.zarr"))

    with pytest.raises(PermissionError, match=r"a\.zarr was opened for reading"):
        node[...] = 5
