from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.blocks.conftest import network, predictor
from vesuv.config import Config
from vesuv.data.case import Case
from vesuv.data.preparation import prepare_in_memory
from vesuv.errors import InputError
from vesuv.inference.case_memory import whole_case_bytes


def prepared(config: Config):
    image = np.zeros((8, 10, 12), np.uint8)
    (case,) = prepare_in_memory([Case("a", image, image % 2)], config)
    return case


def test_bytes_count_the_image_and_the_probabilities_of_all_networks() -> None:
    case = prepared(network().config)

    # 960 voxels: one normalised channel, two networks and their mean, label and mask
    assert whole_case_bytes(case, 1, 2) == 960 * 4 * (1 + 3) + 960 * 3
    assert whole_case_bytes(case, 3, 1) == 960 * 4 * (1 + 6) + 960 * 3


def test_a_resampled_case_takes_the_probabilities_on_both_grids() -> None:
    case = prepared(network(spacing=(2.0, 1.0, 1.0)).config)

    assert case.shape == (4, 10, 12)
    assert whole_case_bytes(case, 1, 1) == 480 * 4 * 3 + 960 * 4 + 960 * 3


def test_a_case_that_takes_too_much_is_refused_before_it_is_predicted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    networks = predictor(network())
    case = prepared(networks.networks[0].config)
    needed = whole_case_bytes(case, 1, 1)

    monkeypatch.setattr("vesuv.inference.case_memory.memory_limit", lambda: needed)
    assert networks.predict_case(case).shape == (1, 8, 10, 12)
    monkeypatch.setattr("vesuv.inference.case_memory.memory_limit", lambda: needed - 1)
    with pytest.raises(InputError, match=r"^case a: judging the whole case takes .* data\.parts"):
        networks.predict_case(case)
