"""A folder of Zarr, opened so that a stranger's folder can do no harm.

Every byte that zarr reads comes through `CheckedStore`: from regular files inside the folder, with
metadata that are checked, and from chunks that unpack to no more than the metadata say.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import struct
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NoReturn

import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from vesuv.files import open_regular
from vesuv.io.formats.unpacked import MAX_RATIOS, blosc_bytes, unpacked_bytes
from vesuv.io.formats.volume import FormatError, check_memory
from vesuv.io.formats.zarr_metadata import Coding, check_array

METADATA_NAMES = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
_MAX_METADATA = 16 << 20
_HARMLESS_BYTES = 128 << 20
"""A chunk of this size takes no share of the memory worth finding out."""
_CHUNK_TOLERANCE, _CHUNK_MARGIN = 8, 1 << 20
"""A filter may widen uint8 to float64; checksums and rounding of bounds take less than 1 MiB."""


def open_zarr(path: Path) -> Any:
    """Open a Zarr array or group of version 2 or 3 for reading.

    Codecs, data types, links, chunk sizes: all is checked when zarr reads it. Consolidated metadata
    are not used: they are a copy that can differ from what they are a copy of.

    Args:
        path: Folder of the array or group.

    Returns:
        A `zarr.Array` or `zarr.Group`.

    Raises:
        FormatError: The metadata name a data type or codec that is not allowed.
        OSError: A file cannot be read, or is no regular file.
    """
    return zarr.open(CheckedStore(path), mode="r")


class ChunkChecks(Store):
    """Base of stores for reading alone, which check metadata and chunks of a stranger's files."""

    supports_writes = supports_deletes = False
    supports_listing = True

    def __init__(self) -> None:
        super().__init__(read_only=True)
        self._codings: dict[str, Coding] = {}

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 - as in zarr
        self._refuse_writing()

    async def delete(self, key: str) -> None:  # noqa: ARG002 - as in zarr
        self._refuse_writing()

    def _refuse_writing(self) -> NoReturn:
        raise PermissionError(f"{self} was opened for reading")

    def checked_metadata(self, folder: str, name: str, content: bytes) -> bytes:
        """The metadata that zarr may use."""
        if len(content) > _MAX_METADATA:
            raise FormatError(
                f"{name} has at most {_MAX_METADATA} bytes, found more; rewrite the array"
            )
        metadata = json.loads(content)
        if name == ".zarray" or (name == "zarr.json" and metadata.get("node_type") == "array"):
            self._codings[folder] = check_array(metadata)
        elif name == "zarr.json":
            metadata.pop("consolidated_metadata", None)
        return json.dumps(metadata).encode()

    def check_chunk(self, key: str, content: bytes, *, is_whole: bool) -> None:
        """Refuse a chunk that is truncated, or unpacks to more than its array's metadata say."""
        folder = key
        while folder not in self._codings and folder:
            folder = folder.rpartition("/")[0]
        coding = self._codings.get(folder)
        if coding is None or coding.compressor is None:
            return
        limit = coding.chunk_bytes * _CHUNK_TOLERANCE + _CHUNK_MARGIN
        is_shard = coding.num_inner_chunks and is_whole
        chunks = _inner_chunks(content, coding) if is_shard else [content]
        for chunk in chunks:
            if coding.compressor == "blosc" and blosc_bytes(chunk) > len(chunk):
                raise FormatError(
                    f"chunk {key!r:.80} is truncated: it has {len(chunk)} of "
                    f"{blosc_bytes(chunk)} bytes; copy it again"
                )
            if len(chunk) * MAX_RATIOS.get(coding.compressor, math.inf) < _HARMLESS_BYTES:
                continue
            num_bytes = unpacked_bytes(coding.compressor, chunk, limit)
            if num_bytes > limit:
                raise FormatError(
                    f"chunk {key!r:.80} unpacks to {num_bytes} bytes or more, by the metadata to "
                    f"{coding.chunk_bytes}; a decompression bomb or damaged, replace it"
                )


class CheckedStore(ChunkChecks):
    """A folder, for reading alone."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = Path(os.path.realpath(root))

    def __str__(self) -> str:
        return str(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedStore) and self.root == other.root

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        content = await asyncio.to_thread(self._read, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def exists(self, key: str) -> bool:
        return self._inside(key).is_file()

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for path in sorted(self.root.rglob("*")):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(prefix) and path.is_file():
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = self._inside(prefix)
        if folder.is_dir():
            for path in folder.iterdir():
                yield path.name

    def _inside(self, key: str) -> Path:
        """The path of a key, which must lie in the folder when its links are followed."""
        path = self.root / key
        real = os.path.realpath(path)
        if real != str(self.root) and not real.startswith(str(self.root) + os.sep):
            raise FormatError(
                f"its files must lie in its folder, found {key!r:.80} at {real!s:.200}; copy the "
                "files into it"
            )
        return path

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        """The content of a key; None where there is no such file."""
        folder, _, name = key.rpartition("/")
        path = self._inside(key)
        is_hidden = name == ".zmetadata" or (
            name == ".zarray" and path.with_name("zarr.json").exists()
        )
        if is_hidden:
            return None
        try:
            file = open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            if name in METADATA_NAMES:
                return self.checked_metadata(folder, name, file.read(_MAX_METADATA + 1))
            start, stop = _range(byte_range, os.fstat(file.fileno()).st_size)
            if stop - start > _HARMLESS_BYTES:
                check_memory(f"the bytes of {key!r:.80}", stop - start)
            file.seek(start)
            content = file.read(stop - start)
        if not isinstance(byte_range, SuffixByteRequest):  # the index of a shard
            self.check_chunk(key, content, is_whole=byte_range is None)
        return content


def _range(byte_range: ByteRequest | None, size: int) -> tuple[int, int]:
    """First byte, and the byte behind the last one."""
    if isinstance(byte_range, RangeByteRequest):
        return min(byte_range.start, size), min(max(byte_range.start, byte_range.end), size)
    if isinstance(byte_range, OffsetByteRequest):
        return min(byte_range.offset, size), size
    if isinstance(byte_range, SuffixByteRequest):
        return max(0, size - byte_range.suffix), size
    return 0, size


def _inner_chunks(shard: bytes, coding: Coding) -> Iterable[bytes]:
    """The chunks of a shard by its index."""
    if len(shard) < coding.index_bytes:
        return
    place = len(shard) - coding.index_bytes
    entries = struct.unpack_from(f"<{2 * coding.num_inner_chunks}Q", shard, place)
    for start, length in set(zip(entries[::2], entries[1::2], strict=True)):
        if start < len(shard):
            yield shard[start : start + length]
