"""A volume of one slice has the loss of a stack of equal slices, which only adds an axis."""

import pytest
import torch

from vesuv.losses import MASK_LOSSES


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_one_slice_has_the_loss_of_equal_slices(name: str) -> None:
    kind = MASK_LOSSES[name]
    loss = kind(smooth=0.0) if "smooth" in kind.model_fields else kind()
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    label = ((x + y // 3) % 12 < 3).to(torch.uint8)[None, None]
    valid = torch.ones_like(label, dtype=torch.bool)
    valid[..., :2] = False
    logits = torch.randn((1, 1, 1, 24, 24), generator=generator) + 2.0 * label[None]
    logits.requires_grad_()

    one = loss(logits, label, valid)
    stack = [part.expand(*part.shape[:-3], 5, 24, 24) for part in (logits, label, valid)]
    several = loss(*stack)
    one.backward()

    assert one.item() == pytest.approx(several.item(), rel=1e-4)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().max() > 0
