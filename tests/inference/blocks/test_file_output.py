"""Files of a volume that is predicted in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.blocks.conftest import block_prediction, network, predictor
from vesuv.inference.blocks.file_output import predict_to_files


@pytest.mark.slow
def test_calibrated_probabilities_and_uncertainty_are_those_of_the_whole_volume(
    volume: Path, tmp_path: Path
) -> None:
    networks, image = predictor(network(), network(1)), np.load(volume)
    networks.temperatures = (1.7,)
    files = [tmp_path / f"{name}.npy" for name in ("mask", "probabilities", "uncertainty")]
    chosen = {"keep_probabilities": True, "uncertainty": True}

    prediction = block_prediction(networks, volume, tmp_path / "b.zarr", **chosen)
    predict_to_files(prediction, files, calibrated=True)

    mask, probs, bits = map(np.load, files)
    assert np.array_equal(mask, networks.segment(image))
    assert np.allclose(probs, networks.predict(image, calibrated=True)[0], atol=1e-6)
    assert np.abs(bits - networks.uncertainty(image)).max() <= 0.5001 / 255
    assert not (tmp_path / "b.zarr").exists()
