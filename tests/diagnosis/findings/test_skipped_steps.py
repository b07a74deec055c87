from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.skipped_steps import find


def test_skipped_steps_are_counted_with_the_last_case(make: MakeEvidence) -> None:
    events = [(1, "non_finite", "step 3 skipped: case a"), (2, "non_finite", "step 5: case b")]

    finding = find(make({"skipped_steps": [0, 2, 4]}, events=events))

    assert finding is not None and finding.epochs == (1, 2)
    assert finding.evidence == (
        "4 steps had no effect by epoch 2, since epoch 1. The last: step 5: case b."
    )
    assert "optimizer.lr=0.00033" in finding.remedy


def test_a_step_or_two_are_no_finding(make: MakeEvidence) -> None:
    assert find(make({"skipped_steps": [0, 1, 2]})) is None


def test_nothing_is_said_without_the_column(make: MakeEvidence) -> None:
    assert find(make({"train/loss": [0.5]})) is None
