from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vesuv.data.content_digests import FILE, content_digest, read_digests
from vesuv.errors import InputError


def folder_with(path: Path, **contents: str) -> Path:
    for name, content in contents.items():
        file = path / name.replace("_", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return path


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one chunk
    (tmp_path / "a").write_bytes(content)

    assert content_digest(tmp_path / "a") == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_a_folder_has_the_digest_of_names_sizes_and_contents(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "z", c_1="xy", c_0="abc", a="")

    text = b'["a", 0]["c/0", 3]abc["c/1", 2]xy'
    assert content_digest(folder) == hashlib.blake2b(text, digest_size=16).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"c_0": "abd", "c_1": "xy"},
        {"c_0": "xy", "c_1": "abc"},
        {"c_0": "abcx", "c_1": "y"},
        {"c_0": "abc", "c_2": "xy"},
        {"c_0": "abc", "c_1": "xy", "c_2": ""},
    ],
)
def test_a_folder_with_other_files_has_another_digest(
    tmp_path: Path, other: dict[str, str]
) -> None:
    first = content_digest(folder_with(tmp_path / "a", c_0="abc", c_1="xy"))

    assert content_digest(folder_with(tmp_path / "same", c_1="xy", c_0="abc")) == first
    assert content_digest(folder_with(tmp_path / "b", **other)) != first


def test_a_store_without_digests_has_none_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert read_digests(tmp_path).digests == {}
    (tmp_path / FILE).write_text('{"digests": {"a": 5}}')

    with pytest.raises(InputError, match=r"digests\.json: damaged \(digests\.a: .* delete it, or"):
        read_digests(tmp_path)
