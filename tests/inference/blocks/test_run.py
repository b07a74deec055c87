"""One volume into an OME-Zarr image: its arrays, its journal, and runs that were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from tests.inference.blocks.conftest import (
    block_prediction,
    network,
    predictor,
    shard_bytes,
    smooth_image,
)
from vesuv.config.postprocess import Chain
from vesuv.errors import InputError
from vesuv.inference.blocks.journal import Journal
from vesuv.inference.blocks.plan import BlockPlan, Part
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.levels import quantise
from vesuv.inference.masks import MaskSettings
from vesuv.inference.postprocess.components import RemoveSmall
from vesuv.inference.predictor import Predictor
from vesuv.io.formats import read
from vesuv.types import Array, Progress

KILLED = """
import os, signal, sys
from pathlib import Path
import json
import torch
from tests.inference.blocks.conftest import block_prediction
from tests.inference.blocks.test_run import networks_for
from vesuv.inference.blocks.work import BlockWork

torch.set_num_threads(1)
write, written = BlockWork.write, []

def write_or_die(self, result):
    if len(written) == 4:
        shard = self.output.mask()._file([slice(0, 16)] * 3)
        torn = self.output.path / "0/c/2/2/3"
        torn.parent.mkdir(parents=True, exist_ok=True)
        torn.write_bytes(shard.read_bytes()[:9] if shard.exists() else b"torn")
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(result)
    return write(self, result)

