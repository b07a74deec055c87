from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.io.tables import (
    TextTable,
    markdown_table,
    mean,
    read_json,
    read_json_or_none,
    write_csv,
    write_json,
)


def test_rows_share_one_header_and_missing_values_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.csv"

    write_csv(path, [{"id": "a", "dice": 0.123456789}, {"id": "b", "dice": math.nan, "n": 3}])

    assert path.read_text() == "id,dice,n\na,0.123457,\nb,,3\n"
    assert [p.name for p in path.parent.iterdir()] == ["scores.csv"]


def test_json_carries_its_version_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"

    write_json(path, {"mean": {"dice": math.nan}, "cases": [1.5, math.inf], "run": Path("log")})

    assert json.loads(path.read_text()) == {
        "version": 1,
        "mean": {"dice": None},
        "cases": [1.5, None],
        "run": "log",
    }


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"file/scores\.csv: cannot be written"):
        write_csv(tmp_path / "file" / "scores.csv", [{"id": "a"}])


def test_means_leave_out_what_is_no_number() -> None:
    assert mean([0.2, math.nan, 0.4]) == pytest.approx(0.3)
    assert math.isnan(mean([math.nan]))


def test_a_mapping_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"unit": "\xc2\xb5m"}')  # as Windows saves UTF-8

    assert read_json(path) == {"unit": "µm"}
    assert read_json_or_none(path) == {"unit": "µm"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", r"a\.json: holds a mapping, found list; correct it"),
        (b"{", r"a\.json: cannot be read as JSON \(Expecting"),
        (b"\xff", r"a\.json: cannot be read as JSON \('utf-8' codec"),
        (b"[" * 100_000, r"a\.json: cannot be read as JSON \(maximum recursion"),
        (None, r"a\.json: no such file; check the path"),
    ],
)
def test_what_is_no_mapping_is_refused_or_none(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=message):
        read_json(path)
    assert read_json_or_none(path) is None


def test_a_folder_is_no_json_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read as JSON \(Is a directory\)"):
        read_json(tmp_path)


def test_markdown_is_a_heading_and_a_table_with_a_bold_foot() -> None:
    table = TextTable("Means", ["case", "dice"], [["a|b", "0.5"]], [["all", "0.6"]])

    assert markdown_table(table) == (
        "## Means\n\n| case | dice |\n|:--|--:|\n| a\\|b | 0.5 |\n| **all** | **0.6** |\n"
    )
