"""One optimiser step: forward, loss, backward, clipping, update; it never waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vesuv.data.labels import IGNORE
from vesuv.losses.compound import Compound
from vesuv.losses.deep_supervision import deep_supervision
from vesuv.losses.prediction import SINGLE_PROCESS, Processes
from vesuv.runtime.machine import Machine
from vesuv.runtime.torch_internals import skip_step
from vesuv.transforms.collate import Batch

Objective = Callable[[list[Tensor], Batch, Mapping[str, float]], tuple[Tensor, dict[str, Tensor]]]
"""Loss of the network's output on a batch with weights of the terms, see `Task.loss`."""


def label_objective(compound: Compound, processes: Processes = SINGLE_PROCESS) -> Objective:
    """Return the compound loss of the labels, at all scales of the network.

    Args:
        compound: The losses.
        processes: The processes that share each batch.
    """

    def objective(
        scales: list[Tensor], batch: Batch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        valid = batch.label != IGNORE
        return deep_supervision(compound, scales, batch.label, valid, weights, processes)

    return objective


@dataclass(frozen=True)
class StepResult:
    """Device scalars of one step; `skipped` is 1 if loss or gradient was not finite.

    Loss, components and norm are those of the whole batch, also if several processes share it.
    """

    loss: Tensor
    components: dict[str, Tensor]
    gradient_norm: Tensor
    skipped: Tensor
    finite_inputs: Tensor
    """(b,) True for each patch of this process with a finite image."""
    finite_outputs: Tensor
    """(b,) True for each patch of this process with finite logits."""


class TrainingStep:
    """Callable that takes one step on a batch.

    A step whose loss or gradient is not finite does not change weights and moments: the fused
    optimisers read the flag on the device, so the host does not wait for it. All processes get the
    same loss and the same gradient, so they all take or all skip a step.

    With `accumulate` above 1 the batch is split into that many parts, and loss and gradient are
    still those of the whole batch. First, all parts run forward without storing activations. Then
    the loss of the whole batch is differentiated with respect to the logits. Finally, each part
    runs forward again, and backward from its part of that gradient. This costs one more forward
    pass.

    A network with deep supervision returns the logits of several scales, finest first.

    Source:
        Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
        section 3.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor | list[Tensor]],
        parameters: list[nn.Parameter],
        optimizer: Optimizer,
        objective: Objective,
        machine: Machine,
        *,
        gradient_clip: float | None,
        accumulate: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network = network
        # DistributedDataParallel has no_sync, in which gradients are summed in this process only
        self.no_gradient_sync = getattr(network, "no_sync", nullcontext)
        self.ddp_is_warm = machine.group.size == 1
        self.optimizer = optimizer
        self.objective = objective
        self.machine = machine
        self.max_norm = gradient_clip if gradient_clip is not None else float("inf")
        self.accumulate = accumulate
        self.memory_format = memory_format
        self.parameters = parameters

    def __call__(self, batch: Batch, weights: Mapping[str, float]) -> StepResult:
        """Update the weights on one batch, with these weights of the loss terms."""
        images = [
            part.contiguous(memory_format=self.memory_format)
            for part in batch.image.chunk(self.accumulate)
        ]
        if not self.ddp_is_warm:
            self._warm_up_ddp(images[0])
        self.optimizer.zero_grad(set_to_none=True)
        if len(images) == 1:
            scales = self._forward(images[0])
            loss, components = self.objective(scales, batch, weights)
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            scales, loss, components = self._accumulate_gradient(images, batch, weights)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        skipped = 1.0 - (torch.isfinite(loss.detach()) & torch.isfinite(norm)).float()
        skip_step(self.optimizer, skipped)
        self.optimizer.step()
        finite = _is_finite(batch.image), _is_finite(scales[0].detach())
        return StepResult(loss.detach(), components, norm.detach(), skipped, *finite)

    def _forward(self, image: Tensor) -> list[Tensor]:
        logits = self.machine.forward(self.network, image)
        return [logits] if isinstance(logits, Tensor) else logits

    def _accumulate_gradient(
        self, images: list[Tensor], batch: Batch, weights: Mapping[str, float]
    ) -> tuple[list[Tensor], Tensor, dict[str, Tensor]]:
        """Compute the gradient of the whole batch by parts; return logits, loss and components."""
        device, random_states, parts = self.machine.device, [], []
        with torch.no_grad():
            for image in images:
                random_states.append(random_state(device))
                parts.append(self._forward(image))
        final_state = random_state(device)
        scales = [torch.cat(scale).requires_grad_() for scale in zip(*parts, strict=True)]
        loss, components = self.objective(scales, batch, weights)
        sizes = [len(image) for image in images]
        gradients = [torch.split(grad, sizes) for grad in torch.autograd.grad(loss, scales)]
        for number, (image, state, *part_gradients) in enumerate(
            zip(images, random_states, *gradients, strict=True), 1
        ):
            set_random_state(device, state)  # dropout repeats its masks of the first pass
            with nullcontext() if number == len(images) else self.no_gradient_sync():
                torch.autograd.backward(self._forward(image), part_gradients)
        set_random_state(device, final_state)
        return scales, loss, components

    def _warm_up_ddp(self, image: Tensor) -> None:
        """Run one backward pass whose gradient is discarded.

        DistributedDataParallel regroups gradients after the first backward pass, and a sum of more
        than two numbers depends on the groups. With this pass, the first step of a resumed run has
        the same groups as the same step of an uninterrupted run.
        """
        scales = self._forward(image)
        torch.autograd.backward([logits.sum() for logits in scales])
        self.ddp_is_warm = True


def _is_finite(values: Tensor) -> Tensor:
    """Return for each patch of (b, c, z, y, x) whether all its values are finite.

    This tests the sum, which is finite if all values are, unless it overflows.
    """
    return torch.isfinite(values.flatten(1).sum(1, dtype=torch.float32))


def random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return the random states of the host and of a CUDA device; None for other devices."""
    device_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), device_state


def set_random_state(device: torch.device, state: tuple[Tensor, Tensor | None]) -> None:
    """Restore a result of `random_state`."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
