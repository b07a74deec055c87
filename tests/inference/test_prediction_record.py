"""Masks of an earlier prediction are neither replaced unasked nor predicted twice."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from tests.inference.conftest import predict_files
from vesuv.errors import InputError, InputErrors
from vesuv.inference import files
from vesuv.runs.folder import RunFolder


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "volumes"
    for number, name in enumerate("abc"):
        _write(folder / f"{name}.tif", number)
    return folder


@pytest.fixture
def run(make_run) -> RunFolder:
    return make_run("run", logits=[0.0])


def _write(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 255, (8, 16, 16)).astype(np.uint8)
    tifffile.imwrite(path, image)


def _mark(path: Path) -> bytes:
    """Put other content into a file, to tell later that it was not written again."""
    tifffile.imwrite(path, np.full((8, 16, 16), 9, np.uint8))
    return path.read_bytes()


def _record(output: Path) -> dict[str, object]:
    return json.loads((output / "provenance.json").read_text())


def _interrupt_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the prediction like Ctrl-C before the mask of a volume is written."""
    write = files.write

    def interrupted(path: Path, *arguments: object) -> None:
        if path.name == name:
            raise KeyboardInterrupt
        write(path, *arguments)

    monkeypatch.setattr(files, "write", interrupted)


def test_another_threshold_does_not_replace_masks_unless_asked(
    run: RunFolder, volumes: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    predict_files([run.path], volumes, output, threshold=0.3)
    (output / "a.tif").unlink()
    before = {path: path.read_bytes() for path in output.iterdir()}

    with pytest.raises(
        InputError,
        match=r"^--output: \S+/out/b\.tif and 1 more of its files exist already \(predicted with "
        r"threshold 0\.3, now 0\.6\); name another folder, or replace with --overwrite$",
    ):
        predict_files([run.path], volumes, output, threshold=0.6)

    assert {path: path.read_bytes() for path in output.iterdir()} == before
    predict_files([run.path], volumes, output, threshold=0.6, overwrite=True)
    assert not tifffile.imread(output / "b.tif").any()
    assert [one["id"] for one in _record(output)["inputs"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"changes": ["inference.overlap=0.25"]}, r"inference\.overlap 0\.5, now 0\.25"),
        ({"probabilities": True}, "probabilities False, now True"),
        ({"postprocess": None}, r"postprocess \[\], now \[\{'name': 'keep_largest'"),
    ],
)
def test_the_setting_that_differs_is_named(
    make_run, volumes: Path, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    run = make_run("x", logits=[0.0], inference__postprocess=[{"name": "keep_largest", "num": 1}])
    predict_files([run.path], volumes, tmp_path / "out", postprocess="none")

    with pytest.raises(InputError, match=reason):
        predict_files([run.path], volumes, tmp_path / "out", **{"postprocess": "none", **changes})


@pytest.mark.parametrize("labels", [{}, {"classes": {}}, {"nonsense": [None]}])
def test_a_record_that_was_edited_is_refused_in_a_sentence(
    run: RunFolder, volumes: Path, tmp_path: Path, labels: dict[str, object]
) -> None:
    output = tmp_path / "out"
    predict_files([run.path], volumes, output)
    (output / "provenance.json").write_text(json.dumps(_record(output) | {"labels": labels}))

    with pytest.raises(InputError, match=r"exist already \(predicted with labels"):
        predict_files([run.path], volumes, output)


def test_masks_of_another_checkpoint_are_not_replaced(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    predict_files([make_run("x", seed=1).path], volumes, tmp_path / "out")

    with pytest.raises(InputError, match="predicted with other runs or checkpoints"):
        predict_files([make_run("y", seed=2).path], volumes, tmp_path / "out")


def test_an_interrupted_prediction_goes_on(
    run: RunFolder, volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, whole, lines = tmp_path / "out", tmp_path / "whole", []
    with monkeypatch.context() as patch:
        _interrupt_at("b.tif", patch)
        with pytest.raises(KeyboardInterrupt):
            predict_files([run.path], volumes, output)
    assert _record(output)["unfinished"] == ["b", "c"]
    kept = _mark(output / "a.tif")

    paths = predict_files([run.path], volumes, output, say=lines.append)

    assert lines[0] == "1 of 3 volumes were predicted before; left as they are"
    assert [line.split(":")[0] for line in lines[1:]] == ["2/3 b", "3/3 c", "written"]
    assert lines[-1].startswith("written: 2 of 3 masks")
    assert (output / "a.tif").read_bytes() == kept
    assert paths == [output / f"{name}.tif" for name in "abc"]
    predict_files([run.path], volumes, whole)
    ends = [{k: v for k, v in _record(f).items() if k != "written"} for f in (output, whole)]
    assert ends[0] == ends[1]


def test_what_an_interrupted_prediction_left_half_written_is_written_again(
    run: RunFolder, volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_at("a.tif", patch)
        with pytest.raises(KeyboardInterrupt):
            predict_files([run.path], volumes, output)
    _mark(output / "a.tif")  # as if killed between the mask and its record

    predict_files([run.path], volumes, output)

    assert (tifffile.imread(output / "a.tif") == 1).all()


def test_a_changed_input_is_not_taken_for_the_former_one(
    run: RunFolder, volumes: Path, tmp_path: Path
) -> None:
    predict_files([run.path], volumes, tmp_path / "out")
    _write(volumes / "b.tif", 9)

    with pytest.raises(InputError, match=r"b\.tif exists already \(predicted from an input that"):
        predict_files([run.path], volumes, tmp_path / "out")


def test_a_changed_zarr_of_the_same_size_is_not_taken_for_the_former_one(
    run: RunFolder, tmp_path: Path
) -> None:
    volume, image = tmp_path / "volumes" / "a.zarr", np.zeros((8, 16, 16), np.uint8)
    array = zarr.create_array(str(volume), data=image, chunks=(8, 16, 16), compressors=None)
    array[0] = 1
    predict_files([run.path], volume.parent, tmp_path / "out")
    predict_files([run.path], volume.parent, tmp_path / "out")
    array[0] = 2

    with pytest.raises(InputError, match=r"a\.zarr exists already \(predicted from an input that"):
        predict_files([run.path], volume.parent, tmp_path / "out")


def test_a_zarr_of_a_former_record_is_told_by_its_size(run: RunFolder, tmp_path: Path) -> None:
    volume, output = tmp_path / "volumes" / "a.zarr", tmp_path / "out"
    zarr.save_array(volume, np.zeros((8, 16, 16), np.uint8))
    predict_files([run.path], volume.parent, output)
    record = _record(output)
    del record["inputs"][0]["files"][0]["content"]
    (output / "provenance.json").write_text(json.dumps(record))

    predict_files([run.path], volume.parent, output)

    assert "content" not in _record(output)["inputs"][0]["files"][0]


def test_a_mask_that_was_removed_is_predicted_again_and_others_are_not(
    run: RunFolder, volumes: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    predict_files([run.path], volumes, output)
    (output / "c.tif").unlink()
    kept = _mark(output / "a.tif")

    predict_files([run.path], volumes, output)

    assert (tifffile.imread(output / "c.tif") == 1).all()
    assert (output / "a.tif").read_bytes() == kept


def test_volumes_are_added_to_a_folder_with_the_same_settings_only(
    run: RunFolder, volumes: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    predict_files([run.path], volumes / "a.tif", output)

    predict_files([run.path], volumes / "b.tif", output)
    assert [one["id"] for one in _record(output)["inputs"]] == ["a", "b"]
    with pytest.raises(
        InputError,
        match=r"provenance\.json is the record of 2 masks there, first a\.tif, predicted with "
        r"threshold 0\.5, now 0\.4; name another folder, or replace the record with --overwrite",
    ):
        predict_files([run.path], volumes / "c.tif", output, threshold=0.4)


def test_masks_without_a_record_are_not_replaced(
    run: RunFolder, volumes: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    predict_files([run.path], volumes / "a.tif", output)
    kept = _mark(output / "b.tif")

    with pytest.raises(InputError, match=r"b\.tif exists already \(not recorded in provenance"):
        predict_files([run.path], volumes, output)
    assert (output / "b.tif").read_bytes() == kept


def test_a_faulty_volume_is_tried_again(run: RunFolder, volumes: Path, tmp_path: Path) -> None:
    output, lines = tmp_path / "out", []
    (volumes / "b.tif").write_bytes(b"II*\0")
    with pytest.raises(InputErrors, match=r"b\.tif"):
        predict_files([run.path], volumes, output)
    assert _record(output)["unfinished"] == ["b"]
    _write(volumes / "b.tif", 1)

    predict_files([run.path], volumes, output, say=lines.append)

    assert lines[0].startswith("2 of 3 volumes were predicted before")
    assert _record(output)["unfinished"] == []


def test_a_submission_is_made_of_masks_old_and_new_and_replaces_its_own_alone(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("x", logits=[0.0], labels__classes={"background": 9, "sheet": 200})
    output, target = tmp_path / "out", tmp_path / "submission.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mine", "")
    with pytest.raises(InputError, match=r"--submission: \S+ exists already; give another name"):
        predict_files([run.path], volumes, output, submission=target)
    assert not output.exists()
    target.unlink()
    predict_files([run.path], volumes / "a.tif", output)

    for _ in range(2):
        predict_files([run.path], volumes, output, submission=target)
        with zipfile.ZipFile(target) as archive:
            assert archive.namelist() == ["a.tif", "b.tif", "c.tif"]
            archive.extract("a.tif", tmp_path)
        assert (tifffile.imread(tmp_path / "a.tif") == 1).all()
    assert sorted(path.name for path in output.iterdir()) == [
        "a.tif", "b.tif", "c.tif", "provenance.json",
    ]  # fmt: skip
