"""Digests of the contents of raw files: files that were copied or restored have other times."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import Field

from vesuv.data.records import Record, Stamp, parse_record

FILE = "digests.json"


class DigestRecord(Record):
    """digests.json.

    Args:
        digests: Raw file or folder -> digest of the content that was prepared.
        stamps: Raw file or folder -> a later stamp with which its content was the same.
    """

    digests: dict[str, str] = Field(default_factory=dict)
    stamps: dict[str, Stamp] = Field(default_factory=dict)


def read_digests(store: Path) -> DigestRecord:
    """Return the digests of a store; stores of former versions have none.

    Raises:
        InputError: The file is damaged.
    """
    remedy = "delete it, or prepare again with --overwrite"
    try:
        return parse_record(store / FILE, DigestRecord, None, "damaged", remedy)
    except FileNotFoundError:
        return DigestRecord()


def files_in(folder: Path) -> dict[str, Path]:
    """Return name below a folder -> file, sorted by name."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return dict(sorted((file.relative_to(folder).as_posix(), file) for file in files))


def content_digest(path: Path) -> str:
    """Return a digest of a file's content, or of names, sizes and contents of a folder's files.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    if path.is_file():
        _add_content(digest, path)
        return digest.hexdigest()
    for name, file in files_in(path).items():
        digest.update(json.dumps([name, file.stat().st_size]).encode())
        _add_content(digest, file)
    return digest.hexdigest()


def _add_content(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, lambda: digest)
