from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.config import check
from vesuv.config.labels import Targets
from vesuv.config.loss import ALL_LOSSES, read_losses
from vesuv.errors import InputErrors
from vesuv.losses import SignedDistance, build_losses, deep_supervision, num_distances
from vesuv.losses.compound import Compound
from vesuv.losses.distance import face_distance
from vesuv.losses.prediction import Prediction

NO_IGNORE = 255


def prediction(label: Tensor, outputs: Tensor, valid: Tensor | None = None) -> Prediction:
    """One batch; the logits take no part."""
    logits = torch.zeros((len(label), 1, *label.shape[1:]))
    if outputs.shape[1] > 1:
        logits = torch.zeros((len(label), outputs.shape[1] + 1, *label.shape[1:]))
    valid = torch.ones_like(label, dtype=torch.bool) if valid is None else valid
    return Prediction(logits, label, valid, distances=outputs)


def line(values: list[int]) -> Tensor:
    """A patch that is long along x and of one voxel along z and y."""
    return torch.tensor(values, dtype=torch.uint8).reshape(1, 1, 1, -1)


def phi_and_known(loss: SignedDistance, label: Tensor, valid: Tensor | None = None) -> list[Tensor]:
    one = prediction(label, torch.zeros((1, 1, *label.shape[1:])), valid)
    return [part[0, 0, 0, 0] for part in loss.targets(one.target, one.valid)]


def test_distances_of_a_sheet_are_those_of_its_faces() -> None:
    label = line([0, 0, 0, 1, 1, 0, 0, 0, 0])

    phi, known = phi_and_known(SignedDistance(radius=2.0), label)

    # centres lie 2.5, 1.5, 0.5 voxels before the sheet, half a voxel inside, then again outside
    assert phi.tolist() == [1.0, 0.75, 0.25, -0.25, -0.25, 0.25, 0.75, 1.0, 1.0]
    # beyond the patch, half a voxel from its first and last voxel, there may be another sheet
    assert known.tolist() == [False, True, True, True, True, True, True, False, False]


def test_distances_are_euclidean_and_physical() -> None:
    label = torch.zeros((1, 7, 7, 7), dtype=torch.uint8)
    label[0, 3, 3, 3] = 1

    phi, _ = SignedDistance(radius=10.0, spacing=(4.0, 2.0, 2.0)).targets(
        label[:, None] == 1, torch.ones((1, 1, 7, 7, 7), dtype=torch.bool)
    )

    # in edges of the finest axis: (2, 1, 1). One voxel along z is 1 edge from the face, two along y
    # 1.5, and three along x 2.5; the box is half an edge thick, so the centre inside is 0.5 away
    assert phi[0, 0, 3, 3, 3].item() == pytest.approx(-0.05)
    assert phi[0, 0, 2, 3, 3].item() == pytest.approx(0.1)
    assert phi[0, 0, 3, 1, 3].item() == pytest.approx(0.15)
    assert phi[0, 0, 1, 1, 0].item() == pytest.approx(math.sqrt(3.0**2 + 1.5**2 + 2.5**2) / 10)


def test_distances_to_faces_are_those_of_a_search_over_all_voxels() -> None:
    generator = torch.Generator().manual_seed(0)
    sites = torch.rand((1, 6, 7, 8), generator=generator) < 0.03
    edges, reach = (1.5, 1.0, 2.0), 4.0

    distance = face_distance(sites, edges, reach)[0].numpy()

    places = np.argwhere(sites[0].numpy())
    for voxel in np.ndindex(6, 7, 8):
        gaps = np.maximum(np.abs(places - voxel) - 0.5, 0.0) * edges
        nearest = np.sqrt((gaps**2).sum(axis=1)).min()
        assert distance[voxel] == pytest.approx(min(nearest, reach), abs=1e-5)


