import pytest

from tests.cli.conftest import Refused


def test_memory_that_runs_out_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 by")

    monkeypatch.setattr("vesuv.cli.train.load_config", fail)

    assert refused("train", "--config", "a.yaml", "--fold", "0") == (
        "error: train: the memory of this computer or its GPU is used up; go on with --resume and "
        "a higher runtime.accumulate or runtime.recompute_levels, or lower sampling.batch_size or "
        "sampling.patch_size for a new run\n"
    )
