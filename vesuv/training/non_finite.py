"""Steps whose loss or gradient was NaN or infinite: traced to the input, the case and the step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vesuv.training.step import StepResult


@dataclass(frozen=True)
class SkippedStep:
    """A step that left the weights as they were, and why."""

    step: int
    """Step within the epoch, from 0."""
    line: str


class NonFiniteWatch:
    """Keeps the last steps' flags on the device, so that the host waits once for several steps."""

    def __init__(self) -> None:
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
            SkippedStep(step, f"step {step} skipped, weights unchanged: {_cause(cases, result)}")
            for (step, cases, result), flag in zip(waiting, skipped, strict=True)
            if flag
        ]


def _cause(cases: tuple[str, ...], result: StepResult) -> str:
    """Name the first thing on the way from the image to the gradient that was not finite."""
    for what, finite in (
        ("the input", result.finite_inputs),
        ("the network's output", result.finite_outputs),
    ):
        bad = [case for case, fine in zip(cases, finite.tolist(), strict=True) if not fine]
        if bad:
            return f"{what} is not finite for case {', '.join(dict.fromkeys(bad))}"
    what = "the gradient" if bool(torch.isfinite(result.loss)) else "the loss"
    return f"{what} is not finite; patches of case {', '.join(dict.fromkeys(cases))}"
