"""Checks of a Zarr array's metadata before a chunk is decoded: numbers and known codecs alone.

Zarr looks codecs up by the name that the file gives, among all that are installed; `pickle` is one
of them, and decoding it runs code of the file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from vesuv.io.formats.unpacked import COMPRESSORS
from vesuv.io.formats.volume import FormatError, check_memory

_FILTERS = (
    *("shuffle", "delta", "bitround", "fixedscaleoffset", "quantize"),
    *("crc32", "crc32c", "adler32", "fletcher32"),
)
_CODECS = (*COMPRESSORS, *_FILTERS)
_LAYOUT_CODECS = ("bytes", "transpose", "sharding_indexed")
"""Codecs of Zarr v3 that arrange the bytes of a chunk."""
_INDEX_CODECS = ("bytes", "crc32c")
_NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
_V2_NUMBER = re.compile(r"\|b1|[|<>][iu]1|[<>]([iu][248]|f[248])")
_CHECKSUM_BYTES = 4
_INDEX_ENTRY_BYTES = 16
"""Offset and length of a chunk in the index of a shard."""


@dataclass(frozen=True)
class Coding:
    """How the chunks of an array are stored.

    Args:
        chunk_bytes: Bytes of a decoded chunk; of an inner chunk where chunks lie in shards.
        compressor: What packs it; None where nothing does.
        num_inner_chunks: Chunks of a shard; 0 without shards.
        index_bytes: Bytes of a shard's index, which lies behind the chunks.
    """

    chunk_bytes: int
    compressor: str | None = None
    num_inner_chunks: int = 0
    index_bytes: int = 0


def check_array(metadata: dict[str, Any]) -> Coding:
    """Check the content of `.zarray`, or of an array's `zarr.json`.

    Raises:
        FormatError: Names the data type or codec that is not allowed, and those that are.
    """
    if metadata["zarr_format"] == 2:
        return _check_v2(metadata)
    return _check_v3(metadata)


def _check_v2(metadata: dict[str, Any]) -> Coding:
    dtype = metadata["dtype"]
    _require_v2_number(dtype)
    _require("order", metadata.get("order", "C"), ("C", "F"))
    _require("dimension_separator", metadata.get("dimension_separator", "."), (".", "/"))
    chunk_bytes = _chunk_bytes(metadata["chunks"], int(dtype[2:]))
    configs = [*(metadata.get("filters") or ()), metadata.get("compressor")]
    names = []
    for config in filter(None, configs):
        name = config.get("id") if isinstance(config, dict) else config
        _require("codec", name, _CODECS)
        _check_types_of_filter(config)
        names.append(name)
    return Coding(chunk_bytes, _compressor(names))


def _check_v3(metadata: dict[str, Any]) -> Coding:
    dtype = metadata["data_type"]
    _require("data_type", dtype, _NUMBERS)
    encoding = metadata.get("chunk_key_encoding", "default")
    name, configuration = _name_and_configuration(encoding)
    _require("chunk_key_encoding", name, ("default", "v2"))
    _require("separator", configuration.get("separator", "/"), ("/", "."))
    name, configuration = _name_and_configuration(metadata["chunk_grid"])
    _require("chunk_grid", name, ("regular",))
    shape = configuration["chunk_shape"]
    itemsize = 1 if dtype == "bool" else int(re.sub(r"\D", "", dtype)) // 8
    return _check_v3_codecs(metadata["codecs"], shape, itemsize, in_shard=False)


def _check_v3_codecs(
    codecs: list[Any], shape: list[int], itemsize: int, *, in_shard: bool
) -> Coding:
    chunk_bytes = _chunk_bytes(shape, itemsize)
    names = []
    shard = None
    allowed = (*_LAYOUT_CODECS[: 2 if in_shard else 3], *_CODECS)
    for codec in codecs:
        name, configuration = _name_and_configuration(codec)
        name = name.removeprefix("numcodecs.") if isinstance(name, str) else name
        _require("codec", name, allowed)
        _check_types_of_filter(configuration)
        names.append(name)
        if name == "bytes":
            _require("endian", configuration.get("endian", "little"), ("little", "big"))
        elif name == "transpose":
            order = configuration["order"]
            if sorted(order) != list(range(len(shape))):
                raise FormatError(
                    f"codec transpose must order {len(shape)} axes, found {order!r:.60}; rewrite "
                    "the array"
                )
        elif name == "sharding_indexed":
            shard = _check_shard(configuration, shape, itemsize)
    if shard and len(names) > 1:
        raise FormatError(
            f"codec sharding_indexed must stand alone, found {names!r:.80}; rewrite the array"
        )
    return shard or Coding(chunk_bytes, _compressor(names))


def _check_shard(configuration: dict[str, Any], shape: list[int], itemsize: int) -> Coding:
    inner = configuration["chunk_shape"]
    coding = _check_v3_codecs(configuration["codecs"], inner, itemsize, in_shard=True)
    index_names = []
    for codec in configuration["index_codecs"]:
        name, options = _name_and_configuration(codec)
        _require("codec of a shard's index", name, _INDEX_CODECS)
        _require("endian of a shard's index", options.get("endian", "little"), ("little",))
        index_names.append(name)
    _require("index_location", configuration.get("index_location", "end"), ("end",))
    num_chunks = math.prod(-(-edge // step) for edge, step in zip(shape, inner, strict=True))
    num_checksums = index_names.count("crc32c")
    index_bytes = num_chunks * _INDEX_ENTRY_BYTES + num_checksums * _CHECKSUM_BYTES
    check_memory(f"the {num_chunks} chunks of a shard", index_bytes)
    return Coding(coding.chunk_bytes, coding.compressor, num_chunks, index_bytes)


def _chunk_bytes(shape: Any, itemsize: int) -> int:
    if not all(type(edge) is int and edge > 0 for edge in shape):
        raise FormatError(f"edges of a chunk must be above 0, found {shape!r:.60}; rewrite it")
    num_bytes = int(math.prod(shape)) * itemsize
    check_memory(f"its chunks {tuple(shape)!s:.80}", num_bytes)
    return num_bytes


def _compressor(names: list[Any]) -> str | None:
    """The one compressor; two of them could pack a bomb into a bomb."""
    compressors = [name for name in names if name in COMPRESSORS]
    if len(compressors) > 1:
        raise FormatError(
            f"chunks must be compressed once, found {compressors!r:.80}; rewrite the array"
        )
    return compressors[0] if compressors else None


def _check_types_of_filter(configuration: Any) -> None:
    """Filters compute in a type that the file names."""
    for key in ("dtype", "astype"):
        dtype = configuration.get(key) if isinstance(configuration, dict) else None
        if dtype is not None and dtype not in _NUMBERS:
            _require_v2_number(dtype)


def _require_v2_number(dtype: Any) -> None:
    if not isinstance(dtype, str) or not _V2_NUMBER.fullmatch(dtype):
        _require("dtype", dtype, _NUMBERS)
        raise FormatError(f"dtype must be written as in '<f4', found {dtype!r:.60}; rewrite it")


def _require(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise FormatError(
            f"{key} must be one of {', '.join(allowed)}, found {value!r:.60}; rewrite the array"
        )


def _name_and_configuration(entry: Any) -> tuple[Any, dict[str, Any]]:
    """Both of an extension of Zarr v3, which may be written as a name alone."""
    if isinstance(entry, str):
        return entry, {}
    return entry["name"], entry.get("configuration") or {}
