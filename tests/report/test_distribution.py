from __future__ import annotations

import json
import re

import pytest

from tests.report.conftest import MakeRun, section, tile, words, write_json, write_lines
from vesuv.report.distribution import ProbabilityPlot, best_choices, group_scores
from vesuv.runs.history import RunHistory
from vesuv.runs.observation import Observation


def test_the_share_of_each_label_above_the_threshold_is_shown(make_run: MakeRun) -> None:
    page = section(make_run(), "distribution")

    assert "60.0 % of the labelled foreground and 1.00 % of the labelled background" in page


def test_the_threshold_of_validation_and_the_selected_one_are_marked(make_run: MakeRun) -> None:
    run = make_run()
    marks = re.compile(r'class="upright" style="left:([\d.]+)%"><em[^>]*>(\w+)')

    both = marks.findall(section(run, "distribution"))
    (run / "distribution" / "summary.json").unlink()
    one = marks.findall(section(run, "distribution"))

    assert both == [("50.0", "threshold"), ("65.0", "selected")]
    assert one == [("50.0", "threshold")]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"foreground": [1, 2], "background": [1]},
        {"foreground": [-1] * 100, "background": [1] * 100},
        {"foreground": [0] * 100, "background": [0] * 100},
        {"foreground": ["one"] * 100, "background": [1] * 100},
        7,
    ],
)
def test_invalid_histograms_are_left_out(make_run: MakeRun, content: object) -> None:
    run = make_run()
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "histogram": content}])

    assert "Predicted probability" not in section(run, "distribution")


def test_an_empty_bin_has_height_zero() -> None:
    shares = {"foreground": [0.0] * 50 + [0.02] * 50, "background": [0.02] * 50 + [0.0] * 50}
    plot = ProbabilityPlot(0, 0.5, shares)

    path = plot.path("foreground")

    assert path.startswith("M0 0V0H1V0H2")
    assert re.search(r"V0H50V(\d+)H51V\1H52", path)
    assert plot.share_above("foreground") == pytest.approx(1)


def test_each_group_of_tiles_has_its_own_shape_colour_and_text(make_run: MakeRun) -> None:
    page = section(make_run(), "distribution")

    assert "case c, north: predicted 10.0 %, labelled 8.00 %, Dice 0.7000" in page
    assert "case d, south: predicted 3.00 %, labelled 12.0 %, Dice 0.3000" in page
    marks = re.findall(r'</title><path class="mark (c\d)" d="([^"]+)"', page)
    assert len(set(marks)) == len(marks) == 2
    assert "1 of 2 lie above the diagonal" in page


def test_a_tile_that_predicts_what_is_labelled_lies_on_the_diagonal(make_run: MakeRun) -> None:
    run = make_run()
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": [tile()]}])

    ((x, y),) = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", section(run, "distribution"))

    assert x == y


def test_tiles_without_numbers_are_left_out(make_run: MakeRun) -> None:
    run = make_run()
    tiles = [[{**tile(), "predicted": None}], [7], [tile(predicted=1e300)]]
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": part} for part in tiles])

    assert "Foreground fraction" not in section(run, "distribution")


def test_groups_are_listed_the_weakest_first(make_run: MakeRun) -> None:
    page = section(make_run(), "groups")

    assert page.index("south") < page.index("north")
    assert '<td class="n">0.250</td>' in page  # 0.03 predicted of 0.12 labelled


def test_without_a_score_a_group_has_the_mean_of_its_tiles() -> None:
    tiles = [tile(group="east", dice=dice) for dice in (0.2, 0.6)]
    observation = Observation.model_validate({"epoch": 0, "tiles": tiles})

    (score,) = group_scores(observation)

    assert (score.name, score.dice) == ("east", pytest.approx(0.4))


def test_tiles_without_groups_make_no_table(make_run: MakeRun) -> None:
    run = make_run()
    write_lines(run / "evidence.jsonl", [{"epoch": 0, "tiles": [tile()]}])

    assert section(run, "groups") == ""


def test_the_selected_choice_is_listed_first_and_once(make_run: MakeRun) -> None:
    page = section(make_run(), "distribution")

    assert page.index("ema ✓") < page.index("<td>best</td>")
    assert "<td>ema</td>" not in page


def test_each_checkpoint_is_shown_at_its_own_best(make_run: MakeRun) -> None:
    summary = RunHistory.read(make_run()).selection
    assert summary is not None
    best = summary.choices[1]
    worse = best.model_copy(update={"threshold": 0.3, "dice": 0.1})
    longer = summary.model_copy(update={"choices": (*summary.choices, worse)})

    assert best_choices(longer) == [summary.selected, best]


def test_steps_are_shown_in_words_with_their_unit(make_run: MakeRun) -> None:
    run = make_run()
    summary = json.loads((run / "distribution" / "summary.json").read_text())
    summary["selected"]["postprocess"] = [
        {"name": "remove_small", "voxels": 20000},
        {"name": "closing", "distance": 2.5},
    ]
    summary["choices"][1]["postprocess"] = [{"name": "of_another_package", "size": 3}]
    write_json(run / "distribution" / "summary.json", summary)

    page = section(run, "distribution")

    assert "<td>remove small 20000 voxels, closing 2.5 unit</td>" in page
    assert "<td>[{name: of_another_package, size: 3}]</td>" in page


def test_the_estimate_on_data_left_out_is_shown(make_run: MakeRun) -> None:
    run = make_run()
    summary = json.loads((run / "distribution" / "summary.json").read_text())
    summary["selected"]["honest"] = {"left_out": "group", "dice": 0.68, "gap": 0.0123}
    write_json(run / "distribution" / "summary.json", summary)

    page = words(section(run, "distribution"))

    assert "each group in turn is left out" in page
    assert "Dice 0.6800, foreground off by 1.23 %." in page


@pytest.mark.parametrize("summary", [None, {}, {"selected": None}, {"selected": [1]}])
def test_without_a_selection_it_says_how_to_make_one(
    make_run: MakeRun, summary: dict[str, object] | None
) -> None:
    run = make_run()
    (run / "distribution" / "summary.json").write_text(json.dumps(summary))

    assert "validate_distribution" in section(run, "distribution")
