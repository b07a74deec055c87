import pytest
import torch
from torch import Tensor

from vesuv.losses.dice import Dice
from vesuv.losses.tversky import Tversky


def rows(values: Tensor, patches: int = 1) -> Tensor:
    """Voxels of each patch in a row: (b, 1, 1, n)."""
    return values.view(patches, 1, 1, -1)


def logit(*probs: float) -> Tensor:
    return torch.tensor(probs, dtype=torch.float64).logit()


def all_valid(label: Tensor) -> Tensor:
    return torch.ones_like(label, dtype=torch.bool)


def test_tversky_by_hand() -> None:
    label = rows(torch.tensor([1, 1, 0, 0]))

    loss = Tversky(alpha=0.25, beta=2.0, smooth=0.5)(
        rows(logit(0.8, 0.4, 0.1, 0.3)).unsqueeze(1), label, all_valid(label)
    )

    true_positive, false_positive, false_negative = 1.2, 0.4, 0.8
    total = true_positive + 0.25 * false_positive + 2.0 * false_negative
    assert loss.item() == pytest.approx(1 - (true_positive + 0.5) / (total + 0.5))


def test_with_two_halves_it_is_dice_with_twice_the_smoothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, 7, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 4, (3, 5, 6, 7), generator=generator)
    for batch in (True, False):
        ours = Tversky(alpha=0.5, beta=0.5, smooth=0.2, batch=batch)(
            logits, label, all_valid(label)
        )
        dice = Dice(smooth=0.4, batch=batch)(logits, label, all_valid(label))

        assert ours.item() == pytest.approx(dice.item())


def test_batch_sums_before_dividing_and_patches_after() -> None:
    logits = rows(logit(0.8, 0.4, 0.1, 0.3), patches=2).unsqueeze(1)
    label = rows(torch.tensor([1, 1, 0, 1]), patches=2)

    together, apart = (
        Tversky(alpha=1.0, beta=3.0, smooth=0.0, batch=batch)(logits, label, all_valid(label))
        for batch in (True, False)
    )

    assert together.item() == pytest.approx(1 - 1.5 / (1.5 + 0.1 + 3 * 1.5))
    first, second = 1.2 / (1.2 + 3 * 0.8), 0.3 / (0.3 + 0.1 + 3 * 0.7)
    assert apart.item() == pytest.approx(1 - (first + second) / 2)


def test_a_constant_prediction_scores_as_documented() -> None:
    label = rows(torch.tensor([1, 0, 0, 0]))
    logits = torch.full((1, 1, 1, 1, 4), 0.2, dtype=torch.float64).logit()

    loss = Tversky(alpha=0.3, beta=0.7, smooth=0.0)(logits, label, all_valid(label))

    overlap = 0.2 * 0.25
    assert loss.item() == pytest.approx(
        1 - overlap / (overlap + 0.3 * 0.2 * 0.75 + 0.7 * 0.8 * 0.25)
    )
