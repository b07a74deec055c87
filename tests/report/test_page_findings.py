from __future__ import annotations

from tests.report.conftest import MakeRun, write_json
from vesuv.report.page_files import read_files
from vesuv.report.page_findings import findings


def test_trouble_stands_before_warnings_with_evidence_remedy_and_numbers(
    make_run: MakeRun,
) -> None:
    run = make_run()
    warning = {"name": "b", "title": "Slow", "severity": "warning", "epochs": [2, 2]}
    trouble = {
        "name": "a",
        "title": "Collapsed",
        "severity": "trouble",
        "epochs": [1, 3],
        "evidence": "All is background since epoch 1.",
        "remedy": "Start again.",
        "numbers": {"largest_share": 0.99953},
    }
    write_json(run / "diagnosis.json", {"epoch": 2, "findings": [warning, trouble]})

    html = findings(read_files(run))

    assert "Findings (2)" in html
    assert html.index("Collapsed") < html.index("Slow")
    assert "trouble · epochs 1–3" in html
    assert "warning · epoch 2<" in html
    assert "All is background since epoch 1." in html
    assert "<b>What to do:</b> Start again." in html
    assert "<dt>largest share</dt><dd>0.9995</dd>" in html
    assert "As of epoch 2; epoch 3 is the newest." in html


def test_no_findings_and_no_diagnosis_are_told_apart(make_run: MakeRun) -> None:
    run = make_run()
    assert "No findings as of epoch 3" in findings(read_files(run))

    (run / "diagnosis.json").unlink()
    assert "Not diagnosed yet." in findings(read_files(run))
