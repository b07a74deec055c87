from __future__ import annotations

from tests.report.conftest import MakeRun, section, words, write_lines
from vesuv.config.loss import Phase
from vesuv.report.timeline import Timeline
from vesuv.runs.history import RunHistory
from vesuv.runs.records import RunEvent

PHASES = (
    Phase(epochs=(0, 4), weights={"dice": 1.0}),
    Phase(epochs=(5, 8), weights={"dice": 0.8, "focal": 0.2}, ramp=2),
    Phase(epochs=(50, None), weights={"boundary": 1.0}),
)


def event(kind: str, line: str = "so", epoch: int = 3) -> RunEvent:
    return RunEvent(epoch=epoch, kind=kind, line=line)


def test_phases_that_have_begun_are_shaded_up_to_the_last_epoch() -> None:
    timeline = Timeline(9, PHASES, ())

    assert [(span.start, span.end) for span in timeline.spans] == [(0, 50), (50, 90), (100, 100)]
    assert timeline.phase_starts == [5, 50]


def test_phases_are_named_by_epochs_and_weights() -> None:
    spans = Timeline(9, PHASES, ()).spans

    assert [span.epochs for span in spans] == ["0–4", "5–8", "from 50"]
    assert spans[1].weights == "dice 0.8, focal 0.2 (over 2 epochs)"


def test_a_phase_that_has_not_begun_is_not_in_the_strip(make_run: MakeRun) -> None:
    run = make_run(2)  # its second phase begins at epoch 2

    page = section(run, "curves")

    assert 'title="Phase 1, epochs 0–1: dice 1"' in page
    assert "Phase 2, epochs" not in page
    assert "epochs from 2: dice 0.8, focal 0.2" in words(page)


def test_phases_too_narrow_for_a_number_have_none(make_run: MakeRun) -> None:
    run = make_run(4)
    assert section(run, "curves").count('<small class="label"') == 2 * 6  # charts but the first
    write_lines(run / "evidence.jsonl", [{"epoch": 900}])

    assert section(run, "curves").count('<small class="label"') == 6


def test_noise_is_marked_once_and_an_escape_in_every_chart(make_run: MakeRun) -> None:
    run = make_run(10)
    events = [{"epoch": 3, "kind": kind, "line": "so"} for kind in ("noise", "escape", "phase")]
    write_lines(run / "events.jsonl", events)

    page = section(run, "curves")

    assert page.count('<path class="event escape" d="M35.0 0V100"/>') == 7
    assert "event noise" not in page
    assert '<i class="noise" style="left:35.0%"\n title="Epoch 3: so">' in page
    assert "weight noise (1), plateau escape (1)." in words(page).replace("\xa0", " ")


def test_a_kind_that_is_not_known_is_shown_by_its_own_name(make_run: MakeRun) -> None:
    run = make_run()
    write_lines(run / "events.jsonl", [{"epoch": 3, "kind": "thaw<b>", "line": "so"}])

    page = section(run, "curves")

    assert "thaw&lt;b&gt;" in page
    assert "thaw<b>" not in page


def test_events_are_listed_in_words_the_newest_when_there_are_many(make_run: MakeRun) -> None:
    run = make_run()
    write_lines(run / "events.jsonl", [{"epoch": 3, "kind": "learning_rate", "line": "now <half>"}])
    assert "<td>learning rate changed</td><td>now &lt;half&gt;</td>" in section(run, "curves")

    many = [{"epoch": 3, "kind": "x", "line": f"n{i}"} for i in range(500)]
    write_lines(run / "events.jsonl", many)
    page = section(run, "curves")

    assert "Events, the last 200 of 500" in words(page)
    assert ("<td>n300<" in page, "<td>n299<" in page) == (True, False)


def test_an_event_after_the_last_epoch_lies_at_the_edge() -> None:
    assert Timeline(9, (), ()).at(10) == 100


def test_events_come_by_kind_the_known_kinds_first() -> None:
    events = (event("thaw"), event("stop"), event("escape"), event("phase"), event("escape"))
    timeline = Timeline(9, (), events)

    assert {kind: len(of) for kind, of in timeline.events_by_kind.items()} == {
        "escape": 2,
        "stop": 1,
        "thaw": 1,
    }
    assert list(timeline.events_by_kind) == ["escape", "stop", "thaw"]
    assert timeline.marks_in_charts == {"escape": [35.0]}


def test_the_last_epoch_is_that_of_metrics_or_evidence(make_run: MakeRun) -> None:
    run = make_run(4)
    assert Timeline.of(RunHistory.read(run)).last_epoch == 3

    (run / "metrics.csv").unlink()
    assert Timeline.of(RunHistory.read(run)).last_epoch == 3
