"""Assignment against all permutations, and losses by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.curves.config import CurveLossConfig
from vesuv.curves.detector import NONE, Detection, Queries, picks_of, targets_of
from vesuv.curves.matching import CurveLoss, assignment, mask_loss
from vesuv.curves.picks import Pick
from vesuv.errors import InputError

CONFIG = CurveLossConfig()


def queries(logits: Tensor, depth: Tensor, dip: Tensor, direction: Tensor) -> Queries:
    return Queries(logits=logits, depth=depth, dip=dip, direction=direction)


def losses(loss: CurveLoss, layers: list[Queries], picks: tuple) -> dict[str, Tensor]:
    """Terms of the loss where the masks are right."""
    masks = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    return loss(Detection(tuple(layers), torch.full((1, 2, 2, 2), -20.0)), picks, masks)


def random_queries(num: int, seed: int, dtype: torch.dtype = torch.float32) -> Queries:
    numbers = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=numbers, dtype=dtype)

    return queries(draw(1, num, 3), draw(1, num).sigmoid(), draw(1, num).sigmoid(), draw(1, num, 2))


@pytest.mark.parametrize("seed", range(20))
def test_the_assignment_costs_as_little_as_the_best_of_all_permutations(seed: int) -> None:
    cost = torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 1 + seed % 4)))
    num_picks = cost.shape[1]

    chosen, assigned = assignment(cost)

    best = min(
        sum(float(cost[query, pick]) for pick, query in enumerate(order))
        for order in permutations(range(6), num_picks)
    )
    assert len(chosen) == num_picks
    assert float(cost[chosen, assigned].sum()) == pytest.approx(best)


def test_a_network_that_has_diverged_is_refused() -> None:
    with pytest.raises(InputError, match=r"optimizer.lr: .* not finite"):
        assignment(torch.tensor([[math.nan]]))


def test_the_cost_is_the_weighted_distance_less_the_weighted_probability() -> None:
    loss = CurveLoss(replace_weights(5.0, 1.0), rows=100)
    logits = torch.log(torch.tensor([[0.2, 0.7, 0.1]]))
    values = torch.tensor([[0.60, 30 / 90, 1.0, 0.0]])
    kinds, parameters = targets_of((Pick(49.5, 15.0, 0.0, kind=1),), 100, torch.device("cpu"))

    cost = loss.cost(logits, values, kinds, parameters)

    # 5 rows and 15 degrees count as 1: a distance of 2 + 1, a probability of .7
    assert cost.item() == pytest.approx(3.0 - 5 * 0.7, abs=1e-5)


def replace_weights(classification: float, parameters: float) -> CurveLossConfig:
    changes = {"class_weight": classification, "parameter_weight": parameters}
    return CONFIG.model_copy(update=changes)


def test_focal_loss_weighs_each_query_also_without_a_curve() -> None:
    loss = CurveLoss(CONFIG, rows=100)
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))

    terms = loss.classification(logits, torch.tensor([0, NONE]))

    expected = [0.5**2 * -math.log(0.5), 0.3 * 0.2**2 * -math.log(0.8)]
    assert terms.tolist() == pytest.approx(expected)


def test_cross_entropy_does_not_weigh_by_confidence() -> None:
    loss = CurveLoss(CONFIG.model_copy(update={"classification": "cross_entropy"}), rows=100)
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))

    assert loss.classification(logits, torch.tensor([1])).item() == pytest.approx(-math.log(0.25))


def test_queries_beyond_the_picks_are_trained_to_be_none() -> None:
    loss = CurveLoss(CONFIG, rows=100)
    some = random_queries(4, seed=1)
    sure = replace(some, logits=torch.tensor([[[-9.0, -9.0, 9.0]] * 4]))

    assert losses(loss, [sure], [()])["loss"].item() == pytest.approx(0.0, abs=1e-6)
    assert losses(loss, [some], [()])["loss"].item() > 0.1
    assert losses(loss, [some], [()])["loss_parameters"].item() == 0.0


def test_a_perfect_output_has_no_loss_and_gives_the_picks_back() -> None:
    picks = (Pick(20.0, 30.0, 200.0, kind=1), Pick(80.25, 10.0, 10.0, kind=0))
    kinds, parameters = targets_of(picks, 100, torch.device("cpu"))
    logits = torch.full((1, 2, 3), -20.0)
    logits[0, [0, 1], kinds] = 20.0
    perfect = queries(
        logits, parameters[None, :, 0], parameters[None, :, 1], parameters[None, :, 2:]
    )

    assert losses(CurveLoss(CONFIG, rows=100), [perfect], [picks])["loss"].item() == pytest.approx(
        0.0
    )
    found = picks_of(perfect, 0, rows=100, lowest=0.5)
    for one, other in zip(found, picks, strict=True):
        assert (one.row, one.dip, one.azimuth) == pytest.approx(
            (other.row, other.dip, other.azimuth), abs=1e-3
        )
        assert one.kind == other.kind


def test_the_gradient_is_that_of_finite_differences() -> None:
    loss = CurveLoss(CONFIG, rows=100)
    picks = ((Pick(20.0, 30.0, 200.0, kind=1), Pick(80.0, 10.0, 10.0, kind=0)),)
    some = random_queries(4, seed=3, dtype=torch.float64)
    parts = (some.logits, some.depth, some.dip, some.direction)

    def total(*inputs: Tensor) -> Tensor:
        return losses(loss, [queries(*inputs)], picks)["loss"]

    assert torch.autograd.gradcheck(total, [part.clone().requires_grad_() for part in parts])


def test_the_terms_are_weighted_5_to_1_and_averaged_over_layers() -> None:
    loss = CurveLoss(CONFIG, rows=100)
    picks = ((Pick(20.0, 30.0, 200.0, kind=1),),)
    layers = [random_queries(4, seed) for seed in (0, 1)]

    terms = losses(loss, layers, picks)

    parts = [losses(loss, [layer], picks) for layer in layers]
    assert terms["loss_class"] == pytest.approx(
        sum(float(part["loss_class"]) for part in parts) / 2
    )
    assert terms["loss"].item() == pytest.approx(
        5 * terms["loss_class"].item() + terms["loss_parameters"].item()
    )


def test_the_loss_of_masks_is_weighted_cross_entropy_and_dice_of_each_kind() -> None:
    probs = torch.tensor([[[[0.8, 0.1]], [[0.3, 0.5]]]])  # (b, kinds, rows, columns)
    masks = torch.zeros(1, 2, 2, 4, dtype=torch.bool)
    masks[0, 0, 0, 0] = True  # the first pixel of the first feature
    masks[0, 1, 1, 1] = True  # between the features' centres

    loss = mask_loss(torch.logit(probs), masks)

    entropy = -(5 * math.log(0.8) + math.log(0.9) + math.log(0.7) + math.log(0.5)) / 4
    dice = ((2 * 0.8 + 1) / (0.9 + 1 + 1) + 1 / (0.8 + 1)) / 2
    assert loss.item() == pytest.approx(entropy + 1 - dice)


def test_the_loss_of_masks_is_added_with_its_weight() -> None:
    loss = CurveLoss(CONFIG.model_copy(update={"mask_weight": 3.0}), rows=100)
    masks = torch.ones(1, 2, 4, 4, dtype=torch.bool)

    terms = loss(Detection((random_queries(4, 0),), torch.zeros(1, 2, 2, 2)), [()], masks)

    assert terms["loss_mask"].item() == pytest.approx(
        5 * math.log(2) + 1 - (2 * 2 + 1) / (2 + 4 + 1)
    )
    assert terms["loss"].item() == pytest.approx(
        5 * terms["loss_class"].item() + 3 * terms["loss_mask"].item(), rel=1e-5
    )
