"""One optimiser step: forward, loss, backward, clip, update; nothing here waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vesuv.data.labels import IGNORE
from vesuv.losses.compound import Compound
from vesuv.runtime.machine import Machine
from vesuv.runtime.torch_internals import skip_step
from vesuv.transforms.collate import Batch


@dataclass(frozen=True)
class StepResult:
    """Device scalars of one step; `skipped` is 1 where loss or gradient was not finite.

    Loss, components and norm are those of the whole batch, also where several processes share it.
    """

    loss: Tensor
    components: dict[str, Tensor]
    gradient_norm: Tensor
    skipped: Tensor
    finite_inputs: Tensor
    """(b,) whether the image of each patch of this process was finite."""
    finite_outputs: Tensor
    """(b,) whether the network's output for it was."""


class TrainingStep:
    """Callable on a batch.

    A step whose loss or gradient is not finite leaves weights and moments as they were: the fused
    optimisers read that on the device, so that the host never has to look. Several processes see
    the same loss and the same gradient, so they all take or skip a step alike.

    With `accumulate` above 1 the batch goes through the network in that many parts, and loss and
    gradient are still those of the whole batch: all parts go forward without keeping activations,
    the loss of the whole batch is differentiated with respect to the logits, and then each part
    goes forward again and backward from its share of that gradient. The price is one more forward
    pass.

    Source:
        Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
        section 3.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        parameters: list[nn.Parameter],
        optimizer: Optimizer,
        compound: Compound,
        machine: Machine,
        *,
        gradient_clip: float | None,
        accumulate: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network = network
        # DistributedDataParallel's: gradients are added up in this process alone.
        self.unshared = getattr(network, "no_sync", nullcontext)
        self.rehearsed = machine.group.size == 1
        self.optimizer = optimizer
        self.compound = compound
        self.machine = machine
        self.max_norm = gradient_clip if gradient_clip is not None else float("inf")
        self.accumulate = accumulate
        self.memory_format = memory_format
        self.parameters = parameters

    def __call__(self, batch: Batch, weights: Mapping[str, float]) -> StepResult:
        """Update the weights on one batch with the loss weights given."""
        images = [
            part.contiguous(memory_format=self.memory_format)
            for part in batch.image.chunk(self.accumulate)
        ]
        if not self.rehearsed:
            self._rehearse(images[0])
        self.optimizer.zero_grad(set_to_none=True)
        if len(images) == 1:
            logits = self.machine.forward(self.network, images[0])
            loss, terms = self._loss(logits, batch.label, weights)
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            logits, loss, terms = self._in_parts(images, batch.label, weights)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        skipped = 1.0 - (torch.isfinite(loss.detach()) & torch.isfinite(norm)).float()
        skip_step(self.optimizer, skipped)
        self.optimizer.step()
        finite = _finite(batch.image), _finite(logits.detach())
        return StepResult(loss.detach(), terms, norm.detach(), skipped, *finite)

    def _loss(
        self, logits: Tensor, label: Tensor, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.compound(logits, label, label != IGNORE, weights, self.machine.group)

    def _in_parts(
        self, images: list[Tensor], label: Tensor, weights: Mapping[str, float]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Add up the gradient of the whole batch part by part; return logits, loss and terms."""
        device, states, parts = self.machine.device, [], []
        with torch.no_grad():
            for image in images:
                states.append(random_state(device))
                parts.append(self.machine.forward(self.network, image))
        after = random_state(device)
        logits = torch.cat(parts).requires_grad_()
        loss, terms = self._loss(logits, label, weights)
        (gradient,) = torch.autograd.grad(loss, logits)
        slopes = torch.split(gradient, [len(image) for image in images])
        for number, (image, slope, state) in enumerate(zip(images, slopes, states, strict=True), 1):
            set_random_state(device, state)  # dropout draws what it drew before
            with nullcontext() if number == len(images) else self.unshared():
                self.machine.forward(self.network, image).backward(slope)  # type: ignore[no-untyped-call]
        set_random_state(device, after)
        return logits, loss, terms

    def _rehearse(self, image: Tensor) -> None:
        """Go through one backward whose gradient is thrown away.

        DistributedDataParallel groups gradients anew after the first one, and more than two numbers
        are added up in an order that depends on the groups. A resumed run thus adds up as the one
        that it goes on with.
        """
        logits = self.machine.forward(self.network, image)
        logits.sum().backward()  # type: ignore[no-untyped-call]
        self.rehearsed = True


def _finite(values: Tensor) -> Tensor:
    """Tell for each patch of (b, c, z, y, x) whether all its values are finite.

    The sum stands for all: it is finite unless a value is not, or values near the largest number
    there is add up.
    """
    return torch.isfinite(values.flatten(1).sum(1, dtype=torch.float32))


def random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return the random state of the host and, where it has its own, of the device."""
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), own


def set_random_state(device: torch.device, state: tuple[Tensor, Tensor | None]) -> None:
    """Return to a state that `random_state` returned."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
