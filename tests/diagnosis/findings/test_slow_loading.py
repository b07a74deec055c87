import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.slow_loading import find


def test_a_loader_slower_than_the_step_is_named(make: MakeEvidence) -> None:
    columns = {
        "loader_wait_share": [0.9, 0.5, 0.5, 0.5],
        "patches_per_second": [4.0, 4.0, 4.0, 4.0],
    }

    finding = find(make(columns, runtime={"workers": 3}))

    assert finding is not None and finding.epochs == (1, 3)
    assert "training waited 50 % of its time" in finding.evidence
    assert "2.0 times its rate of 4 patches a second. runtime.workers is 3" in finding.evidence
    assert "runtime.workers=6" in finding.remedy
    assert finding.numbers["wait_share"] == pytest.approx(0.5)


def test_a_first_epoch_or_a_single_slow_one_is_no_finding(make: MakeEvidence) -> None:
    assert find(make({"loader_wait_share": [0.9, 0.9, 0.9]})) is None
    assert find(make({"loader_wait_share": [0.9, 0.9, 0.1, 0.9]})) is None


def test_nothing_is_said_without_the_column(make: MakeEvidence) -> None:
    assert find(make({"train/loss": [0.5] * 5})) is None
