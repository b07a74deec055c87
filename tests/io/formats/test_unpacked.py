"""The bound is at least what the decoder makes of the bytes, and near it."""

from __future__ import annotations

import bz2
import gzip
import zlib

import numcodecs
import numpy as np
import pytest

from vesuv.io.formats.unpacked import COMPRESSORS, unpacked_bytes

ZEROS = bytes(3_000_000)
NOISE = np.random.default_rng(0).integers(0, 9, 700_000, np.uint8).tobytes()
FAR = 10**9


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("data", [ZEROS, NOISE, b"", b"x"], ids=["zeros", "noise", "none", "one"])
def test_the_bound_is_the_length_that_the_decoder_makes(name: str, data: bytes) -> None:
    packed = bytes(numcodecs.get_codec({"id": name}).encode(data))

    assert unpacked_bytes(name, packed, FAR) == len(data)


@pytest.mark.parametrize(
    ("name", "pack"), [("zlib", zlib.compress), ("gzip", gzip.compress), ("bz2", bz2.compress)]
)
def test_counting_stops_behind_the_limit(name: str, pack: object) -> None:
    assert 1000 < unpacked_bytes(name, pack(ZEROS), 1000) <= 1000 + 2**20  # type: ignore[operator]


@pytest.mark.parametrize("name", ["zstd", "gzip", "bz2"])
def test_what_follows_the_first_stream_counts_too(name: str) -> None:
    packed = bytes(numcodecs.get_codec({"id": name}).encode(ZEROS))

    assert unpacked_bytes(name, packed * 4, FAR) == 4 * len(ZEROS)


def test_a_zstandard_frame_without_its_length_is_bounded_by_its_blocks() -> None:
    # Magic, no stated length, a window; then two blocks that repeat one byte 2¹⁷ times each.
    first, last = (((2**17 << 3 | 1 << 1 | end).to_bytes(3, "little") + b"\0") for end in (0, 1))
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + first + last

    assert numcodecs.Zstd().decode(frame) == bytes(2**18)
    assert unpacked_bytes("zstd", frame, FAR) == 2**18
    assert unpacked_bytes("zstd", b"\x50\x2a\x4d\x18\x02\0\0\0ab" + frame, FAR) == 2**18


@pytest.mark.parametrize("name", COMPRESSORS)
def test_damaged_bytes_are_left_to_the_decoder(name: str) -> None:
    packed = bytes(numcodecs.get_codec({"id": name}).encode(NOISE))

    assert unpacked_bytes(name, packed[:3], FAR) <= 2**20
    assert unpacked_bytes(name, b"", FAR) == 0
