"""Zarr on a server, through fsspec (extras `http` and `s3`), with the checks of local folders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import zarr
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from vesuv.errors import InputError
from vesuv.io.formats.zarr_store import METADATA_NAMES, ChunkChecks

_NUM_TRIES = 4
_FIRST_PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long."""
_EXTRAS = {"s3": "s3fs", "http": "aiohttp", "https": "aiohttp"}
"""Scheme -> package that reads from it."""


def open_remote_zarr(url: str, *, anonymous: bool) -> Any:
    """Open a Zarr array or group on a server for reading.

    Args:
        url: Address of http, https or s3. For s3, credentials and end point are those of the
            environment and of ~/.aws.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: The package for the scheme is missing, or the server cannot be reached.
    """
    scheme = url.partition("://")[0]
    options: dict[str, Any] = {"anon": anonymous} if scheme == "s3" else {}
    try:
        store = zarr.storage.FsspecStore.from_url(url, storage_options=options, read_only=True)
    except ImportError:
        raise InputError(
            f"{url}: reading from {scheme} needs the package {_EXTRAS[scheme]}, found none; "
            "install vesuv[remote]"
        ) from None
    try:
        return zarr.open(CheckedRemoteStore(store, url), mode="r")
    except FileNotFoundError:
        raise InputError(f"{url}: holds no Zarr array or group; check the address") from None
    except OSError as fault:
        raise InputError(f"{url}: cannot be read ({fault!s:.200}); check the address") from None


_LIBRARIES = ("aiohttp", "botocore", "aiobotocore")


class CheckedRemoteStore(ChunkChecks):
    """A store on a server, for reading alone; a failed request is repeated."""

    supports_listing = True

    def __init__(self, store: Any, url: str) -> None:
        super().__init__()
        self._store = store
        self.url = url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedRemoteStore) and self.url == other.url

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        folder, _, name = key.rpartition("/")
        if name == ".zmetadata":
            return None
        buffer = await self._requested(key, byte_range)
        if buffer is None:
            return None
        content = buffer.to_bytes()
        if len(content) > _largest_part(byte_range, len(content)):
            raise InputError(
                f"{self.url}/{key}: the server sends whole files where parts are requested; use "
                "one that sends parts (HTTP ranges), or copy the image here"
            )
        if name in METADATA_NAMES:
            content = self.checked_metadata(folder, name, content)
        elif not isinstance(byte_range, SuffixByteRequest):  # the index of a shard
            await asyncio.to_thread(self.check_chunk, key, content, is_whole=byte_range is None)
        return prototype.buffer.from_bytes(content)

    async def _requested(self, key: str, byte_range: ByteRequest | None) -> Buffer | None:
        pause = _FIRST_PAUSE
        for attempt in range(1, _NUM_TRIES + 1):
            try:
                buffer: Buffer | None = await self._store.get(
                    key, default_buffer_prototype(), byte_range
                )
            except Exception as fault:
                if not _is_of_network(fault):
                    raise
                if isinstance(fault, PermissionError):
                    raise InputError(
                        f"{self.url}/{key}: may not be read ({fault!s:.200}); check the address "
                        "and the credentials, or leave --anonymous out"
                    ) from None
                if attempt == _NUM_TRIES:
                    raise InputError(
                        f"{self.url}/{key}: cannot be read ({fault!s:.200}); start the "
                        "same command again when the server can be reached, it goes on"
                    ) from None
            else:
                return buffer
            await asyncio.sleep(pause)
            pause *= 2
        return None

    async def exists(self, key: str) -> bool:
        return bool(await self._store.exists(key))

    async def list(self) -> AsyncIterator[str]:
        async for key in self._store.list():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for key in self._store.list_prefix(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async for key in self._store.list_dir(prefix):
            yield key


def _largest_part(byte_range: ByteRequest | None, length: int) -> int:
    """Return how many bytes a request may give; `length` where it has no such limit."""
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.end - byte_range.start
    return byte_range.suffix if isinstance(byte_range, SuffixByteRequest) else length


def _is_of_network(fault: Exception) -> bool:
    """Whether a request failed; the libraries' own exceptions are no OSError."""
    return isinstance(fault, OSError) or type(fault).__module__.split(".")[0] in _LIBRARIES
