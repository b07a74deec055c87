from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.still_weights import MAX_MOVEMENT, find

MOVES = [{}, {"movement": 2e-5}, {"movement": 1e-5}, {"movement": 1e-5}]


def test_weights_that_stand_still_are_named(make: MakeEvidence) -> None:
    finding = find(make({"lr": [1e-6] * 4}, MOVES, optimizer={"name": "adamw", "lr": 1e-6}))

    assert finding is not None and finding.epochs == (1, 3)
    assert "changed the weights by 2.0e-05 of their size at most" in finding.evidence
    assert "optimizer.lr=0.0005" in finding.remedy


def test_the_movement_between_rare_validations_is_shared_out(make: MakeEvidence) -> None:
    moves = [{"movement": 3 * MAX_MOVEMENT}] * 3

    assert find(make(observations=moves)) is None
    assert find(make(observations=moves, validation={"every": 4})) is not None


def test_the_end_of_a_schedule_does_not_count(make: MakeEvidence) -> None:
    assert find(make({"lr": [1e-3, 1e-5, 1e-5, 1e-5]}, MOVES)) is None
    assert find(make({"lr": [1e-3] * 4 + [1e-5] * 2}, [*MOVES, {"movement": 0.0}])) is not None


def test_nothing_is_said_without_movements(make: MakeEvidence) -> None:
    assert find(make({"lr": [1e-3] * 4}, [{}] * 4)) is None
    assert find(make(observations=MOVES[:3])) is None
