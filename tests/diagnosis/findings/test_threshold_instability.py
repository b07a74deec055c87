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


def oscillating(
    bins: MakeHistogram, *hits_and_alarms: tuple[int, int]
) -> list[dict[str, Histogram]]:
    """Of 1,000 foreground and 9,000 background voxels, so many of each above one half."""
    return [
        {"histogram": bins({60: hits, 20: 1000 - hits}, {60: alarms, 20: 9000 - alarms})}
        for hits, alarms in hits_and_alarms
    ]


PLATEAU = ((700, 870), (520, 400), (700, 850), (540, 440), (690, 840))
"""IoU 700/1870 = .374, 520/1400 = .371, 700/1850 = .378, 540/1440 = .375, 690/1840 = .375."""


def test_a_ceiling_of_iou_under_which_recall_is_exchanged_for_precision_is_named(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    predicted = [(hits + alarms) / 10_000 for hits, alarms in PLATEAU]

    finding = find(make({"val/predicted_fraction": predicted}, oscillating(bins, *PLATEAU)))

    assert finding is not None and finding.title.startswith("The measure stays below a ceiling")
    assert "stays at 0.542 to 0.549 (IoU 0.371 to 0.378)" in finding.evidence
    assert "predicted foreground from 9.2 % to 16 %" in finding.evidence
    assert "recall swings from 0.52 to 0.70, with precision against it" in finding.evidence
    assert "vesuv pretrain" in finding.remedy and "averaging.ema.decay=0.99" in finding.remedy


def test_a_run_at_rest_has_no_instability(make: MakeEvidence, bins: MakeHistogram) -> None:
    steady = ((700, 850), (705, 860), (695, 845), (702, 855), (698, 850))

    assert find(make(observations=oscillating(bins, *steady))) is None


def test_a_run_that_learns_while_recall_swings_is_left_alone(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    learning = ((700, 870), (560, 400), (740, 800), (620, 400), (800, 700))

    assert find(make(observations=oscillating(bins, *learning))) is None
