import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.models.normalization import NormActivation


def features(dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    values = 5 + 3 * torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=torch.float64)
    return values.to(dtype).requires_grad_()


def plain(values: Tensor) -> Tensor:
    return F.leaky_relu(F.instance_norm(values), 0.01)


def test_value_and_gradient_equal_torchs_two_steps() -> None:
    ours, torchs = features(), features()
    direction = features().detach().flip(0)

    (NormActivation(0.01)(ours) * direction).sum().backward()
    (plain(torchs) * direction).sum().backward()

    torch.testing.assert_close(NormActivation(0.01)(ours), plain(torchs))
    torch.testing.assert_close(ours.grad, torchs.grad)


def test_the_gradient_passes_a_numerical_check() -> None:
    assert torch.autograd.gradcheck(NormActivation(0.01), (features(),), fast_mode=True)


def test_half_precision_stays_half_and_follows_torchs_two_steps() -> None:
    ours, torchs = features(torch.bfloat16), features(torch.bfloat16)
    direction = features(torch.bfloat16).detach().flip(0) - 5

    result = NormActivation(0.01)(ours)
    result.backward(direction)
    plain(torchs).backward(direction)

    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(ours.grad, torchs.grad, atol=0.02, rtol=0.02)


def test_channels_last_features_give_the_same() -> None:
    values = features().detach()

    result = NormActivation(0.01)(values.to(memory_format=torch.channels_last_3d))

    torch.testing.assert_close(result, plain(values))


def test_only_the_activation_and_its_scale_are_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    values = features()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = NormActivation(0.01)(values)

    assert {tensor.data_ptr() for tensor in kept if tensor.numel() > 6} == {result.data_ptr()}


def test_a_constant_channel_gives_next_to_nothing_and_a_finite_gradient() -> None:
    values = torch.full((1, 1, 2, 2, 2), 3.0, requires_grad=True)

    result = NormActivation(0.01)(values)
    result.sum().backward()

    assert result.abs().max() < 1e-3
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_the_slope_is_shown() -> None:
    assert repr(NormActivation(0.01)) == "NormActivation(slope=0.01)"


def test_inference_without_gradients_gives_the_same() -> None:
    module, values = NormActivation(0.01).eval(), features().detach()

    with torch.inference_mode():
        result = module(values)

    torch.testing.assert_close(result, plain(values))
    assert module(values[:, :, :1, :1, :1].requires_grad_()).shape == (2, 3, 1, 1, 1)
    with torch.no_grad():
        assert module(values.detach()[:, :, :1, :1, :1]).abs().max() < 1e-6
