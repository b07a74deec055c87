import pytest

from tests.diagnosis.conftest import MakeEvidence, MakeHistogram
from vesuv.diagnosis.findings.collapse import find


def test_a_prediction_without_a_gap_is_a_constant(make: MakeEvidence, bins: MakeHistogram) -> None:
    flat = {"histogram": bins({30: 100}, {29: 900})}

    finding = find(make({"val/predicted_fraction": [0.0, 0.0, 0.0]}, [flat] * 3))

    assert finding is not None and finding.epochs == (1, 2)
    assert "0.305 on labelled foreground and 0.295 on background, a gap of 0.010" in (
        finding.evidence
    )
    assert finding.evidence.endswith("the mask is 0 % foreground; it was never wider.")
    assert finding.title == "The prediction is still a constant"
    assert "optimizer.lr=0.003" in finding.remedy
    assert finding.numbers["gap"] == pytest.approx(0.01)


def test_a_network_that_fell_back_says_what_it_had(make: MakeEvidence, bins: MakeHistogram) -> None:
    sharp, flat = bins({90: 100}, {10: 900}), bins({0: 100}, {0: 900})
    lines = [{"histogram": h} for h in (flat, sharp, flat, flat)]

    finding = find(make(observations=lines))

    assert finding is not None and "the gap had been 0.80 before" in finding.evidence
    assert finding.title == "The prediction has collapsed to a constant"
    assert "optimizer.lr=0.0002" in finding.remedy


def test_the_first_validation_may_be_flat(make: MakeEvidence, bins: MakeHistogram) -> None:
    flat, begins = bins({30: 100}, {30: 900}), bins({34: 100}, {30: 900})

    assert find(make(observations=[{"histogram": flat}] * 2)) is None
    assert find(make(observations=[{"histogram": h} for h in (flat, flat, begins)])) is None


def test_a_gap_that_widens_is_left_alone_until_it_is_late(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    lines = [{"histogram": bins({30 + gap: 100}, {30: 900})} for gap in (0, 1, 2)]

    assert find(make(observations=lines)) is None
    assert find(make(observations=lines, train={"epochs": 4})) is not None


def test_nothing_is_said_without_histograms(make: MakeEvidence) -> None:
    assert find(make(observations=[{}] * 4)) is None
    assert find(make()) is None


def test_a_weight_decay_that_takes_the_weights_away_is_named_first(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    sharp, flat = {"histogram": bins({90: 100}, {10: 900})}, {"histogram": bins({0: 10}, {0: 90})}
    heavy = {"name": "adamw", "lr": 2e-3, "weight_decay": 150.0}

    for lines in ([flat] * 3, [flat, sharp, flat, flat]):
        finding = find(make(observations=lines, optimizer=heavy))

        assert finding is not None
        assert "takes away 30 % of every weight in a step" in finding.remedy
        assert finding.remedy.endswith("--set optimizer.weight_decay=0.0001.")
        usual = find(make(observations=lines, optimizer={**heavy, "weight_decay": 10.0}))
        assert usual is not None and "takes away" not in usual.remedy
