from __future__ import annotations

import json

import pytest

from vesuv.config.postprocess import read_chain
from vesuv.config.training import InferenceConfig
from vesuv.errors import InputError
from vesuv.inference.chosen_mask import ChosenMask, choose_mask
from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import (
    differing_key,
    file_digest,
    open_members,
    trained_config,
)

SMALL = {"name": "remove_small", "voxels": 2, "connectivity": 26}
FILL = {"name": "fill_cavities"}
HYSTERESIS = {"name": "hysteresis", "low": 0.3, "high": 0.8}


def select(run, **content) -> None:
    whole = {"version": 1, "checkpoint": "best", "threshold": 0.4, **content}
    (run.path / "selected.json").write_text(json.dumps(whole))


def choose(*runs, threshold=None, postprocess=None) -> ChosenMask:
    return choose_mask(open_members([r.path for r in runs]), threshold, postprocess)


def test_the_best_checkpoint_is_taken_when_nothing_was_selected(make_run) -> None:
    run = make_run("a", checkpoints=("last", "best"))

    (member,) = open_members([run.path])

    assert (member.name, member.threshold("foreground"), member.is_outdated) == (
        "best",
        None,
        False,
    )


def test_the_selected_checkpoint_and_threshold_come_first(make_run) -> None:
    run = make_run("a", checkpoints=("best", "ema"))
    select(run, checkpoint="ema", threshold=0.35)

    (member,) = open_members([run.path])
    (named,) = open_members([run.path], ["best"])

    assert (member.name, member.threshold("foreground")) == ("ema", 0.35)
    assert (named.name, named.threshold("foreground")) == ("best", None)


def test_volumes_are_predicted_as_for_the_selection_unless_changed(make_run) -> None:
    run = make_run("a", checkpoints=("best", "ema"), inference={"overlap": 0.5, "batch_size": 3})
    select(run, inference={"overlap": 0.25, "mirror": True, "batch_size": 2})

    assert open_members([run.path])[0].inference == InferenceConfig(
        overlap=0.25, views="mirror", batch_size=2
    )
    (changed,) = open_members([run.path], changes=["inference.overlap=0.75"])
    assert changed.inference == InferenceConfig(overlap=0.75, views="mirror", batch_size=2)
    (other,) = open_members([run.path], ["ema"])  # nothing was selected for it
    assert other.inference == InferenceConfig(overlap=0.5, batch_size=3)


def test_a_checkpoint_that_changed_after_selection_is_outdated(make_run) -> None:
    run = make_run("a")
    digest = file_digest(run.checkpoint("best"))

    select(run, checkpoint_sha256=digest)
    assert not open_members([run.path])[0].is_outdated
    select(run, checkpoint_sha256="0" * 64)
    assert open_members([run.path])[0].is_outdated


def test_an_unknown_checkpoint_is_refused_with_those_that_are_there(make_run) -> None:
    run = make_run("a", checkpoints=("best", "last"))

    with pytest.raises(InputError, match=r"must be one of best, last, asked for 'swa'"):
        open_members([run.path], ["swa"])


def test_no_run_at_all_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"--run: needs at least one run folder"):
        open_members([])
    with pytest.raises(InputError, match=r"not a run folder"):
        open_members([tmp_path])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"labels__classes": {"background": 0, "surface": 1}}, "labels.classes"),
        ({"model__in_channels": 2}, "model.in_channels"),
        ({"model__out_channels": 2}, "model.out_channels"),
        ({"data__spacing": [2.0, 1.0, 1.0]}, "data.spacing"),
    ],
)
def test_runs_that_cannot_be_averaged_are_refused(make_run, change, key: str) -> None:
    runs = [make_run("a"), make_run("b", **change)]

    with pytest.raises(InputError, match=rf"b: runs of an ensemble must agree in {key}, found"):
        open_members([run.path for run in runs])
    assert differing_key(runs[0].config, runs[1].config) == key
    assert differing_key(runs[1].config, runs[1].config) is None


def test_what_is_not_changed_stays_as_the_run_had_it(make_run) -> None:
    run = make_run("a", inference={"overlap": 0.25, "batch_size": 3, "mirror": True})

    assert trained_config(run, []) == run.config
    changed = trained_config(run, ["inference.overlap=0.75", "inference.mirror=false"])
    assert changed.inference == InferenceConfig(overlap=0.75, batch_size=3, views="none")
    assert changed.model == run.config.model
    assert trained_config(run, ["runtime.device=cpu"]).runtime.device == "cpu"


def test_changes_that_a_trained_run_cannot_take_are_refused(make_run) -> None:
    run = make_run("a")

    with pytest.raises(InputError, match=r"inference\.overlap: must be below 1, found"):
        trained_config(run, ["inference.overlap=1.0"])
    with pytest.raises(InputError, match=r"runtime\.device.*'gpu'"):
        trained_config(run, ["runtime.device=gpu"])
    with pytest.raises(InputError, match=r"--set model\.filters=8: a trained run takes changes of"):
        trained_config(run, ["model.filters=8"])


