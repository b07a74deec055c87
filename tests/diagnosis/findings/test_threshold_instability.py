from tests.diagnosis.conftest import MakeEvidence, MakeHistogram
from vesuv.diagnosis.findings.threshold_instability import find
from vesuv.runs.observation import Histogram


def shifted(bins: MakeHistogram, *places: int) -> list[dict[str, Histogram]]:
    """The same separation at another level of probability each time."""
    return [{"histogram": bins({p: 100}, {p - 20: 100, 0: 300})} for p in places]


def test_a_measure_that_follows_the_level_of_probability_is_named(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    lines = shifted(bins, 60, 40, 80, 45, 60)

    finding = find(make({"val/predicted_fraction": [0.2, 0.0, 0.4, 0.0, 0.2]}, lines))

    assert finding is not None and finding.epochs == (0, 4)
    assert "Dice at threshold 0.5 goes from 0.000 to 1.000" in finding.evidence
    assert "predicted foreground from 0 % to 40 %" in finding.evidence
    assert "only from 1.000 to 1.000" in finding.evidence
    assert finding.numbers["swing_at_best_threshold"] == 0.0


def test_a_run_that_only_rises_does_not_swing(make: MakeEvidence, bins: MakeHistogram) -> None:
    lines = [{"histogram": bins({80: 20 * n, 0: 100 - 20 * n}, {0: 400})} for n in range(5)]

    assert find(make(observations=lines)) is None


def test_learning_that_swings_is_another_matter(make: MakeEvidence, bins: MakeHistogram) -> None:
    lines = [{"histogram": bins({80: n, 0: 100 - n}, {0: 400})} for n in (80, 20, 90, 10, 80)]

    assert find(make(observations=lines)) is None


def test_a_softmax_has_no_threshold(make: MakeEvidence, bins: MakeHistogram) -> None:
    lines = shifted(bins, 60, 40, 80, 45, 60)
    model = {"name": "plain_unet", "depth": 2, "out_channels": 2}

    assert find(make(observations=lines, model=model)) is None


def test_nothing_is_said_before_five_validations(make: MakeEvidence, bins: MakeHistogram) -> None:
    assert find(make(observations=shifted(bins, 60, 40, 80, 45))) is None
    assert find(make(observations=[{}] * 6)) is None
