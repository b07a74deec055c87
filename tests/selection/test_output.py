"""Selections are written beside nothing that they could replace, by one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runs.test_folder import made
from vesuv.errors import InputError
from vesuv.selection.find_best import check_output
from vesuv.selection.validation import check_summary_folder, lock_runs, validate_distribution


def test_a_second_selection_for_a_run_is_refused_and_names_the_first(tmp_path: Path) -> None:
    run = made(tmp_path)

    with (
        lock_runs([run.path, run.path / "../run"]),
        pytest.raises(InputError, match=r"another process selects a model here \(process \d+ on"),
    ):
        validate_distribution([run.path])

    assert not (run.path / "selection.lock").exists()


def test_a_run_that_cannot_be_written_is_refused_without_a_word_of_training(tmp_path: Path) -> None:
    run = made(tmp_path)
    (run.path / "selection.lock").mkdir()

    sentence = r"run/?\S*: cannot be written \(Is a directory\); make room .* then start again$"
    with pytest.raises(InputError, match=sentence):
        validate_distribution([run.path])


def test_nothing_is_made_where_no_run_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: not a run folder"):
        validate_distribution([tmp_path / "none"])

    assert list(tmp_path.iterdir()) == []


def test_a_selection_is_not_written_through_a_link(tmp_path: Path) -> None:
    run = made(tmp_path)
    (tmp_path / "outside").mkdir()
    (run.path / "distribution").symlink_to(tmp_path / "outside")

    with pytest.raises(InputError, match="distribution: is a symbolic link"):
        validate_distribution([run.path])
    with pytest.raises(InputError, match="distribution: is a symbolic link"):
        check_summary_folder(run.path / "distribution")


@pytest.mark.parametrize(
    ("text", "is_own"), [("mine", False), ("{}", False), ('{"selected": 1}', True)]
)
def test_a_summary_of_the_user_is_not_replaced(tmp_path: Path, text: str, is_own: bool) -> None:
    (tmp_path / "summary.json").write_text(text)

    if is_own:
        check_summary_folder(tmp_path)
        return
    with pytest.raises(InputError, match=r"summary\.json: was not written by vesuv validate_distr"):
        check_summary_folder(tmp_path)


def test_a_file_of_the_user_is_not_replaced_by_the_best(tmp_path: Path) -> None:
    check_output(tmp_path / "best.json")
    (tmp_path / "best.csv").write_text("mine")
    with pytest.raises(InputError, match=r"best\.csv was not written by vesuv find_best"):
        check_output(tmp_path / "best.json")

    (tmp_path / "best.json").write_text("{}")
    with pytest.raises(InputError, match=r"best\.json was not written by vesuv find_best"):
        check_output(tmp_path / "best.json")

    (tmp_path / "best.json").write_text(json.dumps({"members": []}))
    check_output(tmp_path / "best.json")
