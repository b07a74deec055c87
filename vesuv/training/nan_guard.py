"""Report of steps that were skipped because the loss or the gradient was NaN or infinite."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.training.step import StepResult


@dataclass(frozen=True)
class SkippedStep:
    """A step that did not change the weights, and its cause."""

    step: int
    """Step within the epoch, from 0."""
    line: str


class NanGuard:
    """Finds skipped steps; the flags of several steps are read from the device together."""

    def __init__(self, group: Group = SINGLE_PROCESS) -> None:
        self.group = group
        self._unread: list[tuple[int, tuple[str, ...], StepResult]] = []

    def record(self, step: int, cases: tuple[str, ...], result: StepResult) -> None:
        """Store a step until the next call of `pop_skipped_steps`."""
        self._unread.append((step, cases, result))

    def pop_skipped_steps(self) -> list[SkippedStep]:
        """Return the skipped steps among those recorded since the last call."""
        unread, self._unread = self._unread, []
        if not unread:
            return []
        flags = torch.stack([result.skipped for _, _, result in unread]).tolist()
        return [
            SkippedStep(
                step, f"step {step} skipped, weights unchanged: {self._cause(cases, result)}"
            )
            for (step, cases, result), flag in zip(unread, flags, strict=True)
            if flag
        ]

    def _cause(self, cases: tuple[str, ...], result: StepResult) -> str:
        """Name the first tensor from the image to the gradient that was not finite.

        All processes skipped the step, so all exchange the flags of their patches here.
        """
        flags = result.finite_inputs.tolist(), result.finite_outputs.tolist()
        patches = [
            patch
            for process_patches in self.group.gather_objects(list(zip(cases, *flags, strict=True)))
            for patch in process_patches
        ]
        for flag, tensor_name in ((1, "the input"), (2, "the network's output")):
            faulty_cases = dict.fromkeys(patch[0] for patch in patches if not patch[flag])
            if faulty_cases:
                return f"{tensor_name} is not finite for case {', '.join(faulty_cases)}"
        tensor_name = "the gradient" if bool(torch.isfinite(result.loss)) else "the loss"
        all_cases = dict.fromkeys(patch[0] for patch in patches)
        return f"{tensor_name} is not finite; patches of case {', '.join(all_cases)}"
