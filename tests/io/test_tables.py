from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.io.tables import mean, write_csv, write_json


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
