import pytest
import torch

from vesuv.training.nan_guard import NanGuard
from vesuv.training.step import StepResult


def result(
    *, inputs: list[bool], outputs: list[bool], loss: float = 1.0, skipped: bool = True
) -> StepResult:
    return StepResult(
        torch.tensor(loss),
        {},
        torch.tensor(float("nan")),
        torch.tensor(float(skipped)),
        torch.tensor(inputs),
        torch.tensor(outputs),
    )


@pytest.mark.parametrize(
    ("non_finite", "line"),
    [
        (result(inputs=[True, False], outputs=[True, False]), "the input is not finite for case b"),
        (result(inputs=[True, True], outputs=[False, False]),
         "the network's output is not finite for case a, b"),
        (result(inputs=[True, True], outputs=[True, True], loss=float("inf")),
         "the loss is not finite; patches of case a, b"),
        (result(inputs=[True, True], outputs=[True, True]),
         "the gradient is not finite; patches of case a, b"),
    ],
)  # fmt: skip
def test_the_first_non_finite_tensor_is_named(non_finite: StepResult, line: str) -> None:
    guard = NanGuard()
    fine = result(inputs=[True, True], outputs=[True, True], skipped=False)
    for step, step_result in enumerate((fine, non_finite, fine)):
        guard.record(step, ("a", "b"), step_result)

    [skipped] = guard.pop_skipped_steps()

    assert skipped.step == 1
    assert skipped.line == f"step 1 skipped, weights unchanged: {line}"
    assert guard.pop_skipped_steps() == []