def test_the_threshold_is_the_callers_else_the_mean_of_the_selected_else_configured(
    make_run,
) -> None:
    first, second = make_run("a", validation__threshold=0.45), make_run("b")

    mask = choose(first, second)
    assert (mask.settings.cuts[0].threshold, mask.threshold_reason) == (
        0.45,
        f"threshold 0.45, from validation.threshold; nothing was selected for {first.path} (best), "
        f"{second.path} (best): vesuv validate_distribution does",
    )
    select(first, threshold=0.3)
    mask = choose(first, second)
    assert (mask.settings.cuts[0].threshold, mask.threshold_reason) == (
        0.3,
        "threshold 0.3, the mean of the runs' selected; nothing was selected for "
        f"{second.path} (best): vesuv validate_distribution does",
    )
    select(second, threshold=0.5)
    mask = choose(first, second)
    assert (mask.settings.cuts[0].threshold, mask.threshold_reason) == (
        0.4,
        "threshold 0.4, the mean of the runs' selected",
    )
    mask = choose(second)
    assert mask.threshold_reason == "threshold 0.5, selected for the run"
    mask = choose(first, second, threshold=0.7)
    assert (mask.settings.cuts[0].threshold, mask.threshold_reason) == (
        0.7,
        "threshold 0.7, from the command line",
    )


def test_a_selected_threshold_is_taken_to_its_last_digit(make_run) -> None:
    runs = [make_run("a"), make_run("b")]
    for run in runs:
        select(run, threshold=0.30250004)  # 0.3025 stands for a step of probability, this not

    assert choose(runs[0]).settings.cuts[0].threshold == 0.30250004
    assert choose(*runs).settings.cuts[0].threshold == 0.30250004


def test_selected_steps_win_over_configured_ones_and_none_selected_is_a_choice(make_run) -> None:
    run = make_run("a", inference__postprocess=[FILL])

    assert choose(run).settings.cuts[0].chain == read_chain([FILL], "")
    assert choose(run).chain_reason == "post-processing: fill_cavities, as in inference.postprocess"
    select(run)
    assert choose(run).settings.cuts[0].chain == read_chain([FILL], "")
    select(run, postprocess=[SMALL, FILL])
    assert choose(run).settings.cuts[0].chain == read_chain([SMALL, FILL], "")
    assert choose(run).chain_reason == "post-processing: remove_small, fill_cavities, as selected"
    assert choose(run).settings.cuts[0].threshold == 0.4
    select(run, postprocess=[])
    assert choose(run).settings.cuts[0].chain == ()
    assert choose(run).chain_reason == "no post-processing, as selected"


def test_none_switches_everything_off(make_run) -> None:
    run = make_run("a", inference__postprocess=[FILL])
    select(run, postprocess=[HYSTERESIS], threshold=0.35)

    assert choose(run, postprocess="none").settings == MaskSettings.alike(
        run.config.labels.targets, 0.35
    )
    with pytest.raises(InputError, match=r"--postprocess: must be none, found 'off'"):
        choose(run, postprocess="off")


def test_a_chain_that_cuts_takes_the_place_of_the_threshold(make_run) -> None:
    run = make_run("a")
    select(run, postprocess=[HYSTERESIS, SMALL], threshold=None)

    mask = choose(run)

    assert mask.settings.cuts[0].threshold is None
    assert mask.threshold_reason == "hysteresis of the post-processing"
    with pytest.raises(InputError, match=r"--threshold: .* begins with a hysteresis of its own"):
        choose(run, threshold=0.5)


def test_of_runs_that_differ_most_decide_and_it_is_said(make_run) -> None:
    runs = [make_run(name) for name in "abc"]
    for run, steps in zip(runs, ([SMALL], [FILL], [FILL]), strict=True):
        select(run, postprocess=steps)

    assert choose(*runs).settings.cuts[0].chain == read_chain([FILL], "")
    assert choose(*runs).chain_reason == (
        f"post-processing: fill_cavities, as selected for {runs[1].path}; the runs differ, "
        "2 of 3 have this"
    )
    assert choose(*runs[:2]).settings.cuts[0].chain == read_chain([SMALL], "")
    assert choose(*runs[1:]).chain_reason == "post-processing: fill_cavities, as selected"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"postprocess": "hysteresis"},
            r"/selected\.json: postprocess: must be a list, found 'hys",
        ),
        ({"postprocess": [{"name": "rm"}]}, r"json: postprocess\.0: there is no step 'rm'"),
        ({"postprocess": [SMALL, HYSTERESIS]}, r"json: postprocess: hysteresis is step 1, but"),
        (
            {"threshold": 7},
            r"selected\.json: threshold: .* less than or equal to 1, found 7; write",
        ),
        ({"threshold": float("nan")}, r"selected\.json: threshold: .*, found nan"),
        (
            {"inference": {"precision": "auto"}},
            r"selected\.json: inference\.precision: .*, found 'auto'; write it anew",
        ),
    ],
)
def test_a_malformed_selection_is_one_sentence(make_run, content, sentence: str) -> None:
    run = make_run("a")
    select(run, **content)

    with pytest.raises(InputError, match=sentence):
        open_members([run.path])


def test_a_selection_nested_without_end_is_one_sentence(make_run) -> None:
    run = make_run("a")
    deep = "[" * 200_000 + "]" * 200_000
    text = '{"version": 1, "checkpoint": "best", "threshold": 0.5, "postprocess": %s}'
    (run.path / "selected.json").write_text(text % deep)

    with pytest.raises(InputError, match=r"selected\.json: "):
        open_members([run.path])


def test_a_threshold_below_the_first_step_of_probability_is_refused(make_run) -> None:
    runs = [make_run("a"), make_run("b")]

    with pytest.raises(InputError, match=r"threshold 0\.003, from the command line: .* 0\.005 up"):
        choose(runs[0], threshold=0.003)
    select(runs[0], threshold=0.005)
    select(runs[1], threshold=0.0)
    with pytest.raises(InputError, match=r"threshold 0\.0025, the mean of the runs' selected: "):
        choose(*runs)
    assert choose(runs[0], threshold=0.0).settings.cuts[0].threshold == 0.0
    assert choose(runs[0]).settings.cuts[0].threshold == 0.005
