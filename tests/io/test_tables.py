from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.errors import InputError
from vesuv.io.tables import (
    TextTable,
    markdown_table,
    mean,
    plain_cell,
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
    with pytest.raises(
        InputError, match=r"cannot be read as JSON \(is a folder, not a regular file\)"
    ):
        read_json(tmp_path)


def test_markdown_is_a_heading_and_a_table_with_a_bold_foot() -> None:
    table = TextTable("Means", ["case", "dice"], [["a|b", "0.5"]], [["all", "0.6"]])

    assert markdown_table(table) == (
        "## Means\n\n| case | dice |\n|:--|--:|\n| a\\|b | 0.5 |\n| **all** | **0.6** |\n"
    )


def test_names_in_markdown_are_no_html_and_end_no_line() -> None:
    table = TextTable("Cases", ["case"], [["<script>alert(1)</script>\n\x1b[1m|"]])

    assert markdown_table(table).splitlines()[-1] == (r"| \<script>alert(1)\</script>\n\x1b[1m\| |")


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [[plain_cell(cell) for cell in line] for line in csv.reader(file)]


def test_a_spreadsheet_runs_no_text_and_numbers_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    names = ["=1+1", "+1", "-1+1", "-1.5", "'-1", "@SUM(1)", "\t=1", "\r=1", "'=1", "'a", "a=1"]

    write_csv(path, [{"id": name, "difference": -0.5, "n": -3} for name in names])

    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    cells = ["'=1+1", "'+1", "'-1+1", "-1.5", "''-1", "'@SUM(1)", "'\t=1", "'\r=1", "''=1"]
    cells += ["'a", "a=1"]
    assert rows == [["id", "difference", "n"], *([cell, "-0.5", "-3"] for cell in cells)]
    assert [row[0] for row in read_csv(path)] == ["id", *names]


CELLS = st.text(st.characters(categories=["Lu", "Zs", "Cc"]) | st.sampled_from("'=+-@,;\"\t\r\n1."))


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), CELLS)
def test_cells_are_read_back_as_they_were(rows: list[tuple[str, str]], heading: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        columns = ["id", f"group {heading}"]

        write_csv(path, [dict(zip(columns, row, strict=True)) for row in rows])

        assert read_csv(path) == [columns, *map(list, rows)]


def test_bytes_of_a_name_that_is_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")

    write_csv(tmp_path / "a.csv", [{"id": name}])
    write_json(tmp_path / "a.json", {"id": name})

    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "id\ncaf\\udce9\n"
    assert read_json(tmp_path / "a.json")["id"] == name


@pytest.mark.timeout(20)
def test_a_pipe_is_no_json_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")

    with pytest.raises(InputError, match=r"cannot be read as JSON \(is a named pipe, not a reg"):
        read_json(tmp_path / "a.json")


def test_names_that_are_no_utf8_are_written_with_backslashes(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.tif")

    write_csv(tmp_path / "a.csv", [{"case": name}])
    write_json(tmp_path / "a.json", {"case": name})

    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "case\na\\udcff.tif\n"
    assert read_json(tmp_path / "a.json")["case"] == name
