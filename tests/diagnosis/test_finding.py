import json
from pathlib import Path

import pytest

from vesuv.diagnosis.finding import Finding, read, show, write

FINDING = Finding(
    name="lopsided_precision_recall",
    title="Far too much is predicted",
    evidence="In epochs 3 to 5 precision is 0.608.",
    remedy="Let validate_distribution choose.",
    severity="trouble",
    epochs=(3, 5),
    numbers={"precision": 0.608},
)


def test_findings_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, 5, [FINDING])

    assert read(tmp_path) == (FINDING,)
    assert [path.name for path in tmp_path.iterdir()] == ["diagnosis.json"]
    assert json.loads((tmp_path / "diagnosis.json").read_text()) == {
        "version": 1,
        "epoch": 5,
        "findings": [
            {
                "name": "lopsided_precision_recall",
                "title": "Far too much is predicted",
                "evidence": "In epochs 3 to 5 precision is 0.608.",
                "remedy": "Let validate_distribution choose.",
                "severity": "trouble",
                "epochs": [3, 5],
                "numbers": {"precision": 0.608},
            }
        ],
    }


@pytest.mark.parametrize(
    "content", ["", "[]", '{"version": 2, "findings": []}', '{"version": 1, "findings": [{}]}']
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "diagnosis.json").write_text(content)

    with pytest.raises(ValueError, match=r"diagnosis.json: not findings of this vesuv"):
        read(tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write(tmp_path, 5, [FINDING])
    unwritable = Finding(**{**FINDING.__dict__, "numbers": {"x": object()}})  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        write(tmp_path, 6, [unwritable])

    assert read(tmp_path) == (FINDING,)


def test_a_finding_is_said_in_two_lines() -> None:
    assert show([FINDING]) == [
        "Trouble: Far too much is predicted (lopsided_precision_recall). "
        "In epochs 3 to 5 precision is 0.608.",
        "  -> Let validate_distribution choose.",
    ]
