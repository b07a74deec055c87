"""Steps whose loss or gradient was NaN or infinite: traced to the input, the case and the step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.training.step import StepResult


@dataclass(frozen=True)
class SkippedStep:
    """A step that left the weights as they were, and why."""

    step: int
    """Step within the epoch, from 0."""
    line: str


class NonFiniteWatch:
    """Keeps the last steps' flags on the device, so that the host waits once for several steps."""

    def __init__(self, group: Group = SINGLE_PROCESS) -> None:
        self.group = group
        self._waiting: list[tuple[int, tuple[str, ...], StepResult]] = []

    def see(self, step: int, cases: tuple[str, ...], result: StepResult) -> None:
        """Remember a step until the next look."""
        self._waiting.append((step, cases, result))

    def look(self) -> list[SkippedStep]:
        """Return the skipped ones among the steps seen since the last look."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        skipped = torch.stack([result.skipped for _, _, result in waiting]).tolist()
        return [
            SkippedStep(
                step, f"step {step} skipped, weights unchanged: {self._cause(cases, result)}"
            )
            for (step, cases, result), flag in zip(waiting, skipped, strict=True)
            if flag
        ]

    def _cause(self, cases: tuple[str, ...], result: StepResult) -> str:
        """Name the first thing on the way from the image to the gradient that was not finite.

        All processes skipped the step, so all ask here for what the others' patches were.
        """
        flags = result.finite_inputs.tolist(), result.finite_outputs.tolist()
        patches = [
            patch
            for shared in self.group.gather_objects(list(zip(cases, *flags, strict=True)))
            for patch in shared
        ]
        for place, what in ((1, "the input"), (2, "the network's output")):
            bad = dict.fromkeys(patch[0] for patch in patches if not patch[place])
            if bad:
                return f"{what} is not finite for case {', '.join(bad)}"
        what = "the gradient" if bool(torch.isfinite(result.loss)) else "the loss"
        seen = dict.fromkeys(patch[0] for patch in patches)
        return f"{what} is not finite; patches of case {', '.join(seen)}"