def test_voxels_nearer_to_ignored_ones_than_to_the_boundary_do_not_count() -> None:
    label = line([1, 1, 0, 0, 0, 0, NO_IGNORE, NO_IGNORE, 0, 0, 0, 0])
    valid = label != NO_IGNORE

    phi, known = phi_and_known(SignedDistance(radius=3.0), label, valid)

    # 1.5 voxels outside the sheet is as far from the boundary as 2.5 from the ignored voxels;
    # 2.5 and 3.5 voxels outside are 1.5 and 0.5 from these, the last four see no boundary
    assert known.tolist() == [False, True, True, True, *[False] * 8]
    assert phi[1:4].tolist() == pytest.approx([-1 / 6, 1 / 6, 0.5])


def test_the_value_under_ignored_voxels_changes_neither_loss_nor_gradient() -> None:
    label = line([0, 0, 1, 1, 0, 0, 0, 0, 1, 1])
    valid = torch.arange(10).reshape(1, 1, 1, -1) < 7
    outputs = torch.linspace(-1, 1, 10).reshape(1, 1, 1, 1, -1)
    results = []
    for fill in (0, 1):
        changed, values = label.clone(), outputs.clone()
        changed[~valid] = fill
        values[..., 7:] = 7.0 * fill
        values.requires_grad_()
        value = SignedDistance().of(prediction(changed, values, valid))
        value.backward()
        results.append((value.detach(), values.grad))

    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])  # type: ignore[arg-type]
    assert not results[0][1][..., 7:].any()  # type: ignore[index]


@pytest.mark.parametrize(("form", "expected"), [("l1", 0.25), ("l2", 0.0625)])
def test_the_value_is_the_mean_error_of_the_counted_voxels(form: str, expected: float) -> None:
    label = line([0, 0, 1, 1, 0, 0])

    loss = SignedDistance(form=form, radius=2.0)
    value = loss.of(prediction(label, torch.zeros((1, 1, 1, 1, 6))))

    # counted are 2 voxels inside (phi -0.25) and those half a voxel outside (0.25); the others,
    # 1.5 voxels outside, are half a voxel from the end of the patch
    assert value.item() == pytest.approx(expected)


def test_exact_outputs_score_zero_and_the_sign_matters() -> None:
    label = line([0, 0, 0, 1, 1, 0, 0, 0])
    phi, _ = SignedDistance().targets(label[:, None] == 1, torch.ones(1, 1, 1, 1, 8) > 0)

    exact = SignedDistance().of(prediction(label, torch.atanh(phi)))
    inverted = SignedDistance().of(prediction(label, torch.atanh(-phi)))

    assert exact.item() == pytest.approx(0.0, abs=1e-6)
    assert inverted.item() > 0.2


def test_each_class_has_a_distance_of_its_own() -> None:
    label = line([0, 0, 1, 1, 2, 2, 0, 0])
    outputs = torch.zeros((1, 2, 1, 1, 8))
    one = prediction(label, outputs)

    phi, _ = SignedDistance(radius=2.0).targets(one.target, one.valid)

    assert phi[0, 0, 0, 0].tolist() == [0.75, 0.25, -0.25, -0.25, 0.25, 0.75, 1.0, 1.0]
    assert phi[0, 1, 0, 0].tolist() == [1.0, 1.0, 0.75, 0.25, -0.25, -0.25, 0.25, 0.75]


@pytest.mark.parametrize("form", ["l1", "l2"])
def test_the_gradient_is_that_of_the_value(form: str) -> None:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (2, 5, 6, 7), generator=generator)
    valid = torch.rand((2, 5, 6, 7), generator=generator) < 0.9
    outputs = torch.randn((2, 2, 5, 6, 7), generator=generator, dtype=torch.float64)
    loss = SignedDistance(form=form, spacing=(2.0, 1.0, 1.0))

    assert torch.autograd.gradcheck(
        lambda x: loss.of(prediction(label, x, valid)), (outputs.requires_grad_(),), fast_mode=True
    )


