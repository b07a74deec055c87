import pytest

from bench.quality_table import FinishedRun, markdown, minutes_to_reach, reached, summarise


def _run(tool: str, minutes: float, seed: int, dice: list[float], fold: int = 0) -> FinishedRun:
    scores = {
        str(case): {"dice": value, "surface_dice@1vox": value, "leaderboard": value}
        for case, value in enumerate(dice)
    }
    return FinishedRun(tool, minutes, fold, seed, 10, 60 * minutes, {"none": scores})


def test_cubes_of_all_folds_are_averaged_before_seeds() -> None:
    runs = [
        _run("vesuv", 1, seed=0, dice=[0.5, 0.7], fold=0),
        _run("vesuv", 1, seed=0, dice=[0.9], fold=1),
        _run("vesuv", 1, seed=1, dice=[0.3]),
    ]

    (row,) = summarise(runs)

    assert (row.num_runs, row.steps, row.training_minutes) == (3, 10, 1)
    assert row.means["dice"] == pytest.approx((0.7 + 0.3) / 2)
    assert row.ranges["dice"] == pytest.approx((0.3, 0.7))


@pytest.mark.parametrize(
    ("target", "minutes"), [(0.4, 1), (0.5, 1), (0.7, 3), (0.6, 3**0.5), (0.8, 3), (0.9, None)]
)
def test_minutes_until_a_score_are_read_on_a_logarithmic_axis(
    target: float, minutes: float | None
) -> None:
    scores = {9.0: 0.75, 1.0: 0.5, 3.0: 0.7} if target != 0.8 else {1.0: 0.6, 3.0: 0.8}

    found = minutes_to_reach(scores, target)

    assert found == (None if minutes is None else pytest.approx(minutes))


def test_the_score_to_reach_is_that_of_the_longest_budget() -> None:
    runs = [
        _run("nnU-Net", 1, 0, [0.9]),
        _run("nnU-Net", 10, 0, [0.7]),
        _run("vesuv", 1, 0, [0.5]),
        _run("vesuv", 10, 0, [0.8]),
    ]

    first = reached(summarise(runs))[0]

    assert (first["score"], first["nnunet_minutes"]) == (0.7, 10)
    assert first["vesuv_minutes"] == pytest.approx(10 ** (2 / 3))
    assert not first["is_upper_bound"]


def test_the_table_says_where_the_score_was_not_reached_or_at_once() -> None:
    peer = _run("nnU-Net", 10, 0, [0.7])

    late = markdown(summarise([peer, _run("vesuv", 1, 0, [0.5])]))
    early = markdown(summarise([peer, _run("vesuv", 1, 0, [0.9])]))
    alone = markdown(summarise([_run("vesuv", 1, 0, [0.9])]))

    assert "| Dice | none | 0.7000 after 10 min | not reached |" in late
    assert "| Dice | none | 0.7000 after 10 min | at most 1 min |" in early
    assert "reached" not in alone
    assert "| 1 | vesuv | none | 1 | 10 | 1.00 | 0.9000 | 0.9000 | 0.9000 |" in alone
