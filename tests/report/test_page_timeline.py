from __future__ import annotations

from tests.report.conftest import MakeRun
from vesuv.report.page_files import read_files
from vesuv.report.page_timeline import PhaseSpan, Timeline, timeline_of

PHASES = (
    PhaseSpan(0, 0, 4, "dice 1"),
    PhaseSpan(1, 5, 8, "dice 0.8, focal 0.2"),
    PhaseSpan(2, 50, None, "boundary 1"),
)


def test_phases_that_have_begun_are_shaded_up_to_the_last_epoch() -> None:
    timeline = Timeline(9, PHASES, ())

    assert [(span.index, start, end) for span, start, end in timeline.spans()] == [
        (0, 0.0, 0.5),
        (1, 0.5, 0.9),
    ]
    assert "boundary" not in timeline.lanes()
    assert timeline.changes == [5.0, 50.0]


def test_phases_too_narrow_for_a_number_have_none() -> None:
    assert Timeline(9, PHASES, ()).labels().count("<small") == 2
    assert Timeline(900, PHASES, ()).labels().count("<small") == 1


def test_noise_is_marked_once_and_an_escape_in_every_chart() -> None:
    events = tuple(
        {"epoch": 3, "kind": kind, "line": "so"} for kind in ("noise", "escape", "phase")
    )
    timeline = Timeline(9, (), events)

    assert 'class="event escape"' in timeline.backdrop()
    assert "noise" not in timeline.backdrop()
    assert 'class="noise" style="left:35.00%" title="Epoch 3: so"' in timeline.lanes()
    assert timeline.counted() == "weight noise&nbsp;(1), plateau escape&nbsp;(1)"


def test_a_kind_that_is_not_known_is_shown_by_its_own_name() -> None:
    timeline = Timeline(9, (), ({"epoch": 3, "kind": "thaw<b>", "line": "so"},))

    assert "thaw&lt;b&gt;" in timeline.lanes()
    assert "<b>" not in timeline.lanes()


def test_events_are_listed_in_words_the_newest_when_there_are_many() -> None:
    few = Timeline(9, (), ({"epoch": 3, "kind": "learning_rate", "line": "now <half>"},))
    many = Timeline(9, (), tuple({"epoch": 3, "kind": "x", "line": f"n{i}"} for i in range(500)))

    assert "<td>learning rate changed</td><td>now &lt;half&gt;</td>" in few.listed()
    assert "Events, the last 200 of 500" in many.listed()
    assert ("n300<" in many.listed(), "n299<" in many.listed()) == (True, False)


def test_an_event_after_the_last_epoch_lies_at_the_edge() -> None:
    timeline = Timeline(9, (), ({"epoch": 10, "kind": "stop", "line": "All done"},))

    assert "left:100.00%" in timeline.lanes()


def test_the_last_epoch_is_that_of_metrics_or_evidence(make_run: MakeRun) -> None:
    run = make_run(4)
    assert timeline_of(read_files(run)).last == 3

    (run / "metrics.csv").unlink()
    assert timeline_of(read_files(run)).last == 3