@pytest.mark.parametrize("fill", [0, 1, None])
def test_patches_of_one_class_or_of_ignored_voxels_are_finite(fill: int | None) -> None:
    label = torch.full((1, 6, 6, 6), fill or 0)
    valid = torch.full((1, 6, 6, 6), fill is not None)
    outputs = torch.full((1, 1, 6, 6, 6), 50.0, requires_grad=True)

    value = SignedDistance(radius=2.0).of(prediction(label, outputs, valid))
    value.backward()

    # 2³ voxels are as far as R from the end of the patch: phi 1 outside, -1 inside, tanh(50) is 1
    assert value.item() == pytest.approx({0: 0.0, 1: 2.0, None: 0.0}[fill])
    assert torch.isfinite(outputs.grad).all()  # type: ignore[arg-type]


def test_sums_run_in_float32_of_bfloat16_outputs() -> None:
    label = line([0, 0, 1, 1, 0, 0])

    value = SignedDistance().of(prediction(label, torch.zeros(1, 1, 1, 1, 6).bfloat16()))

    assert value.dtype == torch.float32


def test_the_written_spacing_comes_before_that_of_the_data() -> None:
    assert SignedDistance().with_spacing((3.0, 1.0, 1.0)).spacing == (3.0, 1.0, 1.0)
    written = SignedDistance(spacing=(2.0, 1.0, 1.0))
    assert written.with_spacing((3.0, 1.0, 1.0)).spacing == (2.0, 1.0, 1.0)
    losses = build_losses(ALL_LOSSES(), ["dice", "signed_distance"], (5.0, 1.0, 1.0))
    assert losses["signed_distance"].spacing == (5.0, 1.0, 1.0)  # type: ignore[attr-defined]


def test_channels_behind_the_logits_are_distances() -> None:
    label = line([0, 0, 1, 1, 0, 0])
    compound = Compound(build_losses(ALL_LOSSES(), ["dice", "signed_distance"]), num_logits=1)
    output = torch.zeros((1, 2, 1, 1, 6), requires_grad=True)

    total, terms = compound(output, label, label < 2, {"dice": 1.0, "signed_distance": 0.5})
    total.backward()

    alone = SignedDistance().of(prediction(label, torch.zeros((1, 1, 1, 1, 6))))
    assert terms["signed_distance"] == alone
    assert total.item() == pytest.approx(terms["dice"].item() + 0.5 * alone.item())
    assert output.grad is not None
    assert output.grad[:, 0].any()
    assert output.grad[:, 1].any()
    # validation has the logits alone
    assert list(compound.components(output[:, :1].detach(), label, label < 2)) == ["dice"]


def test_only_the_finest_scale_of_deep_supervision_has_distances() -> None:
    label = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    label[:, 1:3] = 1
    compound = Compound(build_losses(ALL_LOSSES(), ["dice", "signed_distance"]), num_logits=1)
    scales = [torch.zeros((1, 2, 4, 4, 4)), torch.zeros((1, 1, 2, 2, 2))]
    weights = {"dice": 1.0, "signed_distance": 1.0}

    total, terms = deep_supervision(compound, scales, label, label < 2, weights)

    fine, _ = compound(scales[0], label, label < 2, weights)
    coarse, _ = compound(
        scales[1], torch.ones((1, 2, 2, 2)), torch.ones((1, 2, 2, 2)) > 0, {"dice": 1.0}
    )
    assert total.item() == pytest.approx((2 * fine.item() + coarse.item()) / 3)
    assert set(terms) == {"dice", "signed_distance"}


def test_there_is_one_output_for_each_foreground_class_where_the_loss_is_named() -> None:
    targets = Targets.of_classes(("background", "a", "b"))
    section = read_losses({})

    assert num_distances(section, ["dice", "signed_distance"], targets) == 2
    assert num_distances(section, ["dice"], targets) == 0


def test_a_phase_without_a_loss_of_the_mask_is_refused() -> None:
    tree = {
        "name": "x",
        "data": {"root": "x"},
        "labels": {"classes": {"background": 0, "sheet": 1}},
        "phases": [{"epochs": [0, None], "weights": {"signed_distance": 1.0, "dice": 0.0}}],
    }

    with pytest.raises(InputErrors, match="needs a loss of the mask beside signed_distance"):
        check(tree, "x")
