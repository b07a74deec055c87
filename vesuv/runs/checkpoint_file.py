"""A checkpoint's file is verified before PyTorch opens it, which trusts what a file says of itself.

A checkpoint is a ZIP archive of a pickle and of one record for each tensor's storage. The archive
must hold its records whole, uncompressed and apart from each other; the pickle may name nothing but
tensors, and each storage must have the size of its record.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

_LARGEST_PICKLE = 16 * 2**20
"""Bytes; that of a network of 1000 tensors with its optimizer has 0.5 MB."""
_ITEM_SIZES = {
    "ByteStorage": 1,
    "CharStorage": 1,
    "BoolStorage": 1,
    "ShortStorage": 2,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "IntStorage": 4,
    "FloatStorage": 4,
    "LongStorage": 8,
    "DoubleStorage": 8,
}
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and the lengths of name and extra field; see the ZIP specification, 4.3.7."""


class FileFault(ValueError):  # noqa: N818 - as InputError, for a sentence
    """What is wrong with a file, in a few words."""


def verify_file(path: Path, also_named: Collection[str] = ()) -> None:
    """Verify a checkpoint's archive, checksums and pickle without opening it with PyTorch.

    Args:
        path: The file.
        also_named: What its pickle may name beside tensors; it is not imported here.

    Raises:
        FileFault: The file is damaged, or was not written by vesuv.
        Exception: The file is no archive, or its pickle cannot be read.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        _check_records(records)
        _check_apart(file, records, archive.start_dir)
        damaged_record = archive.testzip()
        if damaged_record is not None:
            raise FileFault(f"checksum of {damaged_record} does not match")
        prefix = records[0].filename.split("/")[0]
        sizes = {record.filename: record.file_size for record in records}
        if sizes.get(f"{prefix}/data.pkl", _LARGEST_PICKLE + 1) > _LARGEST_PICKLE:
            raise FileFault(f"its data.pkl is missing or above {_LARGEST_PICKLE} bytes")
        scanner = _Scanner(BytesIO(archive.read(f"{prefix}/data.pkl")))
    scanner.also_named = also_named
    scanner.sizes = {name.removeprefix(f"{prefix}/data/"): size for name, size in sizes.items()}
    scanner.load()


def _check_records(records: list[zipfile.ZipInfo]) -> None:
    """Refuse compressed records, because few bytes could expand to any size, and doubled names."""
    if not records:
        raise FileFault("it is an empty archive")
    for record in records:
        is_plain = record.compress_type == zipfile.ZIP_STORED and not record.flag_bits & 1
        if not is_plain or record.file_size != record.compress_size:
            raise FileFault(f"its record {record.filename} is compressed")
    if len({record.filename for record in records}) != len(records):
        raise FileFault("two of its records have one name")


def _check_apart(file: BinaryIO, records: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse records that overlap, or that claim more bytes than the file has."""
    for record in sorted(records, key=lambda record: record.header_offset, reverse=True):
        file.seek(record.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise FileFault(f"its record {record.filename} is not where it should be")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        data_offset = record.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if data_offset + record.file_size > end:
            raise FileFault(f"its record {record.filename} overlaps another one")
        end = record.header_offset


class _Scanner(pickle._Unpickler):
    """Reads a pickle as PyTorch does, but builds no tensor and calls nothing."""

    sizes: dict[str, int]
    """Name of a storage -> bytes of its record."""
    also_named: Collection[str]

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name == "collections.OrderedDict":
            return OrderedDict
        if name == "torch._utils._rebuild_tensor_v2":
            return _check_tensor
        if module_name == "torch" and global_name in _ITEM_SIZES:
            return global_name
        if name in self.also_named:
            return _UnreadObject
        raise FileFault(f"it holds a {name:.80}")

    def persistent_load(self, pid: Any) -> tuple[int, int]:
        """Check a storage; return its bytes and those of a number."""
        kind, storage_type, key, _, num = pid
        if kind != "storage" or type(num) is not int or storage_type not in _ITEM_SIZES:
            raise FileFault("it holds something else than storages of numbers")
        item_size = _ITEM_SIZES[storage_type]
        if num * item_size != self.sizes.get(key):
            raise FileFault(
                f"storage {key:.20} must have {num * item_size} bytes, found {self.sizes.get(key)}"
            )
        return num * item_size, item_size


class _UnreadObject:
    """Stands for an object that PyTorch reads."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _check_tensor(
    storage: tuple[int, int], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> None:
    """Refuse a tensor that reaches beyond its storage."""
    size, item_size = storage
    numbers = [offset, *shape, *strides]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise FileFault("a tensor's shape and strides must be numbers from 0")
    if len(shape) != len(strides):
        raise FileFault("a tensor's shape and strides must have one length")
    last = offset + sum((edge - 1) * step for edge, step in zip(shape, strides, strict=True))
    if 0 not in shape and (last + 1) * item_size > size:
        raise FileFault(
            f"a tensor of shape {shape!s:.60} reaches beyond its storage of {size} bytes"
        )


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor holds each element once, without gaps, in any order of its axes.

    Compiled code takes that for granted, and writes past the end of an expanded tensor.
    """
    step = 1
    for stride, edge in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if edge == 0:
            return True
        if edge > 1 and stride != step:
            return False
        step *= edge
    return True