BlockWork.write = write_or_die
chosen = json.loads(sys.argv[3])
block_prediction(networks_for(chosen), sys.argv[1], Path(sys.argv[2]), **chosen).run()
"""
ALL_OUTPUTS = {"keep_probabilities": True, "calibrated": True, "uncertainty": True}


def networks_for(chosen: dict[str, bool]) -> Predictor:
    """Return two networks with a temperature and a chain for `ALL_OUTPUTS`, else one."""
    if chosen != ALL_OUTPUTS:
        return predictor(network())
    targets = network().config.labels.targets
    chain: Chain = (RemoveSmall(name="remove_small", voxels=60),)
    networks = predictor(network(), network(1), mask=MaskSettings.alike(targets, 0.5, chain))
    networks.temperatures = (1.7,)
    return networks


@pytest.mark.slow
def test_the_image_holds_mask_levels_and_pyramid(volume: Path, tmp_path: Path) -> None:
    networks = predictor(network())
    image = np.load(volume)

    block_prediction(networks, volume, tmp_path / "p.zarr", keep_probabilities=True).run()

    written = read(tmp_path / "p.zarr")
    assert np.array_equal(written.array, networks.segment(image))
    levels = zarr.open_array(str(tmp_path / "p.zarr/probabilities/0"))
    expected = quantise(torch.from_numpy(networks.predict(image)))
    assert np.array_equal(levels[...], expected.numpy())
    assert (levels.shards, levels.dtype) == ((1, 16, 16, 16), np.uint8)
    scale = zarr.open_group(str(tmp_path / "p.zarr/probabilities")).attrs["vesuv"]
    assert scale["meaning"] == "probability = (value + 0.5) / 200, at most 1"
    record = json.loads((tmp_path / "p.zarr/provenance.json").read_text())
    assert record["input"]["shape"] == [1, 40, 37, 50]
    assert record["statistics"]["coverage"] == "full"
    assert record["windows"]["empty"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("with_chain", [False, True])
def test_calibrated_probabilities_and_uncertainty_lie_beside_the_mask(
    with_chain: bool, volume: Path, tmp_path: Path
) -> None:
    networks = networks_for(ALL_OUTPUTS)
    if not with_chain:
        networks.mask = predictor(network()).mask
    image, output = np.load(volume), tmp_path / "p.zarr"

    block_prediction(networks, volume, output, **ALL_OUTPUTS).run()

    assert np.array_equal(read(output).array, networks.segment(image))
    levels = zarr.open_array(str(output / "probabilities/0"))[...]
    calibrated = networks.predict(image, calibrated=True)
    assert np.abs((levels + 0.5) / 200 - calibrated).max() <= 0.0026  # half a step of 1/200
    assert np.abs(calibrated - networks.predict(image)).max() > 0.02
    bits = zarr.open_array(str(output / "uncertainty/0"))
    expected = networks.uncertainty(image)
    assert (bits.dtype, bits.shards, expected.max() > 0.1) == (np.uint8, (16, 16, 16), True)
    assert np.abs(bits[...] / 255 - expected).max() <= 0.5001 / 255
    scale = zarr.open_group(str(output / "uncertainty")).attrs["vesuv"]
    assert scale["meaning"] == "mutual information = value * 1 / 255" and scale["unit"] == "bit"
    assert zarr.open_group(str(output / "probabilities")).attrs["vesuv"]["calibrated"] is True
    assert np.array_equal(read(output / "uncertainty").array, bits[...])
    record = json.loads((output / "provenance.json").read_text())
    assert (record["uncertainty"], record["calibrated"], record["temperature"]) == (
        True,
        True,
        [1.7],
    )
    assert not (output / ".vesuv/uncalibrated").exists()


def test_uncertainty_and_calibration_need_what_whole_volumes_need(
    volume: Path, tmp_path: Path
) -> None:
    output = tmp_path / "p.zarr"

    with pytest.raises(InputError, match=r"one network with inference\.views=none"):
        block_prediction(predictor(network()), volume, output, uncertainty=True).run()
    with pytest.raises(InputError, match="no temperature was selected"):
        block_prediction(predictor(network()), volume, output, calibrated=True).run()
    assert not output.exists()


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_finishes_goes_on(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, output = networks_for(ALL_OUTPUTS), tmp_path / "p.zarr"
    block_prediction(networks, volume, tmp_path / "whole.zarr", **ALL_OUTPUTS).run()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", lambda _: sys.exit("killed"))
        with pytest.raises(SystemExit):
            block_prediction(networks, volume, output, **ALL_OUTPUTS).run()

    block_prediction(networks, volume, output, **ALL_OUTPUTS).run()

    assert shard_bytes(output) == shard_bytes(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_a_chain_runs_over_all_blocks(volume: Path, tmp_path: Path) -> None:
    targets = network().config.labels.targets
    chain: Chain = (RemoveSmall(name="remove_small", voxels=60),)
    networks = predictor(network(), mask=MaskSettings.alike(targets, 0.5, chain))

    block_prediction(networks, volume, tmp_path / "p.zarr").run()

    expected = networks.segment(np.load(volume))
    plain = predictor(network()).segment(np.load(volume))
    assert np.array_equal(read(tmp_path / "p.zarr").array, expected)
    assert not np.array_equal(plain, expected)
    assert not (tmp_path / "p.zarr/probabilities").exists()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [{"keep_probabilities": True}, ALL_OUTPUTS])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    chosen: dict[str, bool], volume: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    networks = networks_for(chosen)
    block_prediction(networks, volume, whole, **chosen).run()

    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(volume), str(killed), json.dumps(chosen)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    finished = list((killed / ".vesuv/blocks").iterdir())
    assert len(finished) == 4
    with pytest.raises(InputError, match="no `multiscales`"), pytest.warns(UserWarning):
        read(killed)

    lines: list[str] = []
    block_prediction(networks, volume, killed, lines.append, **chosen).run()

    assert "4 of 36 blocks were predicted before" in lines
    assert shard_bytes(killed) == shard_bytes(whole)
    assert Journal.of(killed).is_finished


@pytest.mark.slow
def test_a_block_whose_file_has_changed_is_predicted_again(volume: Path, tmp_path: Path) -> None:
    output, lines = tmp_path / "p.zarr", []
    networks = predictor(network())
    block_prediction(networks, volume, output, part=Part(1, 2)).run()
    name = sorted((output / ".vesuv/blocks").iterdir())[-1].name.removesuffix(".json")
    shard = output.joinpath("0", "c", *name.split("."))
    before = shard.read_bytes()
    shard.write_bytes(before[:-1])

    block_prediction(networks, volume, output, lines.append, part=Part(1, 2)).run()

    assert f"block {name}: its files have changed since; predicted again" in lines
    assert shard.read_bytes() == before


def test_progress_counts_windows_to_the_last(volume: Path, tmp_path: Path) -> None:
    shown: list[tuple[str, int, int]] = []

    @contextmanager
    def show(title: str, unit: str) -> Iterator[Progress]:
        yield lambda done, total: shown.append((unit, done, total))

    prediction = block_prediction(predictor(network()), volume, tmp_path / "p.zarr")
    replace(prediction, show_progress=show).run()

    windows = [(done, total) for unit, done, total in shown if unit == "windows"]
    record = json.loads((tmp_path / "p.zarr/provenance.json").read_text())["windows"]
    assert windows[-1] == (sum(record.values()),) * 2
    assert [done for done, _ in windows] == sorted({done for done, _ in windows})


@pytest.mark.slow
def test_parts_together_give_the_bytes_of_one_run(volume: Path, tmp_path: Path) -> None:
    networks, lines = predictor(network()), []
    block_prediction(networks, volume, tmp_path / "one.zarr").run()

    for number in (3, 1, 2):
        part = Part(number, 3)
        block_prediction(networks, volume, tmp_path / "p.zarr", lines.append, part=part).run()

    assert sum("belong to parts that are not finished" in line for line in lines) == 2
    assert shard_bytes(tmp_path / "p.zarr") == shard_bytes(tmp_path / "one.zarr")


def test_the_part_that_finishes_checks_the_blocks_of_the_others(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", smooth_image((32, 16, 16)))
    networks, output, lines = predictor(network(patch_size=(16, 16, 16))), tmp_path / "p.zarr", []
    for number in (1, 2):
        part = Part(number, 2)
        block_prediction(networks, tmp_path / "a.npy", output, lines.append, part=part).run()
        (output / "0/c/0/0/0").unlink(missing_ok=True)  # of part 1

    assert "block 0.0.0: its files have changed since; predicted again" in lines
    assert lines[-1].startswith("1 of 2 blocks belong to parts that are not finished")
    assert not Journal.of(output).is_finished


def test_a_block_size_does_not_change_the_mask(volume: Path, tmp_path: Path) -> None:
    networks = predictor(network(spacing=(1.5, 1.0, 0.8)))
    for edge in (16, 48):
        block_prediction(networks, volume, tmp_path / f"{edge}.zarr", block_size=edge).run()

    masks = [read(tmp_path / f"{edge}.zarr").array for edge in (16, 48)]
    assert np.array_equal(*masks)


@pytest.mark.slow
def test_another_prediction_is_not_continued(volume: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.zarr"
    block_prediction(predictor(network()), volume, output).run()

    with pytest.raises(InputError, match=r"predicted with blocks.size 16, now 32"):
        block_prediction(predictor(network()), volume, output, block_size=32).run()
    np.save(volume, smooth_image((40, 37, 50), seed=5))
    with pytest.raises(InputError, match=r"input.files .*--overwrite"):
        block_prediction(predictor(network()), volume, output).run()
    block_prediction(predictor(network()), volume, output, overwrite=True).run()
    assert np.array_equal(read(output).array, predictor(network()).segment(np.load(volume)))


def test_a_file_that_was_replaced_by_one_of_equal_ends_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, output, networks = tmp_path / "a.npy", tmp_path / "p.zarr", predictor(network())
    monkeypatch.setattr("vesuv.inference.blocks.source._HEAD_BYTES", 200)
    image = np.pad(smooth_image((8, 12, 12)), [(2, 2), (0, 0), (0, 0)])  # air at both ends
    np.save(file, image)
    Journal.of(output).start(block_prediction(networks, file, output).check())
    np.save(file, image[::-1])

    with pytest.raises(InputError, match=r"predicted with input.voxels .*--overwrite"):
        block_prediction(networks, file, output).check()


def test_parts_that_start_together_with_other_settings_are_refused(
    volume: Path, tmp_path: Path
) -> None:
    networks, output = predictor(network()), tmp_path / "p.zarr"
    late = block_prediction(networks, volume, output, block_size=32, part=Part(2, 2))
    job = late.check()  # nothing is there yet
    Journal.of(output).start(block_prediction(networks, volume, output).check())

    with pytest.raises(InputError, match=r"predicted with blocks.size 16, now 32"):
        late._start(Journal.of(output), job)


def test_a_run_that_is_stopped_while_it_compiles_has_begun_nothing(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = block_prediction(predictor(network()), volume, tmp_path / "p.zarr")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockPrediction, "_choose_compile", stop)

    with pytest.raises(KeyboardInterrupt):
        prediction.run()
    prediction.check()


def test_a_store_that_was_replaced_under_its_name_is_not_continued(tmp_path: Path) -> None:
    store, output, networks = tmp_path / "a.zarr", tmp_path / "p.zarr", predictor(network())
    image = smooth_image((12, 12, 12))

    def check(image: Array, chunk: int) -> dict[str, Any]:
        zarr.create_array(str(store), data=image, chunks=(chunk,) * 3, overwrite=True)
        return block_prediction(networks, store, output).check()

    job = check(image, 6)
    Journal.of(output).start(job)
    assert check(image, 4) == job  # copied or repaired
    with pytest.raises(InputError, match=r"predicted with input.voxels .*--overwrite"):
        check(image[::-1], 6)
    del job["input"]["voxels"]  # as former versions wrote it
    Journal.of(output).start(job)
    check(image, 6)


def test_outputs_that_are_something_else_are_not_touched(volume: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.zarr").mkdir()
    (tmp_path / "notes.zarr/thesis.txt").write_text("x")
    networks = predictor(network())

    with pytest.raises(InputError, match="is no unfinished prediction"):
        block_prediction(networks, volume, tmp_path / "notes.zarr").run()
    with pytest.raises(InputError, match="is no Zarr folder"):
        block_prediction(networks, volume, tmp_path / "notes.zarr", overwrite=True).run()
    with pytest.raises(InputError, match="holds the input"):
        block_prediction(networks, volume, tmp_path, overwrite=True).run()
    with pytest.raises(InputError, match="--part: parts of one output never replace it"):
        output = tmp_path / "p.zarr"
        block_prediction(networks, volume, output, overwrite=True, part=Part(1, 2)).run()


def test_inputs_that_cannot_be_used_are_sentences(tmp_path: Path) -> None:
    networks = predictor(network(channels=2))
    np.save(tmp_path / "a.npy", smooth_image((9, 9, 9)))
    np.save(tmp_path / "nan.npy", np.full((2, 9, 9, 9), np.nan, np.float32))
    np.save(tmp_path / "int64.npy", np.full((2, 9, 9, 9), 2**40))

    with pytest.raises(InputError, match="trained on 2 channels, found 1"):
        block_prediction(networks, tmp_path / "a.npy", tmp_path / "p.zarr").run()
    with pytest.raises(InputError, match=r"nan.npy: an image holds finite values, found NaN"):
        block_prediction(networks, tmp_path / "nan.npy", tmp_path / "p.zarr").run()
    with pytest.raises(InputError, match=r"int64.npy: 8-byte integers .* fit into int32"):
        block_prediction(networks, tmp_path / "int64.npy", tmp_path / "q.zarr").run()


def test_8_byte_integers_that_fit_into_4_bytes_are_predicted(tmp_path: Path) -> None:
    image = smooth_image((40, 20, 20)).astype(np.int64) - 70_000
    np.save(tmp_path / "a.npy", image)
    networks = predictor(network(spacing=(1.0, 1.3, 0.9)))

    block_prediction(networks, tmp_path / "a.npy", tmp_path / "p.zarr").run()

    assert np.array_equal(read(tmp_path / "p.zarr").array, networks.segment(image))


def test_a_volume_that_becomes_unreadable_midway_is_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", smooth_image((40, 20, 20)))
    networks, output = predictor(network()), tmp_path / "p.zarr"
    block_prediction(networks, tmp_path / "a.npy", output, part=Part(1, 12)).run()
    prediction = block_prediction(networks, tmp_path / "a.npy", output)
    assert prediction.input.volume.shape == (40, 20, 20)  # opened
    job = prediction.check()
    content = (tmp_path / "a.npy").read_bytes()
    work = prediction._work(prediction._start(Journal.of(output), job))
    (tmp_path / "a.npy").write_bytes(content[: len(content) // 2])

    with pytest.raises(InputError, match=r"voxels of block .* cannot be read .*it goes on"):
        prediction._predict_missing(work, Journal.of(output))
    (tmp_path / "a.npy").write_bytes(content)
    block_prediction(networks, tmp_path / "a.npy", output).run()
    assert Journal.of(output).is_finished


def test_a_damaged_chunk_is_a_sentence_whatever_its_codec_raises(tmp_path: Path) -> None:
    image, codec = smooth_image((12, 12, 12)), zarr.codecs.ZstdCodec()
    zarr.create_array(str(tmp_path / "a.zarr"), data=image, chunks=(6, 6, 6), compressors=codec)
    prediction = block_prediction(predictor(network()), tmp_path / "a.zarr", tmp_path / "p.zarr")
    work = prediction._work(prediction.input.measure("full"))
    chunk = tmp_path / "a.zarr/c/0/0/1"
    chunk.write_bytes(chunk.read_bytes()[:20])

    with pytest.raises(InputError, match=r"a\.zarr: its voxels cannot be read \(Zstd .*copy it"):
        prediction.input.measure("full")
    with pytest.raises(InputError, match=r"block 0\.0\.0 cannot be read \(Zstd .*it goes on$"):
        work.read(prediction.plan.blocks[0])


def test_plans_are_checked() -> None:
    assert BlockPlan.of((9, 9, 9), 512) == BlockPlan((9, 9, 9), 512, 256, 64)
    assert BlockPlan.of((9, 9, 9), 96) == BlockPlan((9, 9, 9), 96, 96, 48)
    with pytest.raises(InputError, match="--block-size: must be a multiple of 16, found 100"):
        BlockPlan.of((9, 9, 9), 100)
    for text in ("0/3", "4/3", "1", "a/b", "-1/2"):
        with pytest.raises(InputError, match="--part: must be i/n"):
            Part.parse(text)
    assert Part.parse("2/3").of(BlockPlan.of((48, 16, 16), 16).blocks)[0].position == (1, 0, 0)
