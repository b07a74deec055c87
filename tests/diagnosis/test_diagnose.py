from tests.diagnosis.conftest import MakeEvidence, MakeHistogram
from vesuv.diagnosis import FINDINGS, diagnose


def test_troubles_come_before_warnings(make: MakeEvidence, bins: MakeHistogram) -> None:
    flat = {"histogram": bins({30: 100}, {30: 900}), "movement": 1e-6}
    columns = {"loader_wait_share": [0.5] * 5}

    found = diagnose(make(columns, [flat] * 5))

    assert [finding.name for finding in found] == ["collapse", "still_weights", "slow_loading"]
    assert [finding.severity for finding in found] == ["trouble", "trouble", "warning"]


def test_a_run_of_which_nothing_is_known_has_no_findings(make: MakeEvidence) -> None:
    assert diagnose(make()) == ()


def test_every_finding_is_silent_on_empty_observations(make: MakeEvidence) -> None:
    evidence = make({"val/dice": [0.5] * 9, "lr": [1e-3] * 9}, [{}] * 9)

    assert {name: find(evidence) for name, find in FINDINGS.items()} == dict.fromkeys(FINDINGS)
