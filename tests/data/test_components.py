import numpy as np
import pytest

from vesuv.data.components import label_components


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 7), (7, 1, 1), (1, 7, 7), (3, 3, 3), (5, 5, 5), (1, 65, 65)]
)
def test_as_many_components_as_can_be_are_labelled(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[::2, ::2, ::2] = True

    labels, num = label_components(mask, 26)

    assert labels.shape == shape
    assert labels[mask].tolist() == list(range(1, num + 1))
    assert num == mask.sum()
