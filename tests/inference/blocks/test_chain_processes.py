"""Post-processing of a prediction in blocks, by several processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.inference.blocks.conftest import block_prediction, network, predictor
from vesuv.config.postprocess import Chain
from vesuv.inference.masks import MaskSettings
from vesuv.inference.postprocess.components import RemoveSmall
from vesuv.io.formats import read
from vesuv.runtime.pool import ProcessPool


@pytest.mark.slow
def test_processes_give_the_mask_of_the_whole_volume(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vesuv.inference.blocks.postprocessing.ProcessPool", partial(ProcessPool, 2)
    )
    targets = network().config.labels.targets
    chain: Chain = (RemoveSmall(name="remove_small", voxels=60),)
    networks = predictor(network(), mask=MaskSettings.alike(targets, 0.5, chain))

    block_prediction(networks, volume, tmp_path / "p.zarr").run()

    assert np.array_equal(read(tmp_path / "p.zarr").array, networks.segment(np.load(volume)))
