from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.inference.views import View, ViewMean, enumerate_views

CPU = torch.device("cpu")
ONE = (1.0, 1.0, 1.0)


def _batch(*shape: int) -> Tensor:
    return torch.arange(np.prod(shape), dtype=torch.float32).reshape(shape)


@pytest.mark.parametrize(
    ("kind", "patch_size", "spacing", "count"),
    [
        ("none", (8, 8, 8), ONE, 1),
        ("mirror", (8, 8, 8), ONE, 8),
        ("all", (8, 8, 8), ONE, 48),
        ("all", (4, 8, 8), ONE, 16),
        ("all", (8, 8, 8), (2.5, 1.0, 1.0), 16),
        ("all", (4, 8, 8), (1.0, 1.0, 2.5), 8),
        ("all", (4, 6, 8), ONE, 8),
    ],
)
def test_axes_are_exchanged_where_edges_and_spacing_are_equal(
    kind, patch_size, spacing, count: int
) -> None:
    views = enumerate_views(kind, patch_size, spacing)

    assert len(set(views)) == len(views) == count
    assert views[0] == View((0, 1, 2), ())
    assert {view.order for view in views} <= set(itertools.permutations(range(3)))


def test_all_views_of_a_cube_are_its_48_symmetries() -> None:
    # NumPy's own turns and flips generate the same 48 arrays
    cube = np.arange(27.0).reshape(3, 3, 3)
    expected = {
        np.flip(cube.transpose(order), axes).tobytes()
        for order in itertools.permutations(range(3))
        for axes in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    }

    batch = torch.from_numpy(cube)[None, None]
    seen = {
        view.apply(batch).contiguous().numpy().tobytes()
        for view in enumerate_views("all", (3, 3, 3), ONE)
    }

    assert len(expected) == 48
    assert seen == expected


def test_a_view_exchanges_axes_and_then_reverses_them() -> None:
    batch = _batch(1, 1, 2, 3, 4)

    seen = View((2, 0, 1), (0,)).apply(batch)

    assert seen.shape == (1, 1, 4, 2, 3)
    # voxel (z, y, x) of the view is x' = 3 - z, z' = y, y' = x of the window
    assert seen[0, 0, 3, 1, 2] == batch[0, 0, 1, 2, 0]
    assert seen[0, 0, 0, 0, 1] == batch[0, 0, 0, 1, 3]


def test_undoing_a_view_gives_the_window_back() -> None:
    batch = _batch(2, 3, 4, 4, 4)

    for view in enumerate_views("all", (4, 4, 4), ONE):
        assert torch.equal(view.undo(view.apply(batch)), batch), view


def test_the_mean_turns_each_prediction_back_before_it_is_averaged() -> None:
    # a network that answers with the first voxel of what it sees, there, and 0 elsewhere: each
    # corner of the window then gets the mean share of the views that bring it to the first place
    images = _batch(1, 1, 2, 2, 2)

    def first_voxel(batch: Tensor) -> Tensor:
        answer = torch.zeros_like(batch)
        answer[:, :, 0, 0, 0] = batch[:, :, 0, 0, 0]
        return answer

    mirrored = ViewMean(enumerate_views("mirror", (2, 2, 2), ONE), CPU)(first_voxel, images)
    turned = ViewMean(enumerate_views("all", (2, 2, 2), ONE), CPU)(first_voxel, images)

    assert torch.equal(mirrored, images / 8)
    assert torch.allclose(turned, images / 8)


def test_views_of_one_forward_pass_are_summed_as_views_of_several() -> None:
    images = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    mean = ViewMean(enumerate_views("all", (4, 4, 4), ONE), CPU)
    mean.in_one_pass = 1
    sizes = []

    def predict(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return batch * torch.linspace(0.0, 1.0, 64).reshape(4, 4, 4)

    one_by_one = mean(predict, images)
    mean.in_one_pass = 20
    together = mean(predict, images)

    assert sizes == [2] * 48 + [40, 40, 16]
    assert torch.equal(one_by_one, together)


@pytest.mark.parametrize(
    ("kind", "edge", "num_windows", "sizes"),
    [
        ("none", 4, 1, [1]),
        ("mirror", 4, 1, [1] * 8),  # bits as of predictions before views shared a pass
        ("all", 4, 1, [8] * 6),
        ("all", 64, 1, [8] * 6),
        ("all", 64, 3, [6] * 24),
        ("all", 96, 1, [2] * 24),
        ("all", 128, 2, [2] * 48),
    ],
)
def test_small_windows_share_a_pass_on_a_cpu(kind, edge, num_windows, sizes) -> None:
    seen = []

    def predict(batch: Tensor) -> Tensor:
        seen.append(len(batch))
        return batch

    views = enumerate_views(kind, (edge,) * 3, ONE)
    images = torch.zeros(1, 1, 1, 1, 1).expand(num_windows, 1, edge, edge, edge)
    ViewMean(views, CPU)(predict, images)

    assert seen == sizes


def test_fewer_views_share_a_pass_when_memory_does_not_suffice() -> None:
    images = _batch(1, 1, 2, 2, 2)
    mean = ViewMean(enumerate_views("mirror", (2, 2, 2), ONE), torch.device("cuda"))
    sizes = []

    def predict(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return batch

    assert torch.allclose(mean(predict, images), images)
    assert sizes == [8, 4, 2, 2, 2, 2]
    mean(predict, images)
    assert sizes[6:] == [2, 2, 2, 2]


def test_a_single_view_that_does_not_fit_ends_the_prediction() -> None:
    def predict(batch: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError, match="full"):
        ViewMean([View()], CPU)(predict, _batch(1, 1, 2, 2, 2))


@pytest.mark.parametrize(("kind", "count"), [("none", 1), ("mirror", 4), ("all", 8)])
def test_a_flat_window_is_not_flipped_along_its_single_voxel(kind, count) -> None:
    views = enumerate_views(kind, (1, 4, 4), ONE)

    assert len(views) == count
    assert len({view.apply(_batch(1, 1, 1, 4, 4)).numpy().tobytes() for view in views}) == count
