import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from vesuv.config import Config, check
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.runs.checkpoints import (
    load_weights,
    previous_path,
    read_checkpoint,
    read_newest,
    stored_epoch,
    write_checkpoint,
)
from vesuv.runs.records import NormalizerRecord

CONFIG: Config = check(
    {
        "name": "tiny",
        "data": {"root": "nowhere"},
        "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
        "sampling": {"patch_size": [8, 8, 8]},
        "model": {"name": "plain_unet", "filters": 2, "depth": 1},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    },
    "test",
)


def write(path: Path, epoch: int = 3) -> torch.nn.Module:
    network = build_model(CONFIG.model)
    write_checkpoint(
        path,
        model=network.state_dict(),
        config=CONFIG,
        normalizer=NormalizerRecord(name="zscore"),
        epoch=epoch,
        measure=0.5,
        keep_previous=True,
    )
    return network.eval()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    network = write(tmp_path / "a.pt")

    checkpoint = read_checkpoint(tmp_path / "a.pt")

    assert (checkpoint.config, checkpoint.epoch, checkpoint.measure) == (CONFIG, 3, 0.5)
    assert checkpoint.normalizer == NormalizerRecord(name="zscore")
    restored = build_model(CONFIG.model)
    load_weights(restored, checkpoint)
    image = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(restored.eval()(image), network(image))


def test_it_opens_without_running_code_and_holds_the_weights_under_model(tmp_path: Path) -> None:
    network = write(tmp_path / "a.pt")

    content = torch.load(tmp_path / "a.pt", weights_only=True)

    assert content["model"].keys() == network.state_dict().keys()


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.pt")

    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.pt: no such checkpoint"):
        read_checkpoint(tmp_path / "no.pt")


@pytest.mark.parametrize("kept", [0, 10, 2000])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, kept: int) -> None:
    write(path := tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(InputError, match=r"a\.pt: damaged or no checkpoint"):
        read_checkpoint(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"version": 99}, tmp_path / "a.pt")

    with pytest.raises(InputError, match="checkpoint version must be 1 to 2, found 99"):
        read_checkpoint(tmp_path / "a.pt")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.pt")
    checkpoint = read_checkpoint(tmp_path / "a.pt")
    checkpoint.model.popitem()

    with pytest.raises(InputError, match=r"a\.pt: its weights do not fit model\.name=plain_unet"):
        load_weights(build_model(CONFIG.model), checkpoint)


class _Hostile:
    def __reduce__(self):
        return (open, ("owned", "w"))


def test_a_hostile_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"version": 1, "model": _Hostile()}, "a.pt")

    with pytest.raises(InputError, match="damaged or no checkpoint"):
        read_checkpoint(Path("a.pt"))

    assert not Path("owned").exists()


@pytest.mark.timeout(20)
def test_lists_that_are_shared_a_thousandfold_are_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write(path)
    content = torch.load(path, weights_only=True)
    nested: list[object] = [1.0]
    for _ in range(60):
        nested = [nested, nested]
    torch.save(content | {"training": {"optimizer": nested}}, path)

    assert read_checkpoint(path).training is not None


def test_no_flipped_bit_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write(path)
    whole, kept = path.read_bytes(), read_checkpoint(path)
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(whole), 400):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            found = read_checkpoint(path)
        except InputError:
            refused += 1
            continue
        # A bit of the archive's padding or dates: what was saved is what is read.
        assert found.config == kept.config and found.epoch == kept.epoch
        assert all(torch.equal(found.model[name], kept.model[name]) for name in kept.model)
    assert refused > 200


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_the_checkpoint_before_a_truncated_one_is_used(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.pt"
    for epoch in (1, 2):
        write(path, epoch)
    whole = path.read_bytes()
    assert read_newest(path)[0].epoch == 2 and read_newest(path)[1] is None

    path.write_bytes(whole[: int(share * len(whole))])
    checkpoint, fault = read_newest(path)

    assert checkpoint.epoch == 1
    assert fault is not None and "damaged or no checkpoint" in fault


def test_without_one_before_it_the_fault_of_the_newest_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    write(path)
    path.write_bytes(b"no")

    with pytest.raises(InputError, match=r"last\.pt: damaged or no checkpoint"):
        read_newest(path)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    write(path, 1)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        InputError, match=r"last\.pt: cannot be written \(No space left on device\)"
    ):
        write(path, 2)

    assert read_checkpoint(path).epoch == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
    assert not previous_path(path).exists()


def test_the_epoch_of_a_file_is_read_after_the_checks_of_every_checkpoint(tmp_path: Path) -> None:
    write(tmp_path / "best.pt", epoch=5)
    torch.save({"epoch": 5, "more": Counter("a")}, tmp_path / "more.pt")  # torch would read it

    assert stored_epoch(tmp_path / "best.pt") == 5
    assert stored_epoch(tmp_path / "more.pt") is None
    assert stored_epoch(tmp_path / "missing.pt") is None
