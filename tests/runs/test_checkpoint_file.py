"""Checkpoints that a stranger made: each is refused in one sentence, before PyTorch reads it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.runs.test_checkpoints import write
from vesuv.errors import InputError
from vesuv.runs.checkpoint_file import is_dense
from vesuv.runs.checkpoints import first_difference, read_checkpoint

Records = dict[str, bytes]


def rewrite(path: Path, change: Callable[[Records], object]) -> None:
    """Write a checkpoint's archive again with changed records and right checksums."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    change(records)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=rf"a\.pt: damaged or no checkpoint \({sentence}"):
        read_checkpoint(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "a.pt")
    return tmp_path / "a.pt"


def test_a_rewritten_archive_is_read(path: Path) -> None:
    model = read_checkpoint(path).model

    rewrite(path, dict)

    assert first_difference(model, read_checkpoint(path).model) is None


def test_a_compressed_record_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(100_000))

    refused(path, "its record archive/data/99 is compressed")


def test_a_record_that_claims_more_than_the_file_holds_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")  # the last record, in the directory at the end of the file
    struct.pack_into("<II", content, entry + 20, 2**31, 2**31)
    path.write_bytes(content)

    refused(path, r"its record \S+ overlaps another one")


def test_records_that_overlap_are_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\1\2")
    offsets = []
    while first >= 0:
        offsets.append(first)
        first = content.find(b"PK\1\2", first + 4)
    content[offsets[-1] + 42 : offsets[-1] + 46] = content[offsets[-2] + 42 : offsets[-2] + 46]
    path.write_bytes(content)

    refused(path, r"its record \S+ overlaps another one")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_records_of_one_name_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", b"")

    refused(path, "two of its records have one name")


def test_a_storage_of_another_size_than_its_record_is_refused(path: Path) -> None:
    def cut(records: Records) -> None:
        name = next(name for name in records if name.endswith("/data/0"))
        records[name] = records[name][:-4]

    rewrite(path, cut)

    refused(path, r"storage 0 must have \d+ bytes, found \d+\)")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"version": 1, "model": {"w": torch.arange(7.0)}}, path)

    def enlarge(records: Records) -> None:
        pickle = records["a/data.pkl"]
        position = pickle.rindex(b"K\x07\x85")  # the shape, (7,)
        records["a/data.pkl"] = pickle[:position] + b"K\xff\x85" + pickle[position + 3 :]

    rewrite(path, enlarge)

    refused(path, r"a tensor of shape \(255,\) reaches beyond its storage of 28 bytes")


def test_an_endless_pickle_is_refused(path: Path) -> None:
    rewrite(path, lambda records: records.update({"archive/data.pkl": b"\x80\x02" + b"N0" * 2**23}))

    refused(path, "its data.pkl is missing or above 16777216 bytes")


def quantised() -> Tensor:
    return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor"),
        (quantised, "_rebuild_qtensor"),
        (torch.empty(3, device="meta"), "_rebuild_meta_tensor_no_storage"),
        (torch.ones(3, dtype=torch.complex64), "torch.ComplexFloatStorage"),
        (torch.nn.Parameter(torch.ones(3)), "_rebuild_parameter"),
    ],
)
def test_tensors_of_other_kinds_are_refused(
    tmp_path: Path, tensor: Tensor | Callable[[], Tensor], named: str
) -> None:
    tensor = tensor if isinstance(tensor, Tensor) else tensor()
    torch.save({"version": 1, "model": {"w": tensor}}, tmp_path / "a.pt")

    refused(tmp_path / "a.pt", rf"it holds a \S*{named}")


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(1).expand(4), torch.ones(4)[::2], torch.ones(8).as_strided((4, 4), (1, 1))],
)
def test_a_tensor_with_gaps_or_doubled_elements_is_refused(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({"version": 1, "training": {"optimizer": [tensor]}}, tmp_path / "a.pt")

    refused(tmp_path / "a.pt", r"training\.optimizer\.0 must be a dense tensor, found torch\.str")


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.ones(2, 3, 4), True),
        (torch.ones(2, 3, 4).permute(2, 0, 1), True),
        (torch.ones(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d), True),
        (torch.ones(()), True),
        (torch.ones(0, 3), True),
        (torch.ones(1, 1).expand(1, 1), True),
        (torch.ones(1).expand(2), False),
        (torch.ones(2, 3)[:, :2], False),
        (torch.ones(3, 1).expand(3, 2), False),
    ],
)
def test_a_dense_tensor_holds_each_element_once(tensor: Tensor, expected: bool) -> None:
    assert is_dense(tensor) is expected


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"w": torch.ones(2)}, None),
        ({}, "w is missing"),
        ({"w": torch.ones(2), "x": torch.ones(2)}, "x is not known"),
        ({"w": torch.ones(1)}, "w must be torch.float32 (2,), found torch.float32 (1,)"),
        (
            {"w": torch.ones(2, dtype=torch.float64)},
            "w must be torch.float32 (2,), found torch.float64 (2,)",
        ),
        ({"w": [1.0]}, "w must be torch.float32 (2,), found <class 'list'>"),
    ],
)
def test_the_first_differing_tensor_is_named(tensors: dict[str, Tensor], sentence: str) -> None:
    assert first_difference({"w": torch.zeros(2)}, tensors) == sentence


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", -1),
        ("epoch", 10**10),
        ("epoch", True),
        ("epoch", "3"),
        ("measure", float("nan")),
        ("measure", 1),
        ("training", []),
        ("model", {"w": 1}),
    ],
)
def test_a_value_that_no_run_writes_is_refused(path: Path, key: str, value: object) -> None:
    content = torch.load(path, weights_only=True)
    torch.save({**content, key: value}, path)

    with pytest.raises(InputError, match=rf"a\.pt: {key}: not as vesuv writes them"):
        read_checkpoint(path)
