"""Muon: the weights of a convolution move by a matrix whose singular values are about equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vesuv.runtime.torch_internals import cpu_has_bfloat16

ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_EPSILON = 1e-8
_ROUNDING = 2.0**-9
"""Largest relative error of a number rounded to bfloat16."""


class Muon(Optimizer):
    """Muon for the weights of convolutions, AdamW for all other parameters.

    The running mean of the gradient of a convolution, as a matrix (rows, the rest), is replaced by
    the nearest matrix whose singular values are equal, so that the rare directions of the gradient
    move the weights as far as the frequent ones. Convolutions of one voxel, such as the output
    layer, biases and norms get AdamW's update.

    Args:
        parameters: Parameters of the network.
        lr: Learning rate: the spectral norm by which a step moves a convolution's weights.
        other_rate: Learning rate of the other parameters, as a share of `lr`.
        momentum: Decay of the running mean of a convolution's gradient, with Nesterov's look ahead.
        betas: AdamW's decays, for the other parameters.
        weight_decay: Share of each weight that a step subtracts, times its learning rate.

    Source:
        Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        lr: float,
        other_rate: float,
        momentum: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        super().__init__(
            parameters,
            {
                "lr": lr,
                "other_rate": other_rate,
                "momentum": momentum,
                "betas": betas,
                "weight_decay": weight_decay,
            },
        )
        self.found_inf: Tensor | None = None
        """Scalar, 1 where the next step changes nothing, see `vesuv.runtime.torch_internals`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                kept = self._kept(parameter)
                gradient = torch.where(kept > 0, parameter.grad, 0.0)
                if is_matrix(parameter):
                    rate = group["lr"]
                    update = self._muon(parameter, gradient, kept, group["momentum"])
                else:
                    rate = group["lr"] * group["other_rate"]
                    update = self._adam(parameter, gradient, kept, group["betas"])
                parameter.mul_(1.0 - rate * group["weight_decay"] * kept)
                parameter.addcmul_(update, kept, value=-rate)

    def _kept(self, parameter: Tensor) -> Tensor:
        if self.found_inf is None:
            return torch.ones((), device=parameter.device)
        return 1.0 - self.found_inf.to(parameter.device)

    def _muon(self, parameter: Tensor, gradient: Tensor, kept: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        mean = state["momentum_buffer"].lerp_(gradient, (1.0 - momentum) * kept)
        ahead = torch.lerp(gradient, mean, momentum)
        return orthogonalise(ahead.flatten(1)).view_as(parameter)

    def _adam(
        self, parameter: Tensor, gradient: Tensor, kept: Tensor, betas: tuple[float, float]
    ) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros((), device=parameter.device)
        first, second = betas
        count = state["step"].add_(kept).clamp(min=1.0)
        mean = state["exp_avg"].lerp_(gradient, (1.0 - first) * kept) / (1.0 - first**count)
        square = state["exp_avg_sq"].lerp_(gradient.square(), (1.0 - second) * kept)
        update: Tensor = mean / ((square / (1.0 - second**count)).sqrt() + _EPSILON)
        return update


def is_matrix(parameter: Tensor) -> bool:
    """Return whether a parameter holds the weights of a convolution larger than one voxel."""
    return parameter.ndim > 2 and parameter[0, 0].numel() > 1


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return about U V^T of the singular value decomposition U S V^T of a matrix (rows, columns).

    Its singular values lie between about 0.7 and 1.2; those of directions below a hundredth of the
    largest one stay smaller. Newton-Schulz iterations run on the Gram matrix of the shorter edge,
    so that only two products contain the longer one. These are in bfloat16 where the device
    multiplies it. Its rounding could give the Gram matrix negative eigenvalues, which iterations
    would enlarge, so the bound of the rounding error is added to its diagonal.

    Source:
        Jordan et al. 2024, the quintic iteration and its coefficients.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalise(matrix.T).T
    scaled = matrix.float() / (torch.linalg.vector_norm(matrix.float()) + _EPSILON)
    if matrix.is_cuda or (matrix.device.type == "cpu" and cpu_has_bfloat16()):
        scaled = scaled.bfloat16()
        gram = (scaled @ scaled.T).float()
        gram.diagonal().add_(_ROUNDING * torch.linalg.vector_norm(gram))
    else:
        gram = scaled @ scaled.T
    result: Tensor = (_polynomial(gram).to(scaled.dtype) @ scaled).to(matrix.dtype)
    return result


def _polynomial(gram: Tensor) -> Tensor:
    """Return the matrix that multiplies the one of this Gram matrix in all iterations."""
    first, third, fifth = _COEFFICIENTS
    product = None
    for number in range(ITERATIONS):
        factor = torch.addmm(gram, gram, gram, beta=third, alpha=fifth)
        factor.diagonal().add_(first)
        product = factor if product is None else factor @ product
        if number < ITERATIONS - 1:
            gram = factor @ gram @ factor
    assert product is not None
    return product
