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
from vesuv.training.loader import Batch
from vesuv.training.validation import forward


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
    optimisers read `found_inf` on the device, so that the host never has to look. Several processes
    see the same loss and the same gradient, so they all take or skip a step alike.
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
        if not self.rehearsed:
            self._rehearse(batch.image.chunk(self.accumulate)[0])
        self.optimizer.zero_grad(set_to_none=True)
        size = batch.image.shape[0]
        loss = torch.zeros((), device=batch.image.device)
        components: dict[str, Tensor] = {}
        inputs, outputs = [], []
        images, labels = batch.image.chunk(self.accumulate), batch.label.chunk(self.accumulate)
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start=1):
            share = image.shape[0] / size
            image = image.contiguous(memory_format=self.memory_format)
            with nullcontext() if number == len(images) else self.unshared():
                logits = forward(self.network, image, self.machine)
                inputs.append(_finite(image))
                outputs.append(_finite(logits.detach()))
                part, terms = self.compound(
                    logits, label, label != IGNORE, weights, self.machine.group
                )
                (part * share).backward()  # type: ignore[no-untyped-call]
            loss = loss + part.detach() * share
            for name, value in terms.items():
                components[name] = components.get(name, torch.zeros_like(loss)) + value * share
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        skipped = 1.0 - (torch.isfinite(loss) & torch.isfinite(norm)).float()
        skip_step(self.optimizer, skipped)
        self.optimizer.step()
        return StepResult(
            loss, components, norm.detach(), skipped, torch.cat(inputs), torch.cat(outputs)
        )

    def _rehearse(self, image: Tensor) -> None:
        """Go through one backward whose gradient is thrown away.

        DistributedDataParallel groups gradients anew after the first one, and more than two numbers
        are added up in an order that depends on the groups. A resumed run thus adds up as the one
        that it goes on with.
        """
        image = image.contiguous(memory_format=self.memory_format)
        forward(self.network, image, self.machine).sum().backward()  # type: ignore[no-untyped-call]
        self.rehearsed = True


def _finite(values: Tensor) -> Tensor:
    """Tell for each patch of (b, c, z, y, x) whether all its values are finite.

    The sum stands for all: it is finite unless a value is not, or values near the largest number
    there is add up.
    """
    return torch.isfinite(values.flatten(1).sum(1, dtype=torch.float32))
