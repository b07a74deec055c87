from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.conftest import Refused, Run
from vesuv.runs.folder import RunFolder


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 16)).astype(np.uint8)
    tifffile.imwrite(folder / "a.tif", image)
    return folder / "a.tif"


def _select(run: RunFolder, **content: object) -> None:
    whole = {"version": 1, "checkpoint": "best", "threshold": 0.4, **content}
    (run.path / "selected.json").write_text(json.dumps(whole))


def test_runs_cut_steps_and_volumes_are_printed(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, other = make_run("a", logits=[0.0]), make_run("b", logits=[0.0])
    keep = [{"name": "keep_largest", "num": 1}]
    words = ("--input", volume, "--output", tmp_path / "out")

    run("predict", "--run", other.path, *words, "--postprocess", "none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"{other.path}: best, epoch 3",
        "threshold 0.5, from validation.threshold; nothing was selected for "
        f"{other.path} (best): vesuv validate_distribution does; "
        "no post-processing, from the command line",
    ]
    assert any(line.startswith("1/1 a: 100.00% foreground, ") for line in lines)
    assert lines[-1] == f"written: 1 of 1 masks and provenance.json in {tmp_path / 'out'}"

    _select(chosen, threshold=0.3, postprocess=keep)
    run("predict", "--run", chosen.path, other.path, *words, "--overwrite")
    printed = capsys.readouterr().out
    assert "threshold 0.3, the mean of the runs' selected; nothing was selected for" in printed
    assert f"post-processing: keep_largest, as selected for {chosen.path}; the runs diff" in printed


@pytest.mark.parametrize(
    ("cases", "changes", "expected"),
    [
        (["a", "b"], {}, True),
        (["a_part1"], {"data__parts": 2}, True),
        (["a_part1"], {}, False),
        (["b"], {}, False),
        ([], {}, False),
    ],
)
def test_a_volume_named_as_a_training_case_is_said(
    make_run,
    volume: Path,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    cases: list[str],
    changes: dict[str, int],
    *,
    expected: bool,
) -> None:
    folder = make_run("r", logits=[0.0], facts={"train_cases": cases}, **changes)

    run("predict", "--run", folder.path, "--input", volume, "--output", tmp_path / "out")

    line = (
        "1 volume has the name of a training case (a): if they are the same, their scores are no "
        "test"
    )
    assert (line in capsys.readouterr().out.splitlines()) == expected


def test_an_outdated_selection_is_said(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run("a", logits=[0.0])
    _select(folder, checkpoint_sha256="0" * 64)

    run("predict", "--run", folder.path, "--input", volume, "--output", tmp_path / "out")

    line = f"{folder.path}: best, epoch 3, trained on since it was selected"
    assert line in capsys.readouterr().out.splitlines()


def test_another_precision_than_the_judged_one_is_said(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run("a", logits=[0.0])
    _select(folder, inference={"precision": "float32"})
    words = ("predict", "--run", folder.path, "--input", volume, "--output", tmp_path / "out")
    line = "precision bfloat16, from runtime.precision; the selection was judged in float32"

    run(*words)
    assert "judged in" not in capsys.readouterr().out
    run(*words, "--set", "runtime.precision=bfloat16", "--overwrite")
    assert line in capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["inference"]["precision"] == "bfloat16"


def test_every_option_reaches_the_prediction(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run("a", checkpoints=("best", "last"))
    volume.with_suffix(".dcm").touch()
    submission = tmp_path / "submission.zip"

    run(
        "predict", "--run", folder.path, "--input", volume.parent, "--output", tmp_path / "out",
        "--checkpoint", "last", "--threshold", "0.35", "--probabilities",
        "--submission", submission, "--views", "mirror", "--overlap", "0.25",
        "--set", "inference.batch_size=2",
    )  # fmt: skip

    assert "1 file of unknown formats left out, first a.dcm" in capsys.readouterr().out
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["runs"][0]["checkpoint"] == "last"
    assert record["threshold"] == {"value": 0.35, "why": "threshold 0.35, from the command line"}
    assert {key: record["inference"][key] for key in ("overlap", "views", "batch_size")} == {
        "overlap": 0.25,
        "views": "mirror",
        "batch_size": 2,
    }
    assert submission.is_file()
    assert (tmp_path / "out/probabilities/a.tif").is_file()


def test_best_takes_the_place_of_runs_and_checkpoint(
    make_run, volume: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    folder = make_run("a", logits=[0.0])
    best = tmp_path / "best.json"
    members = [{"run": str(folder.path), "checkpoint": "best", "checkpoint_sha256": "x"}]
    best.write_text(
        json.dumps({"version": 1, "members": members, "threshold": 0.5, "postprocess": []})
    )
    words = ("predict", "--best", best, "--input", volume, "--output", tmp_path / "out")

    run(*words)

    assert tifffile.imread(tmp_path / "out/a.tif").all()
    for word, value in (("--run", folder.path), ("--checkpoint", "best")):
        said = refused(*words, word, value)
        assert said == (f"error: {word}: --best names runs and checkpoints itself; leave one out\n")


def test_volumes_and_thresholds_that_cannot_be_used_are_sentences(
    make_run, volume: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = make_run("a")
    np.save(volume.parent / "nan.npy", np.full((16, 16, 16), np.nan, dtype=np.float32))
    words = ("predict", "--run", folder.path, "--input", volume.parent, "--output", tmp_path / "o")

    said = refused(*words)

    assert said.startswith("error: ") and "nan.npy: an image holds finite values" in said
    assert (tmp_path / "o/a.tif").is_file()
    assert "threshold 0.003, from the command line: " in refused(*words, "--threshold", "0.003")
    assert "--run: needs at least one run folder" in refused("predict", *words[3:])


def test_earlier_masks_are_replaced_with_overwrite_alone(
    make_run, volume: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    folder, output = make_run("a", logits=[0.0]), tmp_path / "out"
    words = ("predict", "--run", folder.path, "--input", volume, "--output", output)
    run(*words)

    message = refused(*words, "--threshold", "0.8")
    assert message == (
        f"error: --output: {output / 'a.tif'} exists already (predicted with threshold 0.5, now "
        "0.8); name another folder, or replace with --overwrite\n"
    )
    assert refused(*words, "--threshold", "0.8", "--dry-run") == message
    assert tifffile.imread(output / "a.tif").all()
    run(*words, "--threshold", "0.8", "--overwrite")
    assert not tifffile.imread(output / "a.tif").any()


def test_an_input_outside_training_is_said(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = {"normalised": [-2, 2], "width": [2000, 3000], "minimum": [0, 5]}
    folder = make_run("a", facts={"training_images": {"channels": [channel]}})

    run("predict", "--run", folder.path, "--input", volume, "--output", tmp_path / "out")

    warnings = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: a: intensities ")
    assert warnings[0].endswith("in training cases 2000 to 3000; check modality and number range")


def test_members_weights_and_further_maps_reach_the_prediction(
    make_run,
    volume: Path,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["vesuv", "predict", "--input", "a b"])
    runs = [make_run("a", seed=1), make_run("b", seed=2)]
    for one in runs:
        _select(one, calibration={"temperature": 2.0})
    paths = [one.path for one in runs]
    words = ("--input", volume, "--output")

    run("predict", "--run", *paths, *words, tmp_path / "plain", "--weights", 2, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"{paths[0]}: best, epoch 3, weight 2",
        f"{paths[1]}: best, epoch 3, weight 1",
    ]
    run(
        "predict", "--run", *paths, *words, tmp_path / "out", "--weights", 2, 1,
        "--uncertainty", "--calibrated", "--views", "all",
    )  # fmt: skip
    assert "s, 48 views of each window" in capsys.readouterr().out
    run(
        "predict", "--from", tmp_path / "out/provenance.json", *words, tmp_path / "again",
    )  # fmt: skip

    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert [one["weight"] for one in record["runs"]] == [2.0, 1.0]
    assert (record["calibrated"], record["uncertainty"], record["temperature"]) == (
        True,
        True,
        [2.0],
    )
    assert record["command"] == "vesuv predict --input 'a b'"
    for name in ("a.tif", "probabilities/a.tif", "uncertainty/a.tif"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert not (tmp_path / "plain/uncertainty").exists()


def test_several_checkpoints_of_a_run_are_members(
    make_run, volume: Path, tmp_path: Path, run: Run
) -> None:
    folder = make_run("a", checkpoints=("best", "ema"))

    run(
        "predict", "--run", folder.path, "--input", volume, "--output", tmp_path / "out",
        "--checkpoint", "best", "ema",
    )  # fmt: skip

    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert [one["checkpoint"] for one in record["runs"]] == ["best", "ema"]


@pytest.mark.parametrize(
    "words",
    [
        ("--run", "a"), ("--best", "b.json"), ("--checkpoint", "best"), ("--weights", "1"),
        ("--threshold", "0.5"), ("--postprocess", "none"), ("--probabilities",), ("--calibrated",),
        ("--uncertainty",), ("--overlap", "0.5"), ("--views", "all"), ("--device", "cpu"),
        ("--set", "inference.overlap=0.5"), ("--blocks",), ("--block-size", "64"),
        ("--statistics", "full"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_repetition_takes_no_other_settings(
    volume: Path, tmp_path: Path, refused: Refused, words: tuple[str, ...]
) -> None:
    error = refused(
        "predict", "--from", tmp_path / "provenance.json", "--input", volume, "--output",
        tmp_path / "out", *words,
    )  # fmt: skip

    assert f"{words[0]}: --from repeats recorded settings; leave one of them out" in error


def test_what_one_network_cannot_give_is_refused_before_anything_is_written(
    make_run, volume: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ("predict", "--run", make_run("a").path, "--input", volume, "--output", tmp_path / "o")

    assert "uncertainty: is the disagreement of several" in refused(*words, "--uncertainty")
    assert "no temperature was selected for calibrated" in refused(*words, "--calibrated")
    assert "--weights: needs one number for each of the 1 checkpoints" in refused(
        *words, "--weights", "1", "2"
    )
    assert not (tmp_path / "o").exists()


def test_an_output_in_zarr_is_repeated_to_the_bit(
    make_run, volume: Path, tmp_path: Path, run: Run
) -> None:
    image = np.random.default_rng(1).integers(0, 255, (40, 36, 33)).astype(np.uint8)
    tifffile.imwrite(volume, image)
    words = ("--input", volume, "--probabilities", "--block-size", "32", "--statistics", "sample")
    first, second = tmp_path / "first.zarr", tmp_path / "second.zarr"

    run("predict", "--run", make_run("a", seed=1).path, *words, "--output", first)
    run("predict", "--from", first / "provenance.json", "--input", volume, "--output", second)

    contents = [
        {
            str(file.relative_to(folder)): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file() and file.name not in ("provenance.json", "job.json")
        }
        for folder in (first, second)
    ]
    assert contents[0] == contents[1]
    jobs = [json.loads((folder / ".vesuv/job.json").read_text()) for folder in (first, second)]
    reasons = [job["compile"].pop("reason") for job in jobs]
    assert reasons == ["the prediction is short", "inference.compile is off"]  # as recorded
    assert jobs[0] == jobs[1]
    records = [json.loads((folder / "provenance.json").read_text()) for folder in (first, second)]
    assert records[0]["blocks"] == records[1]["blocks"]
    assert records[0]["blocks"]["size"] == 32
