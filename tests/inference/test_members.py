from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError
from vesuv.inference.files import PredictOptions, predict
from vesuv.inference.masking import Masking, choose_masking
from vesuv.inference.predictor import open_members

SMALL = {"name": "remove_small", "voxels": 2, "connectivity": 26}
FILL = {"name": "fill_cavities"}
HYSTERESIS = {"name": "hysteresis", "low": 0.3, "high": 0.8}


def select(run, **content) -> None:
    whole = {"version": 1, "checkpoint": "best", "threshold": 0.4, **content}
    (run.path / "selected.json").write_text(json.dumps(whole))


def choose(*runs, threshold=None, postprocess=None) -> Masking:
    return choose_masking(open_members([r.path for r in runs], None), threshold, postprocess)


def test_selected_steps_win_over_configured_ones_and_none_selected_is_a_choice(make_run) -> None:
    run = make_run("a", inference__postprocess=[FILL])

    assert choose(run).chain == read_chain([FILL], "")
    assert choose(run).chain_why == "post-processing: fill_cavities, as in inference.postprocess"
    select(run)
    assert choose(run).chain == read_chain([FILL], "")
    select(run, postprocess=[SMALL, FILL])
    assert choose(run).chain == read_chain([SMALL, FILL], "")
    assert choose(run).chain_why == "post-processing: remove_small, fill_cavities, as selected"
    assert choose(run).threshold == 0.4
    select(run, postprocess=[])
    assert choose(run).chain == ()
    assert choose(run).chain_why == "no post-processing, as selected"


def test_none_switches_everything_off(make_run) -> None:
    run = make_run("a", inference__postprocess=[FILL])
    select(run, postprocess=[HYSTERESIS], threshold=0.35)

    found = choose(run, postprocess="none")

    assert (found.chain, found.threshold) == ((), 0.35)
    with pytest.raises(InputError, match=r"--postprocess: must be none, found 'off'"):
        choose(run, postprocess="off")


def test_a_chain_that_cuts_takes_the_place_of_the_threshold(make_run) -> None:
    run = make_run("a")
    select(run, postprocess=[HYSTERESIS, SMALL], threshold=None)

    found = choose(run)

    assert (found.threshold, found.why) == (None, "hysteresis of the post-processing")
    with pytest.raises(InputError, match=r"--threshold: .* begins with a hysteresis of its own"):
        choose(run, threshold=0.5)


def test_of_runs_that_differ_most_decide_and_it_is_said(make_run) -> None:
    runs = [make_run(name) for name in "abc"]
    for run, steps in zip(runs, ([SMALL], [FILL], [FILL]), strict=True):
        select(run, postprocess=steps)

    assert choose(*runs).chain == read_chain([FILL], "")
    assert choose(*runs).chain_why == (
        f"post-processing: fill_cavities, as selected for {runs[1].path}; the runs differ, "
        "2 of 3 have this"
    )
    assert choose(*runs[:2]).chain == read_chain([SMALL], "")
    assert choose(*runs[1:]).chain_why == "post-processing: fill_cavities, as selected"


def test_one_channel_is_cut_and_then_processed() -> None:
    probs = torch.tensor([[[[0.9, 0.5, 0.1, 0.6, 0.1, 0.4, 0.4]]]])

    def line(threshold, *steps):
        chain = read_chain(list(steps), "test")
        return Masking(threshold, "", chain, "")(probs)[0, 0].tolist()

    assert line(0.5) == [1, 1, 0, 1, 0, 0, 0]
    assert line(0.4) == [1, 1, 0, 1, 0, 1, 1]
    assert line(0.4, SMALL) == [1, 1, 0, 0, 0, 1, 1]
    assert line(None, HYSTERESIS) == [1, 1, 0, 0, 0, 0, 0]


def test_several_classes_are_processed_as_one_foreground() -> None:
    # air | one | two, along a line; the fourth voxel is air by a little and likelier one than two
    probs = torch.tensor(
        [
            [0.1, 0.2, 0.1, 0.4, 0.1, 0.9, 0.2],
            [0.8, 0.2, 0.1, 0.35, 0.1, 0.05, 0.7],
            [0.1, 0.6, 0.8, 0.25, 0.8, 0.05, 0.1],
        ]
    )[:, None, None]

    def line(*steps):
        return Masking(None, "", read_chain(list(steps), "test"), "")(probs)[0, 0].tolist()

    close = {"name": "closing", "radius": [0, 0, 1]}
    assert line() == probs.argmax(dim=0)[0, 0].tolist() == [1, 2, 2, 0, 2, 0, 1]
    assert line({"name": "keep_largest"}) == [1, 2, 2, 0, 0, 0, 0]
    assert line(close) == [1, 2, 2, 1, 2, 1, 1]
    assert line({"name": "threshold", "value": 0.55}) == [1, 2, 2, 1, 2, 0, 1]
    assert line({"name": "hysteresis", "low": 0.55, "high": 0.85}) == [1, 2, 2, 1, 2, 0, 0]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 16)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", image)
    return tmp_path / "in/a.tif"


def test_a_prediction_is_processed_and_says_how(make_run, volume: Path, tmp_path, capsys) -> None:
    run = make_run("a", labels__classes={"background": 9, "sheet": 200})
    probs = PredictOptions(probabilities=True, postprocess="none", threshold=0.5)
    predict([run.path], volume, tmp_path / "plain", probs)
    raw = tifffile.imread(tmp_path / "plain/probabilities/a.tif")
    cut = float(np.quantile(raw, 0.9))
    select(run, threshold=cut, postprocess=[{"name": "keep_largest", "num": 1}])

    predict([run.path], volume, tmp_path / "out")

    said = capsys.readouterr().out
    assert "no post-processing, from the command line" in said
    assert "post-processing: keep_largest, as selected" in said
    expected = Masking(cut, "", read_chain([{"name": "keep_largest"}], ""), "")
    mask = tifffile.imread(tmp_path / "out/a.tif") == 200
    assert np.array_equal(mask, expected(torch.from_numpy(raw)[None]))
    assert 0 < mask.sum() < (raw >= cut).sum()
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["postprocess"] == {
        "steps": [{"name": "keep_largest", "num": 1, "connectivity": 26}],
        "why": "post-processing: keep_largest, as selected",
    }
    assert record["runs"][0]["postprocess"] == record["postprocess"]["steps"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"postprocess": "hysteresis"}, r"selected\.json: postprocess: must be a list"),
        ({"postprocess": [{"name": "rm"}]}, r"postprocess\.0: there is no step 'rm'"),
        ({"postprocess": [SMALL, HYSTERESIS]}, r"postprocess: hysteresis is step 1, but only"),
        ({"threshold": 7}, r"selected\.json: threshold must be from 0 to 1 or null, found 7"),
        ({"threshold": float("nan")}, r"selected\.json: threshold must be from 0 to 1"),
    ],
)
def test_a_malformed_selection_is_one_sentence(make_run, content, sentence: str) -> None:
    run = make_run("a")
    select(run, **content)

    with pytest.raises(InputError, match=sentence):
        run.selected()


def test_a_selection_nested_without_end_is_one_sentence(make_run) -> None:
    run = make_run("a")
    deep = "[" * 200_000 + "]" * 200_000
    text = '{"version": 1, "checkpoint": "best", "threshold": 0.5, "postprocess": %s}'
    (run.path / "selected.json").write_text(text % deep)

    with pytest.raises(InputError, match=r"selected\.json: "):
        run.selected()
